import jax
import numpy as np
import oracles

from jaxface.imaging import rtv


def test_matches_the_loops_of_eq_7():
    rng = np.random.default_rng(0)
    channel = rng.uniform(size=(19, 15)).astype(np.float32)
    mask = (rng.uniform(size=channel.shape) > 0.1).astype(np.float32)
    expected = oracles.rtv(channel.astype(np.float64), mask, 1.2, rtv.EPS, rtv.ETA)
    np.testing.assert_allclose(rtv.relative_total_variation(channel, mask, sigma=1.2), expected, rtol=2e-3)


def test_flat_ground_has_zero_value_and_zero_gradient():
    flat, mask = np.full((37, 29), 0.5, np.float32), np.ones((37, 29), np.float32)
    value, gradient = jax.value_and_grad(lambda x: rtv.relative_total_variation(x, mask, sigma=1.5).sum())(flat)
    assert value == 0.0
    np.testing.assert_array_equal(gradient, 0.0)


def test_texture_counts_far_more_than_an_edge():
    edge = np.where(np.arange(29) < 14, 0.3, 0.7).astype(np.float32)[None, :].repeat(37, 0)
    texture = (0.5 + 0.1 * (-1.0) ** np.add.outer(np.arange(37), np.arange(29))).astype(np.float32)
    mask = np.ones_like(edge)
    inside = (slice(8, -8), slice(8, -8))
    of_edge = rtv.relative_total_variation(edge, mask, sigma=2.0)[inside].mean()
    of_texture = rtv.relative_total_variation(texture, mask, sigma=2.0)[inside].mean()
    assert of_texture > 10 * of_edge


def test_plain_jit_and_vmap_agree_over_channels():
    image = np.random.default_rng(1).uniform(size=(37, 29, 3)).astype(np.float32)
    mask = np.ones((37, 29), np.float32)
    plain = rtv.relative_total_variation(image, mask, sigma=1.5)
    jitted = jax.jit(lambda x: rtv.relative_total_variation(x, mask, sigma=1.5))
    np.testing.assert_allclose(jitted(image), plain, rtol=1e-3)
    np.testing.assert_allclose(jax.vmap(jitted)(image[None])[0], plain, rtol=1e-3)
    np.testing.assert_allclose(
        jitted(image)[..., 1], rtv.relative_total_variation(image[..., 1], mask, sigma=1.5), rtol=1e-3
    )
