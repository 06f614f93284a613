"""Clay pictures: where the mesh is drawn, how bright it is, and a face under new light."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import grid_triangles

from jaxface.geometry.normals import depth_normals
from jaxface.rendering import clay
from jaxface.rendering.camera import orthographic
from jaxface.types import Pose

SIZE = 41
POSE = Pose(jnp.zeros(3), jnp.array([20.0, 20.0]), jnp.zeros(()))


def sphere_mesh(radius_mm=15.0, *, rows=13, columns=17):
    """The half of a sphere that faces the viewer, from its middle outwards; counter-clockwise from outside."""
    tilt, turn = np.meshgrid(np.linspace(0.0, np.pi / 2, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    points = [np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)]
    vertices = radius_mm * np.stack(points, axis=-1).reshape(-1, 3)
    return jnp.asarray(vertices, jnp.float32), jnp.asarray(grid_triangles(rows, columns), jnp.int32)


VERTICES, TRIANGLES = sphere_mesh()


@jax.jit
def picture(vertices_mm=VERTICES):
    return clay.render_clay(vertices_mm, TRIANGLES, POSE, camera=orthographic(), size=SIZE)


def test_lambert_matches_the_slow_twin():
    normals = np.random.default_rng(0).normal(size=(7, 5, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    shade = np.array(clay.lambert(jnp.asarray(normals, jnp.float32)))
    for place in np.ndindex(7, 5):
        expected = clay._AMBIENT
        for direction, strength in (clay._KEY, clay._FILL):
            unit = np.array(direction) / np.linalg.norm(direction)
            expected += strength * max(float(normals[place] @ unit), 0.0)
        np.testing.assert_allclose(shade[place], expected, rtol=1e-5)


def test_the_key_light_comes_from_the_upper_left():
    def shade(x, y):
        return float(clay.lambert(jnp.array([[[x, y, 0.7]]]))[0, 0])

    assert shade(-0.5, -0.5) > shade(0.5, -0.5) > shade(0.5, 0.5)
    assert shade(-0.5, -0.5) > shade(-0.5, 0.5)
    assert float(clay.lambert(jnp.array([[[0.0, 0.0, -1.0]]]))[0, 0]) == np.float32(clay._AMBIENT)


def test_a_sphere_is_a_lit_disc_on_white():
    drawn = np.array(picture())
    y, x = np.mgrid[:SIZE, :SIZE] - 20.0
    radius = np.hypot(x, y)
    assert drawn.shape == (SIZE, SIZE, 3) and drawn.min() >= 0.0 and drawn.max() <= 1.0
    np.testing.assert_array_equal(drawn[radius > 15.5], 1.0)
    assert (drawn[radius < 14.0] < 1.0).all()
    # The picture is that of the analytic normals in the image frame, where y points down.
    normals = np.stack([x, y, np.sqrt(np.maximum(225.0 - radius**2, 0.0))], axis=-1) / 15.0
    shade = np.array(clay.lambert(jnp.asarray(normals, jnp.float32)))
    expected = np.array(clay._CLAY) * shade[..., None] ** (1.0 / 2.2)
    inside = radius < 12.0
    gap = (drawn - np.clip(expected, 0.0, 1.0))[inside]  # the mesh is coarse
    assert np.sqrt(np.mean(gap**2)) < 0.01 and np.abs(gap).max() < 0.06
    assert drawn[10, 10].mean() > drawn[30, 30].mean() + 0.1


def test_pictures_batch():
    both = jax.vmap(picture)(jnp.stack([VERTICES, 0.8 * VERTICES]))
    np.testing.assert_allclose(both[0], picture(), atol=1e-5)
    assert np.sum(both[1] == 1.0) > np.sum(both[0] == 1.0)


@pytest.fixture
def face():
    """A bumpy albedo on a dome, a soft mask, and a background."""
    y, x = jnp.meshgrid(jnp.linspace(-1, 1, 37), jnp.linspace(-1, 1, 29), indexing="ij")
    normals = depth_normals(8.0 * (1.0 - x * x - y * y))
    mask = jnp.clip(3.0 * (0.8 - x * x - y * y), 0.0, 1.0)
    albedo = jnp.stack([0.5 + 0.1 * x, 0.4 + 0.1 * y, 0.3 + 0.0 * x], axis=-1)
    background = jnp.broadcast_to(jnp.array([[[0.3, 0.4, 0.5]]]), albedo.shape)
    return albedo, normals, mask, background


def test_relighting_keeps_background_and_brightness(face):
    albedo, normals, mask, background = face
    relit = np.array(clay.relight(albedo, normals, mask, background=background))
    np.testing.assert_array_equal(relit[np.array(mask) == 0], np.array(background)[np.array(mask) == 0])
    weight = np.array(mask)[..., None]
    np.testing.assert_allclose(np.sum(weight * relit), np.sum(weight * background), rtol=0.05)
    full = np.array(mask) == 1
    ratio = relit[full] / np.array(albedo * clay.lambert(normals)[..., None])[full]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-4)
    assert relit[:18].mean() > relit[19:].mean()


def test_relighting_without_a_face_is_the_photo(face):
    albedo, normals, mask, background = face
    relit = clay.relight(albedo, normals, jnp.zeros_like(mask), background=background)
    np.testing.assert_array_equal(relit, background)
    dark = clay.relight(jnp.zeros_like(albedo), normals, mask, background=background)
    assert np.isfinite(dark).all()
