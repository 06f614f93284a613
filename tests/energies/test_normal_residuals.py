"""Normals that a network sees, as residuals and as slopes, against slow twins."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.ndimage

from jaxface.energies.normals import (
    Inclination,
    NormalsSeen,
    across,
    at_places,
    learned_normals,
    normal_residuals,
    normals_seen,
    pool,
    triangle_normals,
)
from jaxface.energies.skin import view_skin
from jaxface.rendering.camera import orthographic, project
from jaxface.types import Crop, LearnedNormals, Pose

SETTINGS = {"least": 0.1, "independent": 70.0, "outlier": 2.5}
RNG = np.random.default_rng(4)


def directions(number, tilt):
    """Unit vectors that look at the viewer."""
    xy = RNG.normal(0.0, tilt, (number, 2)).clip(-0.6, 0.6)
    return np.concatenate([xy, np.sqrt(1.0 - np.sum(xy**2, axis=1, keepdims=True))], axis=1).astype(np.float32)


NORMALS, WEIGHTS = directions(23, 0.3), np.maximum(RNG.normal(0.6, 0.5, 23), 0.0).astype(np.float32)
SEEN = Inclination(
    jnp.asarray(directions(23, 0.3)),
    jnp.asarray(RNG.uniform(0.05, 0.5, 23), jnp.float32),
    jnp.asarray(RNG.uniform(0.0, 1.0, 23), jnp.float32),
)


def residuals(normals):
    return normal_residuals(normals, SEEN, jnp.asarray(WEIGHTS), **SETTINGS)


def slow_residuals(normals, *, least, independent, outlier):
    """A patch at a time, float64: the turn that takes the target to the z axis, then Geman and McClure's root."""
    out = []
    for normal, target, spread, skin, weight in zip(normals, *map(np.float64, SEEN), WEIGHTS, strict=True):
        axis, sine = np.cross(target, [0.0, 0.0, 1.0]), np.hypot(*target[:2])
        axis = axis / sine
        k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        turn = np.eye(3) + sine * k + (1.0 - target[2]) * k @ k
        error = (turn @ normal)[:2] / max(spread, least)
        softened = error / np.sqrt(1.0 + np.sum(error**2) / outlier**2)
        out.append(np.sqrt(independent * weight * skin / np.sum(np.float64(WEIGHTS))) * softened)
    return np.concatenate(out)


def test_residuals_match_the_loop_plain_jit_and_vmap():
    expected = slow_residuals(np.float64(NORMALS), **SETTINGS)
    assert np.ptp(expected) > 1.0
    np.testing.assert_allclose(residuals(NORMALS), expected, atol=1e-4)
    np.testing.assert_allclose(jax.jit(residuals)(NORMALS), expected, atol=1e-4)
    other = directions(23, 0.2)
    together = jax.vmap(residuals)(jnp.stack([other, NORMALS]))
    np.testing.assert_allclose(together[1], expected, atol=1e-4)
    np.testing.assert_allclose(together[0], slow_residuals(np.float64(other), **SETTINGS), atol=1e-4)


def test_gradient_agrees_with_finite_differences_and_is_finite_at_the_start():
    probe = RNG.normal(size=46)
    gradient = jax.grad(lambda n: jnp.sum(jnp.asarray(probe, jnp.float32) * residuals(n)))(jnp.asarray(NORMALS))
    oracles.check_gradient(lambda n: probe @ slow_residuals(n, **SETTINGS), np.float64(NORMALS), gradient, step=1e-5)
    np.testing.assert_allclose(residuals(SEEN.normals_image), 0.0, atol=1e-5)
    jacobian = jax.jacfwd(residuals)(SEEN.normals_image)
    assert np.all(np.isfinite(jacobian)) and np.any(jacobian != 0.0)


def test_no_patch_pulls_harder_than_an_outlier_may():
    wild = normal_residuals(
        directions(23, 0.6), SEEN._replace(spread=0.0 * SEEN.spread), jnp.asarray(WEIGHTS),
        least=1e-6, independent=70.0, outlier=2.5,
    )  # fmt: skip
    limit = 2.5 * np.sqrt(70.0 * WEIGHTS * SEEN.skin / WEIGHTS.sum())
    np.testing.assert_allclose(np.linalg.norm(np.reshape(wild, (-1, 2)), axis=1), limit, rtol=1e-3, atol=1e-4)


def test_the_part_across_is_the_sine_of_the_angle():
    normals, targets = directions(50, 0.3), directions(50, 0.3)
    sines = np.linalg.norm(np.cross(normals, targets), axis=1)
    np.testing.assert_allclose(np.linalg.norm(across(normals, targets), axis=1), sines, atol=1e-5)


def test_triangles_are_inclined_as_the_image_shows_them():
    corners_mm = RNG.normal(0.0, 5.0, (31, 3, 3)).astype(np.float32)
    pose = Pose(jnp.array([0.2, -0.4, 0.1]), jnp.array([50.0, 60.0]), jnp.log(jnp.float32(2.0)))
    corners_px = project(jnp.asarray(corners_mm.reshape(-1, 3)), pose, camera=orthographic()).reshape(-1, 3, 3)
    expected = view_skin(corners_mm, pose, camera=orthographic()).normals_image
    np.testing.assert_allclose(triangle_normals(corners_px), expected, atol=1e-4)


@pytest.mark.parametrize("skin", [0.0, 1.0])
def test_pools_mean_over_skin_alone(skin):
    """Left of the middle nothing is known, not even numbers."""
    size = 64
    left = jnp.arange(size)[None, :, None] < 32
    tilted = jnp.broadcast_to(jnp.array([0.6, 0.0, 0.8]), (size, size, 3))
    spread = jnp.where(left[..., 0], jnp.nan, 0.2) * jnp.ones((size, size))
    seen = NormalsSeen(
        jnp.where(left, jnp.nan, tilted), spread, jnp.where(left[..., 0], 0.0, skin) * jnp.ones((size, size))
    )
    pooled = pool(seen)
    assert all(np.all(np.isfinite(part)) for part in pooled)
    found = at_places(pooled, jnp.array([[10.0, 20.0], [50.0, 30.0], [32.0, 40.0]]), Crop(jnp.zeros(2), jnp.float32(1)))
    assert found.skin[0] == 0.0 and abs(float(found.skin[1]) - skin) < 1e-3
    if skin:
        np.testing.assert_allclose(found.normals_image[1:], np.tile([[0.6, 0.0, 0.8]], (2, 1)), atol=1e-4)
        np.testing.assert_allclose(found.spread[1:], 0.2, atol=1e-4)
    else:
        assert not np.any(found.skin)


def test_what_is_seen_on_one_surface_asks_of_another():
    """Slopes that are asked for do not depend on the surface they were told of."""
    rng = np.random.default_rng(0)
    first, second = (jnp.asarray(scipy.ndimage.gaussian_filter(rng.normal(size=(24, 20)), 3) * 9) for _ in range(2))
    change = jnp.asarray(rng.normal(0.0, 0.2, (24, 20, 2)))
    said = LearnedNormals(change, jnp.full((24, 20), 0.2), jnp.ones((24, 20)))
    seen = normals_seen(said, first)
    np.testing.assert_allclose(np.linalg.norm(seen.normals_image, axis=-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(learned_normals(seen, first).slope_change, change, atol=1e-4)
    moved = jnp.stack(jnp.gradient(first - second)[::-1], axis=-1) + change
    np.testing.assert_allclose(learned_normals(seen, second).slope_change, moved, atol=1e-4)
