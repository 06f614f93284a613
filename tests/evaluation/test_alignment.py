"""Surfaces find back to themselves, and distances are those one can work out by hand."""

import numpy as np
import pytest
from face_fields import height_field, hills, rotation

from jaxface.evaluation.alignment import Similarity, align_surface, invert, procrustes, transform

MOVE = Similarity(1.07, rotation((0.3, 1.0, 0.2), 0.12), np.array([2.0, -1.5, 3.0]))


def test_procrustes_finds_a_similarity_and_its_inverse():
    source = np.random.default_rng(0).normal(size=(20, 3))
    found = procrustes(source, transform(source, similarity=MOVE))
    for value, wanted in zip(found, MOVE, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-12)
    np.testing.assert_allclose(
        transform(transform(source, similarity=MOVE), similarity=invert(MOVE)), source, atol=1e-12
    )


def test_procrustes_never_reflects():
    source = np.random.default_rng(1).normal(size=(20, 3))
    found = procrustes(source, source * np.array([[1.0, 1.0, -1.0]]))
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_procrustes_needs_three_points():
    with pytest.raises(ValueError, match="at least 3"):
        procrustes(np.zeros((2, 3)), np.zeros((2, 3)))


def test_a_mesh_comes_back_from_a_similarity():
    vertices, triangles = height_field(hills)
    moved = transform(vertices, similarity=MOVE)
    found = align_surface(vertices[::3], moved, triangles, kept=1.0, num_iterations=300, tolerance=1e-9)
    assert np.max(found.distances) < 1e-3
    assert found.similarity.scale * MOVE.scale == pytest.approx(1.0, abs=1e-4)


def test_a_known_offset_is_the_distance():
    """Points 0.5 above every second cell's middle and 0.5 below the others: no similarity can help."""
    vertices, triangles = height_field(lambda x, y: 0.0 * x)
    points = vertices[triangles].mean(axis=1)
    rows = np.arange(len(points))
    points[:, 2] += np.where((rows + rows // 40) % 2 == 0, 0.5, -0.5)
    found = align_surface(points, vertices, triangles, kept=1.0)
    np.testing.assert_allclose(found.distances, 0.5, atol=1e-2)


def test_trimming_ignores_outliers():
    vertices, triangles = height_field(hills)
    points = vertices[::3].copy()
    points[::20] += np.array([[0.0, 0.0, 15.0]])
    moved = transform(vertices, similarity=MOVE)
    found = align_surface(points, moved, triangles, kept=0.9, num_iterations=300, tolerance=1e-9)
    inliers = np.arange(len(points)) % 20 != 0
    assert np.max(found.distances[inliers]) < 1e-2
    assert np.min(found.distances[~inliers]) > 3.0


def test_the_same_twice():
    vertices, triangles = height_field(hills, side=15)
    runs = [align_surface(vertices, transform(vertices, similarity=MOVE), triangles) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].distances, runs[1].distances)
