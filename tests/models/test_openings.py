"""Holes of a mesh: found, closed by membranes that move with the rim, and left alone where they are no eyes."""

import dataclasses

import numpy as np
import pytest
from models import known_face, tiny_bfm, tiny_models

from jaxface.models import openings
from jaxface.models.readers import flame
from jaxface.models.source import SourceModel


def grid_source(holes, *, columns=21, rows=29, step=7.5, **changes) -> SourceModel:
    """A smooth mask; `holes` are cells (row, column) that are left out."""
    face = tiny_models.tiny_face()
    index = np.arange(columns * rows).reshape(rows, columns)
    cells = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1)
    keep = np.ones(cells.shape[:2], bool)
    keep[tuple(np.array(holes).reshape(-1, 2).T)] = False
    triangles = tiny_models.quads_to_triangles(cells[keep]).astype(np.int32)
    fields = dict(
        mean_mm=face.vertices_mm.astype(np.float32),
        identity_mm=tiny_models.tiny_modes(face.vertices_mm, 3, seed=1).astype(np.float32),
        expression_mm=tiny_models.tiny_modes(face.vertices_mm, 2, seed=2).astype(np.float32),
        expression_names=("a", "b"),
        expression_bounds=(0.0, 1.0),
        triangles=triangles,
        uvs=face.uvs.astype(np.float32),
        uv_triangles=triangles,
        colours=np.random.default_rng(0).uniform(size=face.vertices_mm.shape).astype(np.float32),
        ibug_vertices=np.full(68, -1, np.int32),
        note="grid",
    )
    return SourceModel(**(fields | changes))


EYES_AND_MOUTH = [(18, 5), (18, 6), (18, 13), (18, 14), (8, 8), (8, 9), (8, 10), (9, 9)]


def directed_sides(triangles):
    return {tuple(side) for t in triangles.tolist() for side in zip(t, t[1:] + t[:1], strict=True)}


def test_every_rim_is_found_once_in_the_direction_of_what_is_missing():
    source = grid_source(EYES_AND_MOUTH)
    loops = openings.boundary_loops(source.triangles)
    assert sorted(map(len, loops)) == [6, 6, 10, 2 * (20 + 28)]
    sides = directed_sides(source.triangles)
    for loop in loops:
        for start, end in zip(loop, np.roll(loop, -1), strict=True):
            assert (end, start) in sides and (start, end) not in sides


def test_holes_that_touch_in_a_vertex_are_two():
    source = grid_source([(10, 10), (11, 11), (15, 5)])
    assert sorted(map(len, openings.boundary_loops(source.triangles))) == [4, 4, 4, 96]
    closed, is_new = openings.close_openings(source)
    assert [len(loop) for loop in openings.boundary_loops(closed.triangles)] == [96]
    assert is_new.sum() == 3  # a quad has one diagonal, whose middle is new


def test_a_surface_without_holes_has_no_rim():
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    assert openings.boundary_loops(tetrahedron) == []


def test_membranes_hang_from_the_rim_in_every_shape():
    source = grid_source(EYES_AND_MOUTH)
    closed, is_new = openings.close_openings(source)
    count = len(source.mean_mm)
    assert is_new[:count].sum() == 0 and is_new[count:].all() and is_new.sum() >= 8
    rims = np.concatenate([loop for loop in openings.boundary_loops(source.triangles) if len(loop) < 50])
    stack = np.concatenate([closed.mean_mm[None], closed.identity_mm, closed.expression_mm, closed.colours[None]])
    for row in np.flatnonzero(is_new):
        pairs = [(a, b) for place, a in enumerate(rims) for b in rims[:place]]
        middles = 0.5 * (stack[0, [a for a, _ in pairs]] + stack[0, [b for _, b in pairs]])
        a, b = pairs[np.argmin(np.linalg.norm(middles - stack[0, row], axis=1))]
        np.testing.assert_allclose(stack[:, row], 0.5 * (stack[:, a] + stack[:, b]), atol=1e-4)
    np.testing.assert_array_equal(closed.mean_mm[:count], source.mean_mm)
    np.testing.assert_array_equal(closed.triangles[: len(source.triangles)], source.triangles)


def test_only_the_outer_rim_is_left_and_all_faces_agree():
    closed, _ = openings.close_openings(grid_source(EYES_AND_MOUTH))
    loops = openings.boundary_loops(closed.triangles)
    assert [len(loop) for loop in loops] == [96]
    sides = [tuple(side) for t in closed.triangles.tolist() for side in zip(t, t[1:] + t[:1], strict=True)]
    assert len(sides) == len(set(sides))  # no side is run along twice in one direction
    corners = closed.mean_mm[closed.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert np.all(normals[:, 2] > 0.0)


def test_the_texture_is_closed_too():
    source = grid_source(EYES_AND_MOUTH)
    closed, is_new = openings.close_openings(source)
    assert closed.uv_triangles.shape == closed.triangles.shape and closed.uv_triangles.max() == len(closed.uvs) - 1
    uvs = closed.uvs[closed.uv_triangles]
    (a_u, a_v), (b_u, b_v) = (uvs[:, 1] - uvs[:, 0]).T, (uvs[:, 2] - uvs[:, 0]).T
    assert np.all(a_u * b_v - a_v * b_u > 0.0)
    # The grid's UVs are linear in x and y, so that those of midpoints are too.
    at_vertex = np.zeros((len(closed.mean_mm), 2))
    at_vertex[closed.triangles] = uvs
    expected = 0.05 + 0.9 * (closed.mean_mm[:, :2] - source.mean_mm[0, :2]) / np.ptp(source.mean_mm[:, :2], axis=0)
    np.testing.assert_allclose(at_vertex[is_new], expected[is_new], atol=1e-4)


def test_a_model_without_colours_and_uvs_is_closed_as_well():
    source = grid_source(EYES_AND_MOUTH, colours=None, uvs=None, uv_triangles=None)
    closed, is_new = openings.close_openings(source)
    assert closed.colours is None and closed.uvs is None and is_new.any()


def test_membranes_follow_the_joints(tmp_path):
    path = tiny_bfm.write_flame(tmp_path / "generic_model.npz", tiny_bfm.flame_fields(tiny_bfm.tiny_face()))
    source = flame.read(path)
    hole = np.flatnonzero(np.abs(source.mean_mm[source.triangles].mean(axis=1)[:, :2]).max(axis=1) < 15.0)
    source = dataclasses.replace(source, triangles=np.delete(source.triangles, hole, axis=0))
    closed, is_new = openings.close_openings(source)
    joints = closed.articulation
    assert is_new.any() and joints.weights.shape[0] == joints.correctives_mm.shape[1] == len(closed.mean_mm)
    np.testing.assert_allclose(joints.weights.sum(axis=1), 1.0, atol=1e-5)


def test_pieces_are_left_as_they_are():
    apart = grid_source(EYES_AND_MOUTH + [(14, column) for column in range(20)])
    same, is_new = openings.close_openings(apart)
    assert same is apart and not is_new.any()


def test_wide_openings_are_none():
    wide = [(row, column) for row in range(5, 22) for column in range(4, 15)]
    source = grid_source(wide)
    closed, is_new = openings.close_openings(source)
    assert not is_new.any() and len(openings.boundary_loops(closed.triangles)) == 2


@pytest.mark.parametrize("count", [3, 4, 5, 12])
def test_any_polygon_is_filled(count):
    angles = 2.0 * np.pi * np.arange(count) / count
    points = np.stack([30.0 * np.cos(angles), 4.0 * np.sin(angles), 0.0 * angles], axis=1)
    local = openings._fill(points)
    assert len(local) == count - 2
    corners = points[local]
    areas = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    shoelace = 0.5 * np.sum(points[:, 0] * np.roll(points[:, 1], -1) - points[:, 1] * np.roll(points[:, 0], -1))
    assert np.all(areas > 0.0)
    np.testing.assert_allclose(areas.sum(), shoelace)


def test_the_known_face_is_closed_at_eyes_and_mouth():
    opened = known_face.cut_open(known_face.make_source())
    assert len(openings.boundary_loops(opened.triangles)) == 4
    closed, is_new = openings.close_openings(opened)
    assert len(openings.boundary_loops(closed.triangles)) == 1 and is_new.sum() > 60
