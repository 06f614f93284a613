"""The embedded model: units, frame, symmetry, pieces, UVs, statistics and the meaning of its expressions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from jaxface.geometry.topology import components
from jaxface.models.openings import boundary_loops
from jaxface.morphable import default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.rendering.raster import rasterise
from jaxface.types import NUM_LANDMARKS, Part, Region

RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS = 33, 263
NOSE_TIP, CHIN, UPPER_LIP, LOWER_LIP, LEFT_CORNER = 1, 152, 13, 14, 291
FACE_OVAL_SIZE = 36
INNER_LIPS = ((13, 14), (81, 178), (311, 402), (80, 88), (310, 318))
LIDS = ((386, 374), (385, 380), (387, 373)), ((159, 145), (158, 153), (160, 144))  # the left eye's, the right one's
# ARFaceAnchor.BlendShapeLocation.
ARKIT_SIDED = (
    "browDown browOuterUp cheekSquint eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide "
    "mouthDimple mouthFrown mouthLowerDown mouthPress mouthSmile mouthStretch mouthUpperUp noseSneer"
).split()
ARKIT_WHOLE = (
    "browInnerUp cheekPuff jawForward jawLeft jawOpen jawRight mouthClose mouthFunnel mouthLeft mouthPucker mouthRight "
    "mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper tongueOut"
).split()


@pytest.fixture(scope="module")
def model():
    return default.load_default()


@pytest.fixture(scope="module")
def mean(model):
    return np.asarray(model.mean_mm, np.float64)


@pytest.fixture(scope="module")
def points(model):
    return np.asarray(landmark_positions(model.mean_mm, model=model))


@pytest.fixture(scope="module")
def parts(model):
    return np.asarray(model.vertex_parts)


def expression(model, name):
    return np.asarray(model.expression_basis_mm[model.expression_names.index(name)])


def at_landmarks(model, offsets_mm):
    return np.asarray(landmark_positions(jnp.asarray(offsets_mm), model=model))


def test_sizes_and_package_weight(model):
    assert model.identity_basis_mm.shape[0] == 80
    assert set(model.expression_names) == {*ARKIT_WHOLE, *(n + side for n in ARKIT_SIDED for side in ("Left", "Right"))}
    assert len(model.expression_names) == 52
    assert model.landmark_triangles.shape == (NUM_LANDMARKS,)
    assert default._PATH.stat().st_size < 4_000_000


def test_loads_once():
    assert default.load_default() is default.load_default()


def test_metric_frame(mean, points):
    assert abs(np.linalg.norm(points[LEFT_OUTER_CANTHUS] - points[RIGHT_OUTER_CANTHUS]) - 90) < 0.5
    assert points[LEFT_OUTER_CANTHUS, 0] > 40 and points[RIGHT_OUTER_CANTHUS, 0] < -40  # +x is the subject's left
    assert points[NOSE_TIP, 2] > mean[:, 2].max() - 6  # +z out of the face
    assert points[CHIN, 1] < points[UPPER_LIP, 1] < points[NOSE_TIP, 1] < points[LEFT_OUTER_CANTHUS, 1]


def test_a_head_of_six_pieces_with_one_border_at_the_neck(model, mean, parts):
    triangles = np.asarray(model.triangles)
    piece = components(triangles, num_vertices=len(mean))
    assert {tuple(np.unique(piece[parts == part])) for part in range(6)} == {(k,) for k in np.unique(piece[triangles])}
    rims = boundary_loops(triangles[parts[triangles[:, 0]] == Part.SKIN])
    assert len(rims) == 1 and mean[rims[0], 1].max() < mean[:, 1].min() + 90
    for eye in (Part.RIGHT_EYE, Part.LEFT_EYE):
        assert not boundary_loops(triangles[parts[triangles[:, 0]] == eye])
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)  # consistent winding


@pytest.mark.parametrize("eye", [Part.RIGHT_EYE, Part.LEFT_EYE])
def test_eyes_face_outwards_and_lie_on_their_side(model, mean, parts, eye):
    triangles = np.asarray(model.triangles)
    a, b, c = (mean[triangles[parts[triangles[:, 0]] == eye][:, k]] for k in range(3))
    centre = mean[parts == eye].mean(axis=0)
    assert np.mean(np.sum(np.cross(b - a, c - a) * (a - centre), axis=1) > 0.0) > 0.98
    assert centre[0] * (1 if eye == Part.LEFT_EYE else -1) > 20
    assert 11 < np.linalg.norm(mean[parts == eye] - centre, axis=1).mean() < 18


def test_mean_and_albedo_are_symmetric(model, mean, parts):
    albedo = np.asarray(model.albedo)
    for part in range(6):
        members = parts == part
        distance, match = cKDTree(mean[members]).query(mean[members] * [-1, 1, 1])
        if part not in (Part.RIGHT_EYE, Part.LEFT_EYE):
            assert distance.max() < 0.05
            assert np.abs(albedo[members][match] - albedo[members]).mean() < 0.02
    assert albedo.min() >= 0 and albedo.max() <= 1


def test_uvs_do_not_overlap_and_the_face_is_large(model):
    """As many texels are covered as the triangles' areas sum up to; left and right mirror each other."""
    uvs, faces = np.asarray(model.uvs, np.float64), np.asarray(model.uv_triangles)
    assert uvs.min() > 0 and uvs.max() < 1
    p, q, r = uvs[faces[:, 0]], uvs[faces[:, 1]], uvs[faces[:, 2]]
    areas = np.abs((q - p)[:, 0] * (r - p)[:, 1] - (q - p)[:, 1] * (r - p)[:, 0]) / 2
    assert areas.min() > 1e-9
    size = 512
    flat = jnp.asarray(np.pad(uvs * size, ((0, 0), (0, 1))), jnp.float32)
    both = jnp.concatenate([jnp.asarray(faces), jnp.asarray(faces)[:, ::-1]])
    raster = jax.jit(rasterise, static_argnames=("height", "width"))(flat, both, height=size, width=size)
    assert np.mean(np.asarray(raster.triangle) >= 0) == pytest.approx(areas.sum(), abs=0.01)
    on_face = (np.asarray(model.vertex_regions) < Region.BORDER)[np.asarray(model.triangles)].all(axis=1)
    on_face &= np.asarray(model.vertex_parts)[np.asarray(model.triangles)[:, 0]] == Part.SKIN
    assert areas[on_face].sum() > 0.12
    assert cKDTree(uvs).query(uvs * [-1, 1] + [1, 0])[0].max() < 1e-3


def test_landmarks_lie_on_skin_and_irises_on_eyeballs(model, parts):
    corners = np.asarray(model.triangles)[np.asarray(model.landmark_triangles)]
    assert (parts[corners[:468]] == Part.SKIN).all()
    assert (parts[corners[468:473]] == Part.RIGHT_EYE).all() and (parts[corners[473:]] == Part.LEFT_EYE).all()
    np.testing.assert_allclose(np.asarray(model.landmark_barycentrics).sum(axis=1), 1.0, atol=1e-5)


def test_regions(model, mean, points, parts):
    landmarks, vertices = np.asarray(model.landmark_regions), np.asarray(model.vertex_regions)
    assert (landmarks == Region.BORDER).sum() == FACE_OVAL_SIZE
    assert (landmarks == Region.EYEBROW).sum() == 20 and (landmarks == Region.EYE).sum() == 32
    assert landmarks[NOSE_TIP] == Region.NOSE and landmarks[LOWER_LIP] == Region.MOUTH
    assert (landmarks[468:] == Region.EYE_OPENING).all()
    assert {int(label) for label in np.unique(vertices)} == {int(region) for region in Region}
    assert mean[vertices == Region.SCALP, 1].mean() > points[9, 1] > mean[vertices == Region.NECK, 1].max()
    assert np.abs(mean[vertices == Region.EAR, 0]).min() > 50
    assert (vertices[np.isin(parts, (Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE))] == Region.MOUTH_OPENING).all()


def test_identity_statistics_are_human(model, points):
    """Spread of measured breadths among random faces, against people's of both sexes (Zhuang and Bradtmiller 2005):
    lips 4.4 mm, nose 4.3 mm, face length 8 mm."""
    weights = np.random.default_rng(0).normal(size=(1000, 80))
    basis = np.stack([at_landmarks(model, shape) for shape in model.identity_basis_mm])
    faces = points + np.tensordot(weights, basis, axes=1)

    def spread(a, b):
        return np.linalg.norm(faces[:, a] - faces[:, b], axis=1).std()

    assert spread(61, 291) == pytest.approx(4.4, rel=0.15)
    assert spread(168, 152) == pytest.approx(8.0, rel=0.15)
    assert 2.5 < np.sqrt(np.square(basis[:, :468]).sum(axis=(0, 2)).mean()) < 5


def test_identity_has_no_pose_and_few_duplicates(model, points):
    basis = np.stack([at_landmarks(model, shape)[:468] for shape in model.identity_basis_mm]).astype(np.float64)
    assert np.linalg.cond(basis.reshape(80, -1) @ basis.reshape(80, -1).T) < 1e6
    turn = np.cross([0.0, 1.0, 0.0], points[:468] - points[:468].mean(axis=0))
    cosine = np.abs((basis * turn).sum((1, 2))) / np.linalg.norm(basis, axis=(1, 2)) / np.linalg.norm(turn)
    assert cosine.max() < 0.35


def test_identity_keeps_eyeballs_round(model, mean, parts):
    """At two standard deviations of each component."""
    for shape in np.asarray(model.identity_basis_mm):
        extent = np.ptp((mean + 2.0 * shape)[parts == Part.LEFT_EYE], axis=0)
        assert extent.max() / extent.min() < 1.25


def test_lids_and_lips_do_not_cross_at_two_deviations(model):
    """All 80 coefficients doubled; eyes open, eyes shut, and the mouth shut."""
    people = 2.0 * np.random.default_rng(1).normal(size=(1000, 80))
    basis = np.stack([at_landmarks(model, shape) for shape in model.identity_basis_mm])
    neutral = at_landmarks(model, model.mean_mm) + np.tensordot(people, basis, axes=1)
    shut = neutral + at_landmarks(model, expression(model, "eyeBlinkLeft") + expression(model, "eyeBlinkRight"))
    lids, lips = np.array(LIDS).reshape(-1, 2).T, np.array(INNER_LIPS).T
    for faces, (upper, lower) in ((neutral, lips), (neutral, lids), (shut, lids)):
        gaps_mm = faces[:, upper, 1] - faces[:, lower, 1]
        assert gaps_mm.min() > -0.5
    assert (shut[:, lids[0], 1] - shut[:, lids[1], 1]).max() < 1.0


def test_jaw_opens_the_mouth_with_lower_teeth_and_tongue(model, parts):
    jaw = expression(model, "jawOpen")
    marks = at_landmarks(model, jaw)
    assert marks[CHIN, 1] < -14 and marks[LOWER_LIP, 1] < -18
    assert np.linalg.norm(marks[UPPER_LIP]) < 3
    assert np.abs(marks[LEFT_OUTER_CANTHUS]).max() < 0.5
    assert jaw[parts == Part.LOWER_TEETH, 1].mean() < -15 and jaw[parts == Part.TONGUE, 1].mean() < -8
    assert np.abs(jaw[parts == Part.UPPER_TEETH]).max() < 0.5


def test_smile_lifts_its_own_corner(model):
    left, right = (at_landmarks(model, expression(model, f"mouthSmile{side}")) for side in ("Left", "Right"))
    assert left[LEFT_CORNER, 0] > 3 and left[LEFT_CORNER, 1] > 3
    assert np.linalg.norm(left[61]) < 2 < np.linalg.norm(right[61])


def test_blink_closes_the_lids_before_the_eyeball(model, points, mean, parts):
    for side, lids, eye in zip(("Left", "Right"), LIDS, (Part.LEFT_EYE, Part.RIGHT_EYE), strict=True):
        blink = expression(model, f"eyeBlink{side}")
        closed = points + at_landmarks(model, blink)
        for upper, lower in lids:
            assert points[upper, 1] - points[lower, 1] > 5
            assert 0.0 < closed[upper, 1] - closed[lower, 1] < 0.6
        assert np.abs(blink[parts == eye]).max() == 0.0
        centre = mean[parts == eye].mean(axis=0)
        upper = [mark for mark, _ in lids]
        assert (
            np.linalg.norm(closed[upper] - centre, axis=1).min()
            > np.linalg.norm(mean[parts == eye] - centre, axis=1).min()
        )


def test_looks_turn_eyeballs_without_bending_them(model, mean, parts):
    for side, eye, out in (("Left", Part.LEFT_EYE, 1.0), ("Right", Part.RIGHT_EYE, -1.0)):
        ball = mean[parts == eye]
        for way, axis, sign in (("Up", 1, 1), ("Down", 1, -1), ("Out", 0, out), ("In", 0, -out)):
            moved = ball + expression(model, f"eyeLook{way}{side}")[parts == eye]
            front = ball[:, 2].argmax()
            assert sign * (moved - ball)[front, axis] > 3.0
            before, after = (np.linalg.norm(x - x.mean(axis=0), axis=1) for x in (ball, moved))
            np.testing.assert_allclose(after, before, atol=0.05)


def test_sided_shapes_mirror_each_other(model, mean, parts):
    skin = parts == Part.SKIN
    match = cKDTree(mean[skin]).query(mean[skin] * [-1, 1, 1])[1]
    for name in ARKIT_SIDED:
        left, right = (expression(model, name + side)[skin] for side in ("Left", "Right"))
        np.testing.assert_allclose(left[match] * [-1, 1, 1], right, atol=0.3)
        assert np.abs(left[mean[skin, 0] < -45]).max() < 0.6, name


def test_full_expressions_stay_finite_and_local(model):
    for name, shape in zip(model.expression_names, np.asarray(model.expression_basis_mm), strict=True):
        assert np.isfinite(shape).all() and 1.5 < np.linalg.norm(shape, axis=1).max() < 45, name
    zero = jnp.zeros(80)
    jaw = jnp.eye(52)[model.expression_names.index("jawOpen")]
    np.testing.assert_allclose(
        face_shape(zero, jaw, model=model), model.mean_mm + expression(model, "jawOpen"), atol=1e-3
    )
