"""Face++ answers, written from faces whose MediaPipe points are known, as the service samples and names its curves."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from jaxface.detection import chains
from jaxface.detection.files import read_landmarks
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_matrix
from jaxface.presets import COARSE
from jaxface.rendering.camera import project
from jaxface.stages import coarse
from jaxface.types import Camera, FaceError, Pose, Region

SIZE = 512
CAMERA = Camera(jnp.zeros(()), jnp.full(2, (SIZE - 1) / 2))
SIDES = {"left": chains.RIGHT, "right": chains.LEFT}  # the image's and the subject's
MIDDLES = (chains.UPPER_OUTER_LIP, chains.UPPER_INNER_LIP, chains.LOWER_INNER_LIP, chains.LOWER_OUTER_LIP)
ALL_CHAINS = (*MIDDLES, chains.NOSE_RIDGE, *chains.RIGHT[:-1], *chains.LEFT[:-1])


@pytest.fixture(scope="module")
def model():
    return load_default()


def pose_of(rotation=(0.0, 0.0, 0.0)):
    return Pose(jnp.array(rotation, jnp.float32), jnp.array([250.0, 230.0]), jnp.log(jnp.array(2.3)))


def seen(model, *, pose=None, identity=None, expression=None):
    """The model's own 468 landmarks in the picture (pixels)."""
    identity = jnp.zeros(model.identity_basis_mm.shape[0]) if identity is None else identity
    expression = jnp.zeros(model.expression_basis_mm.shape[0]) if expression is None else expression
    points_mm = landmark_positions(face_shape(identity, expression, model=model), model=model)[:468]
    return np.asarray(project(points_mm, pose or pose_of(), camera=CAMERA), np.float64)[:, :2]


def polyline(points, chain):
    ends = [points[list(end)].mean(axis=0)[None] for end in (chain.start, chain.end)]
    return np.concatenate([ends[0], points[list(chain.landmarks)], ends[1]])


def lengths(curve):
    return np.cumsum([0.0, *np.linalg.norm(np.diff(curve, axis=0), axis=1)])


def sample(curve, count, *, smooth=True):
    """`count` points at equal distances along a spline through the curve's points."""
    curve = curve[np.insert(np.any(np.diff(curve, axis=0) != 0.0, axis=1), 0, True)]
    travelled = lengths(curve)
    if smooth:
        curve = CubicSpline(travelled, curve)(np.linspace(0.0, travelled[-1], 2000))
        travelled = lengths(curve)
    wanted = np.linspace(0.0, travelled[-1], count)
    return np.stack([np.interp(wanted, travelled, axis) for axis in curve.T], axis=1)


def outline(upper, lower, count):
    """A closed outline from the start of `upper` to its end and back along `lower`."""
    middle = count // 2
    return np.concatenate([sample(upper, middle + 1), sample(lower, count - middle + 1)[-2:0:-1]])


def curves_of(points, *, eyelids=True):
    """Face++'s curves by group and name."""
    top, inner_top, inner_bottom, bottom = (polyline(points, chain) for chain in MIDDLES)
    for inner in (inner_top, inner_bottom):
        inner[[0, -1]] = points[[61, 291]]
    groups = {
        "mouth": {
            "upper_lip": np.concatenate([sample(top, 33)[:-1], sample(inner_top, 33)[:0:-1]]),
            "lower_lip": np.concatenate([sample(bottom, 34)[1:-1], sample(inner_bottom, 34)[-2:0:-1]]),
        },
        "nose": {"nose_midline": sample(points[[9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 94, 2, 164]], 60, smooth=False)},
        "face": {"face_hairline": sample(points[[454, 284, 10, 54, 234]], 145)},
    }
    for name, side in SIDES.items():
        upper_lid, lower_lid, upper_brow, lower_brow, wing, contour = (polyline(points, chain) for chain in side[:-1])
        groups[f"{name}_eye"] = {f"{name}_eye": outline(upper_lid, lower_lid, 63)}
        groups[f"{name}_eyebrow"] = {f"{name}_eyebrow": outline(upper_brow, lower_brow, 64)}
        if eyelids:
            groups[f"{name}_eye_eyelid"] = {f"{name}_eye_eyelid": outline(upper_lid, lower_lid, 64)}
        below_eye = 0.8 * upper_lid[-1] + 0.2 * points[197]
        groups["nose"][f"nose_{name}"] = sample(np.concatenate([below_eye[None], wing]), 63, smooth=False)
        groups["face"][f"face_contour_{name}"] = sample(contour, 65)[-2::-1]
    return groups


def answer_of(points, **settings):
    """The service's answer on a face, in whole pixels."""
    landmark = {
        group: {f"{name}_{i}": whole(place) for name, curve in curves.items() for i, place in enumerate(curve)}
        for group, curves in curves_of(points, **settings).items()
    }
    for name, side in SIDES.items():
        landmark[f"{name}_eye"][f"{name}_eye_pupil_center"] = whole(pupil(points, side))
        landmark[f"{name}_eye"][f"{name}_eye_pupil_radius"] = 9
        landmark["nose"][f"{name}_nostril"] = whole(points[side.nose_base.landmarks[2]])
    face = {"landmark": landmark, "face_rectangle": {"top": 90, "left": 100, "width": 300, "height": 300}}
    return {"request_id": "1,2", "time_used": 339, "face": face}


def whole(point):
    return {"y": round(point[1]), "x": round(point[0])}


def pupil(points, side):
    return points[[*side.upper_lid.landmarks, *side.lower_lid.landmarks]].mean(axis=0)


def read(tmp_path, answer):
    (tmp_path / "face.json").write_text(answer if isinstance(answer, str) else json.dumps(answer))
    return read_landmarks(tmp_path / "face.json")


@pytest.fixture(scope="module")
def answer(model):
    return answer_of(seen(model))


@pytest.mark.parametrize("chain", ALL_CHAINS)
def test_places_are_those_of_the_embedded_model_from_the_front(model, chain):
    front = np.asarray(landmark_positions(model.mean_mm, model=model))[:, :2]
    travelled = lengths(polyline(front, chain))
    np.testing.assert_allclose(chain.places, travelled[1:-1] / travelled[-1], atol=2e-3)


def test_no_landmark_gets_two_different_places():
    """Only ends are shared: corners of mouth and eyes, chin, and the middle of the nose's base."""
    landmarks = [index for chain in ALL_CHAINS for index in chain.landmarks]
    twice = {index for index in landmarks if landmarks.count(index) > 1}
    assert twice == {61, 291, 78, 308, 33, 133, 263, 362, 152, 2}


@pytest.mark.parametrize("eyelids, count", [(True, 973), (False, 845)])
def test_known_points_are_found_again(tmp_path, model, eyelids, count):
    points = seen(model)
    answer = answer_of(points, eyelids=eyelids)
    groups = answer["face"]["landmark"].values()
    assert sum(isinstance(value, dict) for group in groups for value in group.values()) == count
    landmarks = read(tmp_path, answer)
    present = np.flatnonzero(landmarks.confidence)
    assert set(present) == {index for chain in ALL_CHAINS for index in chain.landmarks} | {468, 473}
    irises = np.repeat([pupil(points, side) for side in SIDES.values()], 5, axis=0)
    truth = np.concatenate([points, irises])
    misses = np.linalg.norm(np.asarray(landmarks.points_px) - truth, axis=1)[present]
    assert misses.max() < 1.5, present[misses.argmax()]
    assert misses.mean() < 0.6 and not np.any(landmarks.height_px)


def mirrored(answer):
    """The answer on the mirrored photo: x turns over, and names that tell sides or go from left to right change."""
    landmark = {}
    for group, points in answer["face"]["landmark"].items():
        for name, value in points.items():
            turned = {**value, "x": SIZE - 1 - value["x"]} if isinstance(value, dict) else value
            landmark.setdefault(other_side(group), {})[other_side(name)] = turned
    return {"face": {"landmark": landmark}}


def other_side(name):
    kind, _, number = name.rpartition("_")
    if kind.endswith("_lip"):  # The upper lip's corners are points 0 and 32, the lower lip lacks them.
        return f"{kind}_{((32 if kind == 'upper_lip' else 31) - int(number)) % 64}"
    if kind == "face_hairline":
        return f"{kind}_{144 - int(number)}"
    swap = {"left": "right", "right": "left"}
    return "_".join(swap.get(part, part) for part in name.split("_"))


def test_a_mirrored_answer_swaps_the_sides(tmp_path, model):
    points = seen(model, pose=pose_of((0.1, 0.2, 0.15)))
    answer = answer_of(points)
    plain, turned = (np.asarray(read(tmp_path, a).points_px) for a in (answer, mirrored(answer)))
    pairs = [(here.landmarks, there.landmarks) for here, there in zip(chains.RIGHT[:-1], chains.LEFT[:-1], strict=True)]
    for here, there in [*pairs, *((chain.landmarks, chain.landmarks[::-1]) for chain in MIDDLES)]:
        for source, target in ((here, there), (there, here)):
            expected = plain[list(source)] * [-1.0, 1.0] + [SIZE - 1.0, 0.0]
            np.testing.assert_allclose(turned[list(target)], expected, atol=0.6)
    assert plain[468, 0] < plain[473, 0] and turned[468, 0] < turned[473, 0]  # right is left in the picture


@pytest.fixture(scope="module")
def fit_of(model):
    return jax.jit(lambda landmarks: coarse.run(landmarks, model=model, camera=CAMERA, weights=COARSE))


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0), (0.1, -0.2, 0.3)])
def test_the_coarse_fit_converges_on_them(tmp_path, model, fit_of, rotation):
    rng = np.random.default_rng(1)
    identity = jnp.asarray(0.7 * rng.standard_normal(model.identity_basis_mm.shape[0]), jnp.float32)
    pose = pose_of(rotation)
    landmarks = read(tmp_path, answer_of(seen(model, pose=pose, identity=identity)))
    fit = fit_of(landmarks)
    assert bool(fit.finite) and fit.residual_px < 1.5 * jnp.exp(fit.pose.log_scale)  # 1.5 mm
    turn = np.asarray(rotation_matrix(fit.pose.rotation_vector)).T @ np.asarray(rotation_matrix(pose.rotation_vector))
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1.0) / 2.0, -1.0, 1.0))) < 5.0
    truth = np.asarray(face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model))
    face = np.asarray(model.vertex_regions) < Region.OUTSIDE  # no point of theirs lies beyond
    misses = [np.linalg.norm(shape - truth, axis=1)[face].mean() for shape in (fit.vertices_mm, model.mean_mm)]
    print("MISS", misses, fit.residual_px)
    assert misses[0] < 0.9 * misses[1]  # nearer than the mean face, from which it set out


def changed(answer, change):
    answer = json.loads(json.dumps(answer))
    change(answer["face"]["landmark"])
    return answer


REFUSED = {
    "INVALID_IMAGE_SIZE": lambda answer: {"time_used": 5, "error_message": "INVALID_IMAGE_SIZE"},
    "found no face": lambda answer: {"time_used": 5, "face": {}},
    "whole answer of thousandlandmark": lambda answer: answer["face"]["landmark"],
    "points under face, landmark": lambda answer: {"face": [answer["face"]]},
    "no points": lambda answer: [answer],
    "lacks the points of mouth": lambda answer: changed(answer, lambda groups: groups.pop("mouth")),
    "lacks the points of left_eye:": lambda answer: changed(answer, lambda groups: groups.pop("left_eye")),
    "lacks the points of nose": lambda answer: changed(answer, lambda groups: groups.update(nose=[1, 2])),
    "lacks point upper_lip_7:": lambda answer: changed(answer, lambda groups: groups["mouth"].pop("upper_lip_7")),
    "unknown point left_eyebrow_64": lambda answer: changed(
        answer, lambda groups: groups["left_eyebrow"].update(left_eyebrow_64={"x": 1, "y": 2})
    ),
    "left_eye_pupil_center as numbers": lambda answer: changed(
        answer, lambda groups: groups["left_eye"].pop("left_eye_pupil_center")
    ),
    "all coincide": lambda answer: changed(
        answer, lambda groups: groups["mouth"].update({name: {"x": 3, "y": 3} for name in groups["mouth"]})
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_other_answers_say_why(tmp_path, answer, message):
    with pytest.raises(FaceError, match=message):
        read(tmp_path, REFUSED[message](answer))


@pytest.mark.parametrize("value", ["12", None, True, [3], float("nan"), float("inf"), 1e300, 10**400])
def test_points_must_be_finite_numbers(tmp_path, answer, value):
    wrong = changed(answer, lambda groups: groups["nose"]["nose_midline_4"].update(x=value))
    with pytest.raises(FaceError, match="nose_midline_4 as numbers x and y"):
        read(tmp_path, wrong)
    with pytest.raises(FaceError, match="nose_midline_4 as numbers x and y"):
        read(tmp_path, changed(answer, lambda groups: groups["nose"].update(nose_midline_4=value)))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not the JSON answer"),
        ("413 Request Entity Too Large", "not the JSON answer"),
        ('{"face": {"landmark"', "not the JSON answer"),
        ("[" * 100_000, "not the JSON answer"),
        ("9" * 5_000, "not the JSON answer"),
        (" " * 4_000_001, "larger than 4 MB"),
        ('{"face": {}, "face": {}}', "twice"),
        ("null", "no points under face"),
    ],
)
def test_other_texts_say_why(tmp_path, text, message):
    with pytest.raises(FaceError, match=message):
        read(tmp_path, text)


def test_the_order_of_names_and_fractions_of_pixels_do_not_matter(tmp_path, answer):
    def shuffle(groups):
        for name, group in groups.items():
            groups[name] = {key: group[key] for key in sorted(group)}
            groups[name] = {key: halved(value) for key, value in groups[name].items()}

    plain, halves = read(tmp_path, answer), read(tmp_path, changed(answer, shuffle))
    np.testing.assert_allclose(2.0 * halves.points_px, plain.points_px, atol=1e-4)


def halved(value):
    return {axis: number / 2 for axis, number in value.items()} if isinstance(value, dict) else value


def test_damaged_answers_end_in_landmarks_or_one_sentence(tmp_path, answer):
    text, rng, outcomes = json.dumps(answer).encode(), np.random.default_rng(0), set()
    for case in range(100):
        damaged = bytearray(text[: rng.integers(len(text))] if case % 10 == 0 else text)
        for place in rng.integers(len(damaged), size=rng.integers(1, 4)) if damaged else ():
            damaged[place] = rng.choice(list(b'{}[]",:0123456789.eE-nul\xff'))
        (tmp_path / "face.json").write_bytes(damaged)
        try:
            landmarks = read_landmarks(tmp_path / "face.json")
        except FaceError as error:
            assert str(error).startswith(str(tmp_path / "face.json")) and "\n" not in str(error)
            outcomes.add("refused")
        else:
            assert np.isfinite(landmarks.points_px).all()
            outcomes.add("read")
    assert outcomes == {"read", "refused"}
