"""ICP of every kind: meshes come back, trimming and rigidity hold, steps are those of a slow twin and of trimesh."""

import numpy as np
import pytest
import trimesh
from face_fields import face, height_field, hills, rotation

from jaxface.evaluation import alignment
from jaxface.evaluation.alignment import Similarity, align, compose, invert, plane_step, procrustes, transform
from jaxface.geometry.nearest import closest, make_search
from jaxface.types import FaceError

KINDS = ["point_to_point", "point_to_plane", "point_to_surface"]
LINEARISED = KINDS[1:]
IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))
MOVE = Similarity(1.06, rotation((0.3, 1.0, 0.2), 0.1), np.array([2.0, -1.5, 3.0]))
FIELD = height_field(hills)


def slow_step(sources, targets, normals, *, scale):
    """Residuals and their derivatives one pair at a time, by finite differences; then least squares."""
    centre = sources.mean(axis=0)

    def moved(unknowns, point):
        turn = rotation(unknowns[:3], np.linalg.norm(unknowns[:3])) if np.any(unknowns[:3]) else np.eye(3)
        return centre + np.exp(unknowns[6]) * turn @ (point - centre) + unknowns[3:6]

    num = 7 if scale else 6
    rows, gaps = [], []
    for source, target, normal in zip(sources, targets, normals, strict=True):
        gaps.append(normal @ (target - source))
        row = []
        for k in range(num):
            ahead, behind = np.zeros(7), np.zeros(7)
            ahead[k], behind[k] = 1e-6, -1e-6
            row.append(normal @ (moved(ahead, source) - moved(behind, source)) / 2e-6)
        rows.append(row)
    unknowns = np.zeros(7)
    unknowns[:num] = np.linalg.lstsq(np.array(rows), np.array(gaps), rcond=None)[0]
    return np.array([moved(unknowns, source) for source in sources])


@pytest.mark.parametrize("scale", [True, False])
def test_the_linearised_step_matches_a_slow_twin(scale):
    rng = np.random.default_rng(0)
    sources = rng.normal(0.0, 30.0, (40, 3)) + np.array([[5.0, -80.0, 300.0]])
    normals = rng.normal(size=(40, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    targets = sources + rng.normal(0.0, 0.5, (40, 3))
    step = plane_step(sources, targets, normals, scale=scale)
    wanted = slow_step(sources, targets, normals, scale=scale)
    np.testing.assert_allclose(transform(sources, similarity=step), wanted, atol=1e-6)
    assert scale or step.scale == 1.0


def test_what_a_plane_does_not_fix_stays_as_it_is():
    """Points over a plane: height and tilt are known; sliding, spinning and size are not."""
    sources = np.random.default_rng(1).normal(size=(30, 3)) * np.array([[20.0, 30.0, 0.0]])
    normals = np.tile([[0.0, 0.0, 1.0]], (30, 1))
    step = plane_step(sources, sources + np.array([[7.0, -3.0, 2.0]]), normals, scale=True)
    np.testing.assert_allclose(step.translation, [0.0, 0.0, 2.0], atol=1e-9)
    np.testing.assert_allclose(step.rotation, np.eye(3), atol=1e-9)
    assert step.scale == pytest.approx(1.0, abs=1e-9)


def test_a_step_far_beyond_the_linear_is_shortened():
    sources = np.random.default_rng(2).normal(size=(30, 3))
    normals = sources / np.linalg.norm(sources, axis=1, keepdims=True)
    step = plane_step(sources, 50.0 * sources, normals, scale=True)
    assert step.scale == pytest.approx(np.exp(0.2))


def test_pairs_without_directions_move_nothing():
    sources = np.random.default_rng(3).normal(size=(30, 3))
    step = plane_step(sources, sources + 1.0, np.zeros((30, 3)), scale=True)
    np.testing.assert_allclose(transform(sources, similarity=step), sources, atol=1e-12)


@pytest.mark.parametrize("moving", ["surface", "points"])
@pytest.mark.parametrize("icp", KINDS)
def test_a_mesh_comes_back(icp, moving):
    vertices, triangles = FIELD
    search = make_search(transform(vertices, similarity=MOVE), triangles)
    found = align(vertices[::3], search, start=IDENTITY, icp=icp, moving=moving, num_iterations=300, tolerance=1e-9)
    assert np.max(found.distances) < (2e-3 if icp == "point_to_point" else 1e-9)
    wanted = invert(MOVE) if moving == "surface" else MOVE
    for value, known in zip(found.similarity, wanted, strict=True):
        np.testing.assert_allclose(value, known, atol=3e-3)


def test_linearised_steps_need_fewer_rounds():
    vertices, triangles = FIELD
    search = make_search(transform(vertices, similarity=MOVE), triangles)
    rounds = {icp: align(vertices[::3], search, start=IDENTITY, icp=icp).num_iterations for icp in KINDS}
    assert 3 * max(rounds[icp] for icp in LINEARISED) < rounds["point_to_point"]


@pytest.mark.parametrize("icp", KINDS)
def test_rigid_alignment_keeps_the_size(icp):
    vertices, triangles = FIELD
    search = make_search(transform(vertices, similarity=MOVE), triangles)
    found = align(vertices[::3], search, start=invert(MOVE), icp=icp, scale=False)
    assert found.similarity.scale == 1.0
    assert np.mean(found.distances) > 0.1  # a surface 6 % too large


@pytest.mark.parametrize("icp", KINDS)
def test_trimming_ignores_one_outlier_in_ten(icp):
    vertices, triangles = FIELD
    points = vertices[::3].copy()
    points[::10] += np.array([[0.0, 0.0, 15.0]])
    search = make_search(transform(vertices, similarity=MOVE), triangles)
    settings = {"icp": icp, "num_iterations": 300, "tolerance": 1e-9}
    found = align(points, search, start=IDENTITY, kept=0.88, **settings)
    inliers = np.arange(len(points)) % 10 != 0
    assert np.max(found.distances[inliers]) < 5e-3
    assert np.min(found.distances[~inliers]) > 3.0
    untrimmed = align(points, search, start=IDENTITY, kept=1.0, **settings)
    assert np.mean(untrimmed.distances[inliers]) > 0.1


def test_point_to_point_takes_the_steps_of_trimesh(monkeypatch):
    """Points of another surface, brought to a mesh; both search exactly, since its triangles are large.

    Rigidly: trimesh's scale is the ratio of spreads, not the least-squares one.
    """
    pytest.importorskip("rtree")
    monkeypatch.setattr(alignment, "closest", lambda points, search, exact: closest(points, search))
    vertices, triangles = height_field(hills, side=21, step=4.0)
    points = height_field(lambda x, y: hills(x, y) + np.sin(x / 7.0) * np.cos(y / 5.0), side=11, step=4.7)[0]
    points = transform(points, similarity=Similarity(0.97, MOVE.rotation, MOVE.translation))
    target = trimesh.Trimesh(vertices, triangles, process=False)
    settings = {"threshold": 0.0, "max_iterations": 12, "scale": False, "reflection": False}
    _, moved, _ = trimesh.registration.icp(points, target, **settings)
    search = make_search(vertices, triangles)
    found = align(points, search, start=IDENTITY, moving="points", scale=False, num_iterations=12, tolerance=0.0)
    np.testing.assert_allclose(transform(points, similarity=found.similarity), moved, atol=1e-6)


def test_point_to_surface_lowers_the_sum_of_squares_to_its_least():
    """No small motion from where it ends brings the points nearer, the border of the surface included."""
    surface = face(side=31, step=5.0)
    search = make_search(surface.vertices_mm, surface.triangles)
    points = face(side=45, step=4.0, height=lambda x, y: 60.0 * np.cos(x / 90.0) * np.cos(y / 80.0)).vertices_mm
    found = align(points, search, start=IDENTITY, icp="point_to_surface", tolerance=1e-9)

    def cost(similarity):
        distances = align(points, search, start=similarity, num_iterations=0).distances
        return np.mean(distances**2)

    least = cost(found.similarity)
    for axis in np.eye(3):
        for size in (-0.003, 0.003):
            for change in (
                Similarity(1.0, rotation(axis, size), np.zeros(3)),
                Similarity(1.0, np.eye(3), 50.0 * size * axis),
                Similarity(1.0 + size, np.eye(3), np.zeros(3)),
            ):
                assert cost(compose(change, found.similarity)) > least


def test_rigid_procrustes():
    source = np.random.default_rng(4).normal(size=(20, 3))
    found = procrustes(source, transform(source, similarity=MOVE), scale=False)
    assert found.scale == 1.0
    np.testing.assert_allclose(found.rotation, MOVE.rotation, atol=1e-12)
    np.testing.assert_allclose(
        transform(source.mean(axis=0)[None], similarity=found)[0],
        transform(source.mean(axis=0)[None], similarity=MOVE)[0],
        atol=1e-12,
    )


def test_points_that_coincide_are_refused():
    with pytest.raises(FaceError, match="coincide"):
        procrustes(np.ones((5, 3)), np.random.default_rng(5).normal(size=(5, 3)))


def test_compose_does_one_then_the_other():
    points = np.random.default_rng(6).normal(size=(5, 3))
    other = Similarity(0.4, rotation((1.0, 2.0, -1.0), 1.3), np.array([9.0, 0.0, -4.0]))
    both = transform(transform(points, similarity=MOVE), similarity=other)
    np.testing.assert_allclose(transform(points, similarity=compose(other, MOVE)), both, atol=1e-12)
