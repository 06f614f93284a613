"""The network of normals: what it sees against a NumPy twin, mirrored pictures, sizes, and what it says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import luminance
from jaxface.networks import normals as network
from jaxface.rendering.lighting import sh_basis

SIZE = 48


def some_params(seed=0):
    """Random ones, of the last layer too, which begins with zeros."""
    params = network.NETWORK.init(jax.random.PRNGKey(seed), jnp.zeros((32, 32, network.NUM_PLANES)))
    last = jax.random.normal(jax.random.PRNGKey(seed + 1), params["exit"]["w"].shape)
    return params | {"exit": params["exit"] | {"w": 0.05 * last}}


@pytest.fixture(scope="module")
def seen():
    """A bump under a light from the left, with a dark stripe."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    height = 18.0 * np.exp(-4.0 * (x**2 + y**2))
    normals = np.asarray(depth_normals(jnp.asarray(height, jnp.float32)))
    shade = np.clip(0.3 + 0.6 * normals @ np.array([-0.6, -0.2, 0.77]), 0.02, 1.0)
    image = shade[..., None] * np.array([0.8, 0.55, 0.45])
    image[:, 20:23] *= 0.4
    covered = (x**2 + y**2 < 0.2).astype(np.float32)
    return tuple(jnp.asarray(values, jnp.float32) for values in (image, height, covered))


def light_twin(grey, normals, covered):
    """Reweighted least squares, in double precision."""
    rows = np.asarray(sh_basis(normals), float)[::4, ::4].reshape(-1, 9)
    target, base = (np.asarray(values, float)[::4, ::4].reshape(-1) for values in (grey, covered))
    weights = base.copy()
    for _ in range(5):
        normal = rows.T @ (weights[:, None] * rows)
        ridge = (1e-3 * np.trace(normal) / 9 + 1e-6) * np.eye(9)
        light = np.linalg.solve(normal + ridge, rows.T @ (weights * target))
        expected = rows @ light
        weights = base / (1.0 + ((target - expected) / (0.12 * np.maximum(expected, 0.03))) ** 2)
    return light


def test_light_is_the_reweighted_least_squares(seen):
    image, height, covered = seen
    normals = depth_normals(height)
    grey = luminance(image)
    found = network.find_light(grey, normals, covered)
    np.testing.assert_allclose(found, light_twin(grey, normals, covered), atol=2e-3)


def test_light_lets_go_of_what_is_not_skin(seen):
    image, height, covered = seen
    normals = depth_normals(height)
    clean = np.asarray(image).copy()
    clean[:, 20:23] /= 0.4
    with_stripe, without = (
        network.find_light(luminance(jnp.asarray(picture)), normals, covered) for picture in (image, clean)
    )
    shades = [np.asarray(sh_basis(normals) @ light)[np.asarray(covered) > 0] for light in (with_stripe, without)]
    assert np.abs(shades[0] - shades[1]).max() < 0.06  # the stripe is 0.4 deep


def test_the_derivatives_it_sees_are_those_of_the_shading(seen):
    image, height, covered = seen
    normals = np.asarray(depth_normals(height), float)
    planes = np.asarray(network.planes(image, jnp.asarray(normals, jnp.float32), covered, 2.0))
    light = light_twin(luminance(image), jnp.asarray(normals, jnp.float32), covered)

    def lit(xy):
        z = np.sqrt(np.maximum(1.0 - (xy**2).sum(axis=-1, keepdims=True), 1e-4))
        return np.asarray(sh_basis(jnp.asarray(np.concatenate([xy, z], axis=-1), jnp.float32)), float) @ light

    shade = np.maximum(lit(normals[..., :2]), 0.03)
    inside = np.asarray(covered) > 0
    for axis, plane in ((0, 5), (1, 6)):
        nudge = 1e-2 * np.eye(2)[axis]
        wanted = (lit(normals[..., :2] + nudge) - lit(normals[..., :2] - nudge)) / 2e-2 / shade
        np.testing.assert_allclose(planes[inside][:, plane], np.clip(wanted, -4, 4)[inside], atol=0.05)


def test_an_untrained_network_changes_nothing_and_is_unsure(seen):
    params = network.NETWORK.init(jax.random.PRNGKey(0), jnp.zeros((32, 32, network.NUM_PLANES)))
    told = network.predict(params, *seen, 2.0)
    np.testing.assert_array_equal(told.slope_change, 0.0)
    np.testing.assert_allclose(told.skin, 0.5)
    assert np.all(told.spread > 0.1)


def test_a_mirrored_picture_has_the_mirrored_answer(seen):
    image, height, covered = seen
    params = some_params()
    told = network.predict(params, image, height, covered, 2.0)
    other = network.predict(params, image[:, ::-1], height[:, ::-1], covered[:, ::-1], 2.0)
    assert np.abs(np.asarray(told.slope_change)).max() > 0.01
    # The light is found on every fourth pixel, which are others in the mirrored picture.
    inner = np.s_[8:-8, 8:-8]
    mirrored = np.asarray(other.slope_change)[:, ::-1] * [-1.0, 1.0]
    np.testing.assert_allclose(np.asarray(told.slope_change)[inner], mirrored[inner], atol=0.05)
    np.testing.assert_allclose(np.asarray(told.skin)[inner], np.asarray(other.skin)[:, ::-1][inner], atol=0.02)


@pytest.mark.parametrize("shape", [(33, 50), (64, 64), (7, 90)])
def test_any_size_goes(shape):
    told = network.predict(some_params(), jnp.ones((*shape, 3)) * 0.5, jnp.zeros(shape), jnp.ones(shape), 1.5)
    assert told.slope_change.shape == (*shape, 2) and told.spread.shape == told.skin.shape == shape
    assert all(np.isfinite(values).all() for values in told)


def test_large_pictures_are_looked_at_small(seen, monkeypatch):
    image, height, covered = seen
    params, share = some_params(), 0.5
    small = [jax.image.resize(values, (SIZE // 2, SIZE // 2, *values.shape[2:]), "linear") for values in seen]
    by_hand = network.predict(params, small[0], share * small[1], jnp.round(small[2]), 2.0 * share)
    monkeypatch.setattr(network, "SIDE", SIZE // 2)
    told = network.predict(params, image, height, covered, 2.0)
    assert told.slope_change.shape == (SIZE, SIZE, 2)
    for large, little in zip(told, by_hand, strict=True):
        assert large.shape[:2] == (SIZE, SIZE) and little.shape[:2] == (SIZE // 2, SIZE // 2)
        np.testing.assert_allclose(large, jax.image.resize(little, large.shape, "linear"), atol=1e-4)


def test_black_pictures_and_uncovered_ones_stay_finite():
    for image, covered in ((0.0, 1.0), (0.5, 0.0), (1.0, 1.0)):
        told = network.predict(
            some_params(), jnp.full((32, 32, 3), image), jnp.zeros((32, 32)), jnp.full((32, 32), covered), 2.0
        )
        assert all(np.isfinite(values).all() for values in told)


def test_what_ships_is_small_fits_and_names_its_recipe():
    params = network.NETWORK.init(jax.random.PRNGKey(0), jnp.zeros((32, 32, network.NUM_PLANES)))
    shipped = network.load()
    assert jax.tree.map(jnp.shape, shipped) == jax.tree.map(jnp.shape, params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(shipped))
    assert sum(leaf.size for leaf in jax.tree.leaves(shipped)) <= 1_000_000
    assert network._WEIGHTS.stat().st_size <= 2_500_000
    with np.load(network._WEIGHTS, allow_pickle=False) as stored:
        recipe = json.loads(str(stored["recipe"]))
    assert recipe["recipe"]["steps"] > 0 and len(recipe["facts"]["cache_sha256"]) == 64


def test_what_ships_finds_the_bump_that_the_smooth_surface_lacks():
    """On a dome without a bump that the picture shows: nearer to the truth, and surer on skin than off it."""
    y, x = np.mgrid[:96, :96] / 96 - 0.5
    dome = 60.0 * np.sqrt(np.maximum(0.5 - x**2 - y**2, 0.02))
    bump = 2.5 * np.exp(-200.0 * ((x - 0.1) ** 2 + y**2))
    normals = depth_normals(jnp.asarray(dome + bump, jnp.float32))
    shade = np.clip(0.25 + 0.7 * np.asarray(normals) @ np.array([-0.55, -0.45, 0.7]), 0.02, 1.0)
    image = jnp.asarray(shade[..., None] * np.array([0.75, 0.5, 0.4]), jnp.float32)
    covered = jnp.asarray(x**2 + y**2 < 0.2, jnp.float32)
    told = network.predict(network.load(), image, jnp.asarray(dome, jnp.float32), covered, 1.0)
    true = np.stack(np.gradient(bump)[::-1], axis=-1)
    near = (x - 0.1) ** 2 + y**2 < 0.015
    change = np.asarray(told.slope_change)[near]
    assert np.sum(change * true[near]) > 0.1 * np.sum(true[near] ** 2)
    assert np.linalg.norm(change - true[near], axis=1).mean() < np.linalg.norm(true[near], axis=1).mean()


def test_frames_go_through_at_once(seen):
    params = some_params()
    alone = network.predict(params, *seen, 2.0)
    stacked = [jnp.stack([values, values]) for values in seen]
    both = jax.vmap(lambda image, height, covered: network.predict(params, image, height, covered, 2.0))(*stacked)
    np.testing.assert_allclose(both.slope_change[1], alone.slope_change, atol=1e-4)
