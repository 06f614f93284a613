"""Loop subdivision against trimesh's, and the properties that make it a smoothing scheme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from jaxface.geometry.subdivision import Subdivision, loop_subdivision, midpoint_subdivision, subdivide


def open_mesh() -> trimesh.Trimesh:
    """A bumpy sphere with the fans of two vertices cut out.

    No edge joins two boundary vertices from inside: trimesh 5.2 takes such a chord for a part of the boundary.
    """
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=3.0)
    faces = sphere.faces[~np.isin(sphere.faces, [0, 3]).any(1)]
    bumps = 1 + 0.1 * np.sin(2 * sphere.vertices[:, :1]) * np.cos(3 * sphere.vertices[:, 1:2])
    return trimesh.Trimesh(sphere.vertices * bumps, faces).copy()


def closed_mesh() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=1, radius=10.0)


def build(mesh, levels) -> Subdivision:
    return loop_subdivision(mesh.faces.astype(np.int32), num_vertices=len(mesh.vertices), levels=levels)


@pytest.mark.parametrize("make", [open_mesh, closed_mesh])
@pytest.mark.parametrize("levels", [1, 2])
def test_positions_match_trimesh(make, levels):
    mesh = make()
    subdivision = build(mesh, levels)
    ours = np.asarray(subdivide(jnp.asarray(mesh.vertices, jnp.float32), subdivision=subdivision))
    vertices, faces = trimesh.remesh.subdivide_loop(mesh.vertices, mesh.faces, iterations=levels)
    assert ours.shape == vertices.shape and subdivision.triangles.shape == faces.shape
    distance, match = cKDTree(vertices).query(ours)
    assert distance.max() < 1e-4
    ours_faces = {tuple(sorted(face)) for face in match[np.asarray(subdivision.triangles)].tolist()}
    assert ours_faces == {tuple(sorted(face)) for face in faces.tolist()}


def test_midpoints_keep_the_faces_flat():
    mesh = open_mesh()
    flat = midpoint_subdivision(mesh.faces.astype(np.int32), num_vertices=len(mesh.vertices), levels=2)
    np.testing.assert_array_equal(flat.triangles, build(mesh, 2).triangles)
    fine = np.asarray(subdivide(jnp.asarray(mesh.vertices, jnp.float32), subdivision=flat))
    np.testing.assert_allclose(fine[: len(mesh.vertices)], mesh.vertices, atol=1e-6)
    normals = trimesh.Trimesh(fine, np.asarray(flat.triangles), process=False).face_normals
    np.testing.assert_allclose(normals, np.repeat(mesh.face_normals, 16, axis=0), atol=1e-3)


def test_old_vertices_come_first():
    mesh = open_mesh()
    subdivision = build(mesh, 2)
    fine = np.asarray(subdivide(jnp.asarray(mesh.vertices, jnp.float32), subdivision=subdivision))
    moved = np.linalg.norm(fine[: len(mesh.vertices)] - mesh.vertices, axis=1)
    assert moved.max() < 0.6  # less than an edge: vertex i stays about where it was
    assert moved.max() > 0.01


def test_partition_of_unity_and_orientation():
    mesh = closed_mesh()
    subdivision = build(mesh, 2)
    np.testing.assert_allclose(np.asarray(subdivision.weights).sum(1), 1.0, atol=1e-6)
    fine = np.asarray(subdivide(jnp.asarray(mesh.vertices, jnp.float32), subdivision=subdivision))
    result = trimesh.Trimesh(fine, np.asarray(subdivision.triangles), process=False)
    assert result.is_watertight and result.is_winding_consistent and result.volume > 0


def test_linear_functions_survive_on_a_regular_sheet():
    """Where the mesh is a regular grid, a linear field stays linear (the scheme's precision)."""
    x, y = np.meshgrid(np.arange(8.0), np.arange(8.0))
    faces = [(i + 8 * j + np.array(t)) for j in range(7) for i in range(7) for t in ((0, 1, 9), (0, 9, 8))]
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    subdivision = loop_subdivision(np.array(faces, np.int32), num_vertices=64, levels=1)
    fine = np.asarray(subdivide(jnp.asarray(points, jnp.float32), subdivision=subdivision))
    inner = ((points > 1.5) & (points < 5.5)).all(1)
    np.testing.assert_allclose(fine[:64][inner], points[inner], atol=1e-5)
    field = np.asarray(subdivide(jnp.asarray(points @ [[2.0], [-3.0]] + 1, jnp.float32), subdivision=subdivision))
    np.testing.assert_allclose(field, fine @ [[2.0], [-3.0]] + 1, atol=1e-4)


def test_boundary_rules():
    """1/8, 3/4, 1/8 on old boundary vertices and plain midpoints between them."""
    triangle = np.array([[0, 1, 2]], np.int32)
    subdivision = loop_subdivision(triangle, num_vertices=3, levels=1)
    fine = np.asarray(subdivide(jnp.eye(3), subdivision=subdivision))
    np.testing.assert_allclose(fine[0], [0.75, 0.125, 0.125], atol=1e-7)
    np.testing.assert_allclose(np.sort(fine[3:], axis=1), [[0, 0.5, 0.5]] * 3, atol=1e-7)


def test_jit_vmap_and_gradient():
    mesh = open_mesh()
    subdivision = build(mesh, 2)
    rng = np.random.default_rng(0)
    batch = jnp.asarray(rng.normal(size=(3, len(mesh.vertices), 2)), jnp.float32)
    plain = jnp.stack([subdivide(values, subdivision=subdivision) for values in batch])
    mapped = jax.jit(jax.vmap(lambda values: subdivide(values, subdivision=subdivision)))(batch)
    np.testing.assert_allclose(mapped, plain, atol=1e-6)
    gradient = jax.grad(lambda values: subdivide(values, subdivision=subdivision).sum())(batch[0])
    totals = np.zeros(len(mesh.vertices))
    np.add.at(totals, np.asarray(subdivision.indices).ravel(), np.asarray(subdivision.weights).ravel())
    np.testing.assert_allclose(gradient[:, 0], totals, rtol=1e-5)
