"""The embedded model: units, frame, symmetry, UVs, statistics and the meaning of its expressions."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from jaxface.morphable import default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.types import NUM_LANDMARKS, Region

RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS = 33, 263
NOSE_TIP, CHIN, UPPER_LIP, LOWER_LIP, LEFT_CORNER = 1, 152, 13, 14, 291
FACE_OVAL_SIZE = 36


@pytest.fixture(scope="module")
def model():
    return default.load_default()


@pytest.fixture(scope="module")
def mean(model):
    return np.asarray(model.mean_mm, np.float64)


@pytest.fixture(scope="module")
def mirror(mean):
    """Index of each fine vertex's mirror image."""
    distance, match = cKDTree(mean).query(mean * [-1, 1, 1])
    # Closed lips put two layers within half a millimetre, so look up the far side by position only.
    assert distance.max() < 0.05
    return match


def expression(model, name):
    return np.asarray(model.expression_basis_mm[model.expression_names.index(name)])


def test_sizes_and_package_weight(model):
    assert model.mean_mm.shape == (7257, 3) and model.triangles.shape == (14368, 3)
    assert model.identity_basis_mm.shape[0] == 80
    assert len(model.expression_names) == model.expression_basis_mm.shape[0] >= 20
    assert len(set(model.expression_names)) == len(model.expression_names)
    assert model.landmark_triangles.shape == (NUM_LANDMARKS,)
    assert default._PATH.stat().st_size < 1_000_000


def test_loads_once():
    assert default.load_default() is default.load_default()


def test_metric_frame(mean):
    canthi = np.linalg.norm(mean[LEFT_OUTER_CANTHUS] - mean[RIGHT_OUTER_CANTHUS])
    assert abs(canthi - 90) < 0.01
    assert mean[LEFT_OUTER_CANTHUS, 0] > 40 and mean[RIGHT_OUTER_CANTHUS, 0] < -40  # +x is the subject's left
    assert mean[NOSE_TIP, 2] > mean[:, 2].max() - 6  # +z out of the face
    assert mean[CHIN, 1] < mean[UPPER_LIP, 1] < mean[NOSE_TIP, 1] < mean[LEFT_OUTER_CANTHUS, 1]
    assert np.linalg.norm(mean.mean(0)) < 15


def test_normals_point_outward(model, mean):
    a, b, c = (mean[np.asarray(model.triangles)[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    assert (normals.sum(0) / np.abs(normals).sum(0))[2] > 0.9
    centroid_side = np.sum(normals * ((a + b + c) / 3 - [0, 0, -60]), axis=1)
    assert (centroid_side > 0).mean() > 0.97  # the rest lies under the nose and between the lips


def test_is_a_disc_bounded_by_the_oval(model):
    triangles = np.asarray(model.triangles)
    sides = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    edges, count = np.unique(sides, axis=0, return_counts=True)
    assert count.max() == 2
    assert (count == 1).sum() == 4 * FACE_OVAL_SIZE
    assert len(model.mean_mm) - len(edges) + len(triangles) == 1  # Euler characteristic of a disc
    # Consistent winding: no directed edge twice.
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)


def test_mean_and_albedo_are_symmetric(model, mean, mirror):
    albedo = np.asarray(model.albedo)
    np.testing.assert_allclose(mean[mirror] * [-1, 1, 1], mean, atol=0.05)
    assert albedo.min() >= 0 and albedo.max() <= 1
    assert np.abs(albedo[mirror] - albedo).mean() < 0.01


def test_uvs_do_not_flip_or_overlap(model):
    """All signed areas positive and a simple outline of the same area: the map is one to one."""
    uvs, faces = np.asarray(model.uvs, np.float64), np.asarray(model.uv_triangles)
    assert uvs.min() >= 0 and uvs.max() <= 1
    p, q, r = uvs[faces[:, 0]], uvs[faces[:, 1]], uvs[faces[:, 2]]
    areas = ((q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]) / 2
    assert areas.min() > 1e-8
    outline = uvs[_boundary_loop(faces)]
    x, y = outline.T
    polygon = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    assert abs(areas.sum() - polygon) < 1e-5
    turns = np.cross(
        np.pad(np.roll(outline, -1, 0) - outline, ((0, 0), (0, 1))),
        np.pad(np.roll(outline, -2, 0) - np.roll(outline, -1, 0), ((0, 0), (0, 1))),
    )[:, 2]
    assert turns.min() > -1e-7  # convex, so it cannot cross itself


def _boundary_loop(faces):
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    known = {tuple(edge) for edge in directed}
    following = {a: b for a, b in known if (b, a) not in known}
    loop = [next(iter(following))]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    assert len(loop) == len(following)
    return np.array(loop)


def test_landmarks_are_the_first_vertices(model, mean):
    points = np.asarray(landmark_positions(model.mean_mm, model=model))
    np.testing.assert_allclose(points[:468], mean[:468], atol=1e-4)
    assert not np.asarray(model.landmark_barycentrics[468:]).any()


def test_regions(model, mean):
    landmarks, vertices = np.asarray(model.landmark_regions), np.asarray(model.vertex_regions)
    assert (landmarks == Region.BORDER).sum() == FACE_OVAL_SIZE
    assert (landmarks == Region.EYEBROW).sum() == 20 and (landmarks == Region.EYE).sum() == 32
    assert landmarks[NOSE_TIP] == Region.NOSE and landmarks[LOWER_LIP] == Region.MOUTH
    assert (landmarks[468:] == Region.EYE_OPENING).all()
    assert {int(label) for label in np.unique(vertices)} == {int(region) for region in Region} - {int(Region.OUTSIDE)}
    opening = mean[vertices == Region.EYE_OPENING]
    assert np.abs(opening[:, 0]).min() > 10 and np.abs(opening[:, 0]).max() < 46


def test_identity_statistics_are_human(model):
    """Spread of two measured breadths among random faces, against adults' 6.5 mm and 4 mm (both sexes)."""
    rng = np.random.default_rng(0)
    basis = np.asarray(model.identity_basis_mm)
    faces = np.asarray(model.mean_mm)[:468] + np.tensordot(rng.normal(size=(500, 80)), basis[:, :468], axes=1)
    breadth = np.linalg.norm(faces[:, 234] - faces[:, 454], axis=1)
    lips = np.linalg.norm(faces[:, 61] - faces[:, 291], axis=1)
    assert 5 < breadth.std() < 9
    assert 2.5 < lips.std() < 5.5
    assert 2.5 < np.sqrt((basis**2).sum((0, 2)).mean()) < 5


def test_identity_has_no_pose_and_few_duplicates(model, mean):
    basis = np.asarray(model.identity_basis_mm, np.float64)[:, :468]
    gram = basis.reshape(80, -1) @ basis.reshape(80, -1).T
    assert np.linalg.cond(gram) < 1e5
    turn = np.cross([0.0, 1.0, 0.0], mean[:468] - mean[:468].mean(0))
    cosine = np.abs((basis * turn).sum((1, 2))) / np.linalg.norm(basis, axis=(1, 2)) / np.linalg.norm(turn)
    assert cosine.max() < 0.35


def test_jaw_opens_the_mouth(model):
    jaw = expression(model, "jawOpen")
    assert 22 < np.linalg.norm(jaw[CHIN]) < 32 and jaw[CHIN, 1] < -14
    assert np.linalg.norm(jaw[UPPER_LIP]) < 0.5
    assert jaw[LOWER_LIP, 1] < -18
    assert np.abs(jaw[LEFT_OUTER_CANTHUS]).max() < 0.5


def test_smile_lifts_its_own_corner(model):
    left, right = expression(model, "mouthSmile_L"), expression(model, "mouthSmile_R")
    assert left[LEFT_CORNER, 0] > 5 and left[LEFT_CORNER, 1] > 5 and left[LEFT_CORNER, 2] < -2
    assert np.linalg.norm(left[61]) < 1 < np.linalg.norm(right[61])


def test_blink_closes_the_lids(model):
    closed = np.asarray(model.mean_mm) + expression(model, "eyeBlink_L")
    for upper, lower in ((386, 374), (385, 380), (387, 373)):
        assert np.linalg.norm(closed[upper] - closed[lower]) < 1.0
    assert np.abs(expression(model, "eyeBlink_L")[159]).max() < 0.2


def test_sided_shapes_mirror_each_other(model, mirror):
    for name in model.expression_names:
        if name.endswith("_L"):
            left, right = expression(model, name)[:468], expression(model, name[:-1] + "R")
            assert np.abs(np.linalg.norm(left, axis=1).max() - np.linalg.norm(right[:468], axis=1).max()) < 0.05
            far = np.asarray(model.mean_mm)[:468, 0] < -35
            assert np.abs(left[far]).max() < 0.6, name


def test_full_expressions_stay_finite_and_local(model):
    zero = jnp.zeros(80)
    for k, name in enumerate(model.expression_names):
        coefficients = jnp.eye(len(model.expression_names))[k]
        shape = np.asarray(face_shape(zero, coefficients, model=model))
        assert np.isfinite(shape).all()
        moved = np.linalg.norm(shape - np.asarray(model.mean_mm), axis=1)
        assert 1.5 < moved.max() < 35, name
