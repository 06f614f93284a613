import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from scipy import ndimage

from jaxface.imaging import filters


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(size=(37, 29)).astype(np.float32)


def test_blur_matches_the_loops(image):
    np.testing.assert_allclose(filters.gaussian_blur(image, sigma=1.2), oracles.blur(image, 1.2), atol=1e-6)


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_unrolled_and_matrix_forms_agree_with_scipy(image, sigma):
    expected = ndimage.gaussian_filter(
        image.astype(np.float64), sigma, mode="constant", truncate=np.ceil(3 * sigma) / sigma
    )
    np.testing.assert_allclose(filters.gaussian_blur(image, sigma=sigma), expected, atol=2e-6)


def test_blur_is_its_own_transpose(image):
    other = np.random.default_rng(1).uniform(size=image.shape).astype(np.float32)
    _, pullback = jax.vjp(lambda x: filters.gaussian_blur(x, sigma=1.5), image)
    np.testing.assert_allclose(
        np.sum(pullback(other)[0] * image), np.sum(other * filters.gaussian_blur(image, sigma=1.5)), rtol=1e-5
    )


def test_channels_are_independent_and_plain_jit_and_vmap_agree(image):
    stack = np.stack([image, image[::-1], image**2], axis=-1)
    whole = filters.gaussian_blur(stack, sigma=1.5)
    for c in range(3):
        np.testing.assert_allclose(whole[..., c], filters.gaussian_blur(stack[..., c], sigma=1.5), atol=1e-6)
    blur = jax.jit(lambda x: filters.gaussian_blur(x, sigma=1.5))
    np.testing.assert_allclose(blur(stack), whole, atol=1e-6)
    batch = jax.vmap(blur)(np.stack([stack, 2 * stack]))
    np.testing.assert_allclose(batch, np.stack([whole, 2 * whole]), atol=1e-6)


def test_differences_and_masks_match_the_loops(image):
    mask = (np.random.default_rng(2).uniform(size=image.shape) > 0.2).astype(np.float32)
    mask_x, mask_y = filters.forward_masks(mask)
    np.testing.assert_allclose(filters.difference_x(image) * mask_x, oracles.forward(image, mask, 1), atol=1e-6)
    np.testing.assert_allclose(filters.difference_y(image) * mask_y, oracles.forward(image, mask, 0), atol=1e-6)


def test_laplace_of_a_paraboloid_is_constant():
    y, x = np.mgrid[:37, :29].astype(np.float32)
    np.testing.assert_allclose(filters.laplace(jnp.asarray(x**2 + 2 * y**2))[1:-1, 1:-1], 6.0, atol=1e-3)


def test_erode_keeps_only_pixels_with_four_neighbours():
    mask = np.ones((7, 5), np.float32)
    mask[3, 2] = 0
    kept = np.asarray(filters.erode(mask))
    expected = ndimage.binary_erosion(mask, border_value=0).astype(np.float32)
    np.testing.assert_array_equal(kept, expected)


def test_masked_blur_ignores_what_the_mask_hides(image):
    mask = np.ones_like(image)
    mask[:, :10] = 0
    spoiled = np.where(mask > 0, image, 1e3).astype(np.float32)
    np.testing.assert_allclose(
        filters.masked_blur(image, mask, sigma=2.0), filters.masked_blur(spoiled, mask, sigma=2.0), atol=1e-4
    )
    np.testing.assert_allclose(filters.masked_blur(np.full_like(image, 0.3), mask, sigma=2.0)[:, 12:], 0.3, atol=1e-5)


def test_samples_are_bilinear_and_repeat_the_border():
    image = np.random.default_rng(3).uniform(size=(37, 29, 3)).astype(np.float32)
    rng = np.random.default_rng(4)
    places = np.concatenate([rng.uniform((-6, -6), (35, 43), (83, 2)), [[0, 0], [28, 36], [11, 30]]])
    x, y = np.clip(places[:, 0], 0, 28), np.clip(places[:, 1], 0, 36)
    left, top = np.minimum(np.floor(x).astype(int), 27), np.minimum(np.floor(y).astype(int), 35)
    u, v = (x - left)[:, None], (y - top)[:, None]
    upper = (1 - u) * image[top, left] + u * image[top, left + 1]
    lower = (1 - u) * image[top + 1, left] + u * image[top + 1, left + 1]
    expected = (1 - v) * upper + v * lower
    places = places.astype(np.float32)
    np.testing.assert_allclose(filters.sample(image, places), expected, atol=2e-5)
    np.testing.assert_allclose(jax.jit(filters.sample)(image, places), expected, atol=2e-5)
    batch = jax.vmap(filters.sample)(np.stack([image, 2 * image]), np.stack([places, places]))
    np.testing.assert_allclose(batch, np.stack([expected, 2 * expected]), atol=4e-5)


def test_samples_move_with_their_places():
    """On a ramp the derivative is the slope; beyond the border nothing changes."""
    y, x = np.mgrid[:37, :29].astype(np.float32)
    ramp = np.stack([0.5 * x - 0.25 * y], axis=-1)
    places = np.array([[5.3, 7.8], [20.1, 30.6], [-9.0, 50.0]], np.float32)
    slopes = jax.grad(lambda p: jnp.sum(filters.sample(ramp, p)))(places)
    np.testing.assert_allclose(slopes, [[0.5, -0.25], [0.5, -0.25], [0.0, 0.0]], atol=1e-5)
