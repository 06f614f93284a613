"""Tangents against a surface whose derivative by u and v is known."""

import fake_face
import numpy as np
import pytest

from jaxface.export.meshes import split_seams
from jaxface.export.tangents import vertex_tangents


def dome():
    mesh = fake_face.dome_mesh(rows=29, columns=37)
    vertex, uv_vertex, triangles = split_seams(mesh)
    return mesh.vertices_mm[vertex], triangles, mesh.uvs[uv_vertex], fake_face.dome_normals(mesh)[vertex]


@pytest.mark.parametrize("mirrored", [False, True])
def test_tangents_follow_u_and_v(mirrored):
    vertices, triangles, uvs, normals = dome()
    uvs = uvs * np.array([[-1.0, 1.0]], np.float32) if mirrored else uvs
    found = vertex_tangents(vertices, triangles, uvs=uvs, normals=normals)
    side = -1.0 if mirrored else 1.0
    slope_x = -80.0 * vertices[:, 0] / 75.0**2  # dz/dx of the paraboloid; u grows with x
    expected = side * np.stack([np.ones_like(slope_x), np.zeros_like(slope_x), slope_x], axis=-1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    tangent, sign = found[:, :3], found[:, 3]
    across = expected - normals * np.sum(expected * normals, axis=1, keepdims=True)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    assert np.sum(tangent * across, axis=1).min() > 0.995
    np.testing.assert_allclose(np.linalg.norm(tangent, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.sum(tangent * normals, axis=1), 0.0, atol=1e-5)
    np.testing.assert_array_equal(sign, side)


def test_uvs_without_direction_still_give_unit_tangents():
    vertices, triangles, uvs, normals = dome()
    found = vertex_tangents(vertices, triangles, uvs=np.zeros_like(uvs), normals=normals)
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.sum(found[:, :3] * normals, axis=1), 0.0, atol=1e-5)
