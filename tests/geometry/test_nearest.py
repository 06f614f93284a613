"""The nearest place on a mesh, against trimesh and against samples; on meshes that fool a search by vertices."""

import numpy as np
import pytest
import trimesh
from evaluation.face_fields import height_field, hills

from jaxface.geometry.nearest import closest, make_search

RNG = np.random.default_rng(0)


def soup(seed, *, num=150):
    """Triangles of all sizes, thin ones too, some of no area."""
    rng = np.random.default_rng(seed)
    middles, sizes = rng.normal(0.0, 20.0, (num, 1, 3)), 10.0 ** rng.uniform(-2.0, 1.5, (num, 1, 1))
    corners = middles + sizes * rng.normal(size=(num, 3, 3)) * 10.0 ** rng.uniform(-3.0, 0.0, (num, 1, 3))
    corners[:5, 2] = corners[:5, 1]
    corners[5:8, 1:] = corners[5:8, :1]
    return corners.reshape(-1, 3), np.arange(3 * num).reshape(-1, 3)


def fan(*, num=400):
    """A disc about one vertex that all triangles share."""
    angles = np.linspace(0.0, 2.0 * np.pi, num, endpoint=False)
    rim = np.stack([30.0 * np.cos(angles), 30.0 * np.sin(angles), 4.0 * np.cos(3.0 * angles)], axis=1)
    others = np.arange(num)
    triangles = np.stack([np.zeros(num, int), 1 + others, 1 + (others + 1) % num], axis=1)
    return np.concatenate([np.zeros((1, 3)), rim]), triangles


MESHES = {"field": height_field(hills, side=15, step=6.0), "soup": soup(1), "other soup": soup(2), "fan": fan()}


@pytest.mark.parametrize("mesh", MESHES)
def test_against_trimesh(mesh):
    vertices, triangles = MESHES[mesh]
    points = RNG.normal(0.0, 25.0, (60, 3))
    search = make_search(vertices, triangles)
    with np.errstate(all="ignore"):  # trimesh divides by the area of triangles without any
        _, distances, _ = trimesh.proximity.closest_point_naive(
            trimesh.Trimesh(vertices, triangles, process=False), points
        )
    places = closest(points, search)
    np.testing.assert_allclose(np.linalg.norm(places.points - points, axis=1), distances, atol=1e-6)


@pytest.mark.parametrize("mesh", MESHES)
def test_places_are_where_they_say(mesh):
    vertices, triangles = MESHES[mesh]
    search = make_search(vertices, triangles)
    points = RNG.normal(0.0, 25.0, (200, 3))
    for exact in (False, True):
        places = closest(points, search, exact=exact)
        blended = np.einsum("pc,pcx->px", places.weights, search.vertices[search.triangles[places.faces]])
        np.testing.assert_allclose(places.points, blended, atol=1e-9)
        np.testing.assert_allclose(places.weights.sum(axis=1), 1.0)
        assert places.weights.min() >= -1e-12


def test_a_large_triangle_is_nearer_than_its_corners():
    """The nearest vertex belongs to a small triangle below; the large one above passes closer by."""
    vertices = np.array([[-50.0, -50, 0], [50, -50, 0], [0, 80, 0], [-1, 0, -5], [1, 0, -5], [0, 1, -5]])
    search = make_search(vertices, np.array([[0, 1, 2], [3, 4, 5]]))
    point = np.array([[0.0, 0.2, 2.0]])
    np.testing.assert_allclose(closest(point, search).points, [[0.0, 0.2, 0.0]], atol=1e-12)
    assert closest(point, search, exact=False).faces[0] == 1


def test_on_even_meshes_the_fast_search_is_the_exact_one():
    vertices, triangles = height_field(hills)
    search = make_search(vertices, triangles)
    points = vertices + RNG.normal(0.0, 0.4, vertices.shape)
    fast, exact = (closest(points, search, exact=exact) for exact in (False, True))
    gains = np.linalg.norm(fast.points - points, axis=1) - np.linalg.norm(exact.points - points, axis=1)
    assert gains.min() > -1e-12 and np.mean(gains < 1e-9) > 0.98


def test_vertices_without_triangles_are_no_surface():
    vertices, triangles = height_field(lambda x, y: 0.0 * x, side=5)
    points = np.array([[0.3, 0.2, 1.0]])
    search = make_search(np.concatenate([points, vertices]), triangles + 1)
    np.testing.assert_allclose(closest(points, search).points, [[0.3, 0.2, 0.0]], atol=1e-12)
    np.testing.assert_array_equal(search.numbers, np.arange(26) - 1)


def test_vertices_at_the_same_place_are_one():
    vertices, triangles = MESHES["field"]
    split = make_search(vertices[triangles].reshape(-1, 3), np.arange(triangles.size).reshape(-1, 3))
    whole = make_search(vertices, triangles)
    assert len(split.vertices) == len(vertices)
    np.testing.assert_array_equal(split.vertices[split.triangles], whole.vertices[whole.triangles])
    np.testing.assert_array_equal(split.vertices[split.numbers], vertices[triangles].reshape(-1, 3))
    np.testing.assert_array_equal(whole.vertices, vertices)


def test_pieces_of_a_long_list_give_the_same(monkeypatch):
    vertices, triangles = MESHES["other soup"]
    search, points = make_search(vertices, triangles), RNG.normal(0.0, 25.0, (80, 3))
    whole = closest(points, search)
    monkeypatch.setattr("jaxface.geometry.nearest._MOST_PAIRS", 50)
    for one, other in zip(closest(points, search), whole, strict=True):
        np.testing.assert_array_equal(one, other)
