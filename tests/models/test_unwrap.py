"""Cylindrical texture coordinates: inside the square, mirrored as the face is, cut at the back, not folded."""

import numpy as np
from models import known_face, tiny_models

from jaxface.models.unwrap import cylindrical_uvs


def signed_areas(uvs, triangles):
    (a_u, a_v), (b_u, b_v) = (np.moveaxis(uvs[triangles[:, k]] - uvs[triangles[:, 0]], 1, 0) for k in (1, 2))
    return a_u * b_v - a_v * b_u


def head(*, rings=15, around=24):
    """An ellipsoid without poles, looking along +z; it closes behind."""
    height, turn = np.meshgrid(
        np.linspace(-1.2, 1.2, rings), 2 * np.pi * np.arange(around) / around + 0.05, indexing="ij"
    )
    x, z = 75.0 * np.cos(height) * np.sin(turn), 95.0 * np.cos(height) * np.cos(turn) - 20.0
    vertices = np.stack([x, 120.0 * np.sin(height), z], axis=-1).reshape(-1, 3)
    index = np.arange(rings * around).reshape(rings, around)
    right = np.roll(index, -1, axis=1)
    quads = np.stack([index[:-1], right[:-1], right[1:], index[1:]], axis=-1).reshape(-1, 4)
    return vertices.astype(np.float32), tiny_models.quads_to_triangles(quads).astype(np.int32)


def test_a_mask_stays_in_the_square_and_keeps_its_symmetry():
    face = tiny_models.tiny_face()
    triangles = tiny_models.quads_to_triangles(face.quads).astype(np.int32)
    uvs, uv_triangles = cylindrical_uvs(face.vertices_mm, triangles)
    assert uvs.dtype == np.float32 and uvs.min() >= 0.0 and uvs.max() <= 1.0 and np.all(np.ptp(uvs, axis=0) > 0.9)
    np.testing.assert_array_equal(uv_triangles, triangles)  # no cut
    mirrored = uvs.reshape(tiny_models.ROWS, tiny_models.COLUMNS, 2)[:, ::-1]
    np.testing.assert_allclose(uvs[:, 0], 1.0 - mirrored[..., 0].ravel(), atol=1e-6)
    np.testing.assert_allclose(uvs[:, 1], mirrored[..., 1].ravel(), atol=1e-6)


def test_up_is_up_and_the_subjects_left_is_right():
    face = tiny_models.tiny_face()
    uvs, _ = cylindrical_uvs(face.vertices_mm, tiny_models.quads_to_triangles(face.quads))
    assert uvs[np.argmax(face.vertices_mm[:, 0]), 0] > 0.9 and uvs[np.argmax(face.vertices_mm[:, 1]), 1] > 0.9


def test_a_head_is_cut_behind():
    vertices, triangles = head()
    uvs, uv_triangles = cylindrical_uvs(vertices, triangles)
    assert len(uvs) > len(vertices) and uvs.min() >= 0.0 and uvs.max() <= 1.0
    assert np.ptp(uvs[uv_triangles][..., 0], axis=1).max() < 0.1  # nothing spans the texture
    doubled = np.any(uv_triangles != triangles, axis=1)
    assert doubled.any() and np.all(np.abs(vertices[triangles[doubled]]).max(axis=1)[:, 0] < 25.0)
    assert np.all(vertices[triangles[doubled], 2] < -50.0)
    heights = uvs[uv_triangles][..., 1] - uvs[triangles][..., 1]
    np.testing.assert_allclose(heights, 0.0, atol=1e-6)


def test_no_triangle_of_a_convex_head_is_folded():
    vertices, triangles = head()
    assert np.all(signed_areas(*cylindrical_uvs(vertices, triangles)) > 1e-5)


def test_hardly_any_of_a_face_is_folded():
    source = known_face.cut_open(known_face.make_source())
    corners = source.mean_mm[source.triangles]
    sizes = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    folded = signed_areas(*cylindrical_uvs(source.mean_mm, source.triangles)) <= 0.0
    assert sizes[folded].sum() < 0.06 * sizes.sum()  # under the nose and in the corners of the eyes
