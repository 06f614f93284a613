"""Normals against NumPy twins and the sphere."""

import jax
import jax.numpy as jnp
import numpy as np
import trimesh

from jaxface.geometry.normals import depth_normals, vertex_normals


def test_vertex_normals_match_the_slow_twin():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(12, 3))
    triangles = rng.integers(0, 11, (20, 3)).astype(np.int32)  # vertex 11 is in no triangle
    expected = np.zeros((12, 3))
    for a, b, c in triangles:
        weighted = np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
        for corner in (a, b, c):
            expected[corner] += weighted
    lengths = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = expected / np.where(lengths == 0, 1, lengths)
    arguments = (jnp.array(vertices, jnp.float32), jnp.array(triangles))
    for compute in (vertex_normals, jax.jit(vertex_normals)):
        np.testing.assert_allclose(compute(*arguments), expected, atol=1e-5)
    batch = jax.vmap(vertex_normals, in_axes=(0, None))(jnp.stack([arguments[0]] * 2), arguments[1])
    np.testing.assert_allclose(batch[1], expected, atol=1e-5)
    assert (np.array(batch)[:, 11] == 0).all()


def test_sphere_normals_point_outward_at_any_size():
    sphere = trimesh.creation.icosphere(subdivisions=3)
    for radius in (1e-3, 1.0, 100.0):
        normals = vertex_normals(jnp.array(sphere.vertices * radius, jnp.float32), jnp.array(sphere.faces, jnp.int32))
        assert np.min(np.sum(np.array(normals) * sphere.vertices, axis=1)) > 0.999


def test_vertex_normals_have_finite_gradients_on_collapsed_triangles():
    gradient = jax.grad(lambda v: jnp.sum(vertex_normals(v, jnp.array([[0, 1, 2]]))))(jnp.zeros((3, 3)))
    assert np.isfinite(gradient).all()


def test_depth_normals_match_the_slow_twin():
    depth = np.random.default_rng(1).normal(size=(37, 29))
    expected = np.zeros((37, 29, 3))
    for y in range(37):
        for x in range(29):
            left, right, up, down = max(x - 1, 0), min(x + 1, 28), max(y - 1, 0), min(y + 1, 36)
            dx = (depth[y, right] - depth[y, left]) / (right - left)
            dy = (depth[down, x] - depth[up, x]) / (down - up)
            expected[y, x] = np.array([-dx, -dy, 1]) / np.sqrt(dx * dx + dy * dy + 1)
    depth = jnp.array(depth, jnp.float32)
    for compute in (depth_normals, jax.jit(depth_normals)):
        np.testing.assert_allclose(compute(depth), expected, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(depth_normals)(jnp.stack([depth, depth]))[1], expected, atol=1e-5)


def test_depth_normals_of_a_sphere_point_outward():
    y, x = np.mgrid[:61, :61] - 30.0
    height = np.sqrt((40.0**2 - x**2 - y**2).clip(1))
    inner = x**2 + y**2 < 28**2
    expected = np.stack([x, y, height], -1) / 40.0  # image frame: y down
    np.testing.assert_allclose(
        np.array(depth_normals(jnp.array(height, jnp.float32)))[inner], expected[inner], atol=2e-3
    )
