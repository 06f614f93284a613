"""Distances, borders and normals one can work out by hand, and that no orientation of triangles changes."""

import numpy as np
import pytest
from face_fields import height_field, hills

from jaxface.evaluation.distances import line_angles_degrees, normals_at, on_border, plane_distances, vertex_normals
from jaxface.geometry.nearest import closest, make_search

RNG = np.random.default_rng(0)
FIELD = height_field(hills)


def shuffled(triangles):
    """Every second triangle turned round."""
    turned = triangles.copy()
    turned[::2] = turned[::2, ::-1]
    return turned


def slow_plane_distance(point, vertices, triangles):
    """From the nearest vertex, and the cross products of the triangles around it."""
    nearest = np.argmin([np.linalg.norm(point - vertex) for vertex in vertices])
    normal = np.zeros(3)
    for a, b, c in triangles:
        if nearest in (a, b, c):
            normal += np.cross(vertices[b] - vertices[a], vertices[c] - vertices[a])
    return abs(normal / np.linalg.norm(normal) @ (point - vertices[nearest]))


@pytest.mark.parametrize("turn", [lambda t: t, lambda t: t[:, ::-1], shuffled])
def test_point_to_plane_matches_a_slow_twin_for_any_orientation(turn):
    vertices, triangles = height_field(hills, side=9, step=6.0)
    points = RNG.normal(0.0, 20.0, (40, 3))
    found = plane_distances(points, make_search(vertices, turn(triangles)))
    wanted = [slow_plane_distance(point, vertices, triangles) for point in points]
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_an_offset_along_the_normals_is_the_distance():
    search = make_search(*FIELD)
    points = search.vertices + 0.3 * vertex_normals(search) * RNG.choice([-1.0, 1.0], (len(search.vertices), 1))
    np.testing.assert_allclose(plane_distances(points, search), 0.3, atol=1e-9)


def test_planes_go_on_where_the_surface_ends():
    """Beside a flat square: the plane passes 2 below, the surface's rim is farther."""
    search = make_search(*height_field(lambda x, y: 0.0 * x, side=5))
    point = np.array([[9.0, 0.0, 2.0]])
    assert plane_distances(point, search) == pytest.approx([2.0])
    places = closest(point, search)
    assert np.linalg.norm(places.points - point) == pytest.approx(np.hypot(5.0, 2.0))


def test_a_vertex_without_any_area_has_the_whole_distance():
    search = make_search(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]]))
    assert plane_distances(np.array([[0.0, 3.0, 4.0]]), search) == pytest.approx([5.0])


def test_the_open_border_is_found():
    vertices, triangles = height_field(lambda x, y: 0.0 * x, side=5)
    search = make_search(vertices, triangles)
    xy = np.array([(0.0, 0.0), (0.3, 3.99), (1.0, 4.5), (-9.0, 1.0), (9.0, 9.0), (4.0, 4.0), (2.0, 2.0), (2.5, 1.5)])
    points = np.concatenate([xy, np.ones((len(xy), 1))], axis=1)
    wanted = [False, False, True, True, True, True, False, False]
    for turn in (triangles, shuffled(triangles)):
        found = on_border(closest(points, make_search(vertices, turn)), search._replace(triangles=turn))
        np.testing.assert_array_equal(found, wanted)


def test_a_hole_has_a_border_and_a_closed_surface_none():
    vertices, triangles = height_field(lambda x, y: 0.0 * x, side=5)
    holed = make_search(vertices, triangles[~np.any(triangles == 12, axis=1)])  # without the middle
    assert on_border(closest(np.array([[0.1, 0.2, 0.5]]), holed), holed).all()
    tetrahedron = make_search(
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]), np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
    )
    points = RNG.normal(size=(50, 3)) * 3.0
    assert not on_border(closest(points, tetrahedron), tetrahedron).any()


@pytest.mark.parametrize("turn", [lambda t: t, lambda t: t[:, ::-1], shuffled])
def test_normals_between_vertices_whatever_the_orientation(turn):
    """On a plane they are its own; on a finely meshed field nearly the analytic ones."""
    vertices, triangles = height_field(hills, side=161, step=0.5)
    search = make_search(vertices, turn(triangles))
    inner = np.abs(vertices[:, :2]).max(axis=1) < 38.0
    points = vertices[inner][::37] + np.array([[0.11, 0.17, 0.0]])
    places = closest(points, search)
    x, y = places.points[:, 0], places.points[:, 1]
    dx = (hills(x + 1e-4, y) - hills(x - 1e-4, y)) / 2e-4
    dy = (hills(x, y + 1e-4) - hills(x, y - 1e-4)) / 2e-4
    truth = np.stack([-dx, -dy, np.ones_like(dx)], axis=1)
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    assert line_angles_degrees(normals_at(places, search), truth).max() < 0.5


@pytest.mark.parametrize(("degrees", "wanted"), [(0.0, 0.0), (0.01, 0.01), (40.0, 40.0), (90.0, 90.0), (170.0, 10.0)])
def test_angles_between_lines(degrees, wanted):
    angle = np.radians(degrees)
    found = line_angles_degrees(np.array([[1.0, 0.0, 0.0]]), np.array([[np.cos(angle), np.sin(angle), 0.0]]))
    assert found == pytest.approx([wanted], abs=1e-9)


def test_no_normal_no_angle():
    assert np.isnan(line_angles_degrees(np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]]))).all()
