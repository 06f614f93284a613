"""The coarse fit on landmarks of known faces."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import presets
from jaxface.detection.indices import FACE_OVAL
from jaxface.morphable.cut import face_of
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import coarse
from jaxface.types import IBUG_68, Camera, Landmarks, Part, Pose

MODEL = face_of(load_default())
INNER = np.setdiff1d(np.arange(468), FACE_OVAL)
# Weak priors: what is asked is recovery, not sanity.
TRUSTING = presets.COARSE._replace(
    landmark_mm=0.02, independent=1e6, outlier_mm=50.0, trust=presets.COARSE.trust._replace(border=0.0)
)


def traced(weights):
    return jax.tree.map(jnp.float32, weights)


@jax.jit
@chex.assert_max_traces(n=1)
def fit_model(landmarks, camera, weights, model):
    return coarse.run(landmarks, model=model, camera=camera, weights=weights)


def fit(landmarks, camera, weights, model=MODEL):
    return fit_model(landmarks, camera, weights, model)


def truth(seed, *, yaw_degrees=0.0, roll=0.0, strength=0.7, camera=None):
    """Coefficients, pose, shape and exact landmarks of a face of the model."""
    rng = np.random.default_rng(seed)
    identity = jnp.asarray(strength * rng.normal(size=80), jnp.float32)
    expression = jnp.zeros(len(MODEL.expression_names)).at[jnp.array([3, 11, 20])].set(0.4)
    half = np.deg2rad(yaw_degrees) / 2.0
    quaternion = np.array([np.cos(roll / 2) * np.cos(half), -np.sin(roll / 2) * np.sin(half),
                           np.cos(roll / 2) * np.sin(half), np.sin(roll / 2) * np.cos(half)])  # fmt: skip
    angle = 2.0 * np.arccos(np.clip(quaternion[0], -1.0, 1.0))
    axis = quaternion[1:] / max(np.linalg.norm(quaternion[1:]), 1e-9)
    pose = Pose(jnp.asarray(angle * axis, jnp.float32), jnp.array([250.0, 261.0]), jnp.log(jnp.float32(2.3)))
    vertices_mm = face_shape(identity, expression, model=MODEL)
    points = project(landmark_positions(vertices_mm, model=MODEL), pose, camera=camera or orthographic())
    return vertices_mm, pose, Landmarks(points[:, :2], points[:, 2], jnp.ones(478))


def angle_degrees(pose, other):
    difference = rotation_matrix(pose.rotation_vector) @ rotation_matrix(other.rotation_vector).T
    return float(jnp.rad2deg(jnp.arccos(jnp.clip((jnp.trace(difference) - 1.0) / 2.0, -1.0, 1.0))))


def shape_error_mm(fitted_mm, true_mm):
    """Root mean square after the best similarity."""
    a, b = (np.asarray(v, np.float64) - np.asarray(v, np.float64).mean(axis=0) for v in (fitted_mm, true_mm))
    u, s, vt = np.linalg.svd(a.T @ b)
    return float(np.sqrt(np.mean(np.sum((a @ u @ vt * s.sum() / np.sum(a * a) - b) ** 2, axis=1))))


def inner_miss_px(result, landmarks, camera):
    points = project(landmark_positions(result.vertices_mm, model=MODEL), result.pose, camera=camera)
    return float(np.sqrt(np.mean(np.sum((points[INNER, :2] - landmarks.points_px[INNER]) ** 2, axis=1))))


@pytest.mark.parametrize("yaw", [0.0, 30.0, -30.0])
def test_recovers_a_face_of_the_model(yaw):
    vertices_mm, pose, landmarks = truth(0, yaw_degrees=yaw)
    result = fit(landmarks, orthographic(), traced(TRUSTING))
    assert result.finite
    assert inner_miss_px(result, landmarks, orthographic()) < 0.3 and result.residual_px < 0.3
    mean_error = shape_error_mm(MODEL.mean_mm, vertices_mm)
    assert shape_error_mm(result.vertices_mm, vertices_mm) < 0.6 * mean_error
    assert angle_degrees(result.pose, pose) < 3.0


def test_perspective_is_recovered_and_matters():
    camera = Camera(jnp.float32(1 / 900.0), jnp.array([240.0, 250.0]))
    _, _, landmarks = truth(1, yaw_degrees=10.0, camera=camera)
    right = fit(landmarks, camera, traced(TRUSTING))
    assert right.finite and inner_miss_px(right, landmarks, camera) < 0.3
    wrong = fit(landmarks, orthographic(), traced(TRUSTING))
    assert np.sum(right.identity**2) < np.sum(wrong.identity**2)


def test_default_weights_improve_on_the_mean_under_noise():
    ratios = []
    for seed in range(4):
        vertices_mm, _, landmarks = truth(seed, strength=1.0)
        noisy_px = landmarks.points_px + 1.5 * np.random.default_rng(seed).normal(size=(478, 2))
        result = fit(landmarks._replace(points_px=noisy_px), orthographic(), traced(presets.COARSE))
        ratios.append(shape_error_mm(result.vertices_mm, vertices_mm) / shape_error_mm(MODEL.mean_mm, vertices_mm))
        assert float(jnp.sqrt(jnp.mean(result.identity**2))) < 1.0  # sane: no further out than faces are
    assert np.mean(ratios) < 0.85 and max(ratios) < 1.0


def test_a_few_wild_points_hardly_matter():
    _, _, landmarks = truth(2)
    clean = fit(landmarks, orthographic(), traced(presets.COARSE))
    wild = landmarks.points_px.at[INNER[::20]].add(jnp.array([[180.0, -130.0]]))
    result = fit(landmarks._replace(points_px=wild), orthographic(), traced(presets.COARSE))
    assert shape_error_mm(result.vertices_mm, clean.vertices_mm) < 0.3
    assert angle_degrees(result.pose, clean.pose) < 1.0


def test_absent_points_may_hold_anything():
    _, _, landmarks = truth(3, yaw_degrees=15.0)
    present = jnp.zeros(478).at[jnp.array(IBUG_68)].set(1.0)
    zeroed = jnp.where(present[:, None] > 0, landmarks.points_px, 0.0)
    broken = jnp.where(present[:, None] > 0, landmarks.points_px, jnp.nan)
    results = [
        fit(landmarks._replace(points_px=points, confidence=present), orthographic(), traced(presets.COARSE))
        for points in (zeroed, broken)
    ]
    assert results[0].finite and results[1].finite
    np.testing.assert_array_equal(results[0].vertices_mm, results[1].vertices_mm)
    assert inner_miss_px(results[0], landmarks, orthographic()) < 6.0


def outline_landmarks(seed, yaw):
    """iBUG points of a face of the model; those of the jaw moved out to the outline, as annotators place them."""
    vertices_mm, pose, landmarks = truth(seed, yaw_degrees=yaw)
    seen = np.asarray(project(vertices_mm, pose, camera=orthographic()))[:, :2]
    points = np.asarray(landmarks.points_px).copy()
    for place in (*IBUG_68[:6], *IBUG_68[11:17]):
        near = np.abs(seen[:, 1] - points[place, 1]) < 6.0
        side = np.sign(points[place, 0] - points[1, 0])
        points[place, 0] = side * np.max(side * seen[near, 0])
    present = jnp.zeros(478).at[jnp.array(IBUG_68)].set(1.0)
    return vertices_mm, pose, landmarks._replace(points_px=jnp.asarray(points), confidence=present)


def test_outline_points_slide_at_yaw_30():
    """Jaw points on the image outline are other surface points than the mesh border's: they must not turn the head, and
    cost little of the shape."""
    vertices_mm, pose, landmarks = outline_landmarks(4, 35.0)
    weights = traced(presets.COARSE._replace(landmark_mm=0.5, trust=presets.COARSE.trust._replace(border=1.0)))
    sliding = fit(landmarks, orthographic(), weights)
    nailed_model = dataclasses.replace(MODEL, landmark_regions=jnp.zeros_like(MODEL.landmark_regions))
    nailed = fit(landmarks, orthographic(), weights, nailed_model)
    assert angle_degrees(sliding.pose, pose) < min(3.0, angle_degrees(nailed.pose, pose))
    assert shape_error_mm(sliding.vertices_mm, vertices_mm) < 1.3 * shape_error_mm(nailed.vertices_mm, vertices_mm)


def test_upside_down_starts_right():
    _, pose, landmarks = truth(5, roll=np.pi, yaw_degrees=10.0)
    initial = coarse.initial_pose(landmarks, model=MODEL)
    assert angle_degrees(initial, pose) < 10.0
    assert abs(float(initial.log_scale - pose.log_scale)) < 0.1
    result = fit(landmarks, orthographic(), traced(presets.COARSE))
    assert result.finite and angle_degrees(result.pose, pose) < 5.0


def test_initial_pose_is_exact_for_the_mean_face():
    _, pose, landmarks = truth(6, yaw_degrees=25.0, roll=0.4)
    points = project(landmark_positions(MODEL.mean_mm, model=MODEL), pose, camera=orthographic())
    initial = coarse.initial_pose(landmarks._replace(points_px=points[:, :2]), model=MODEL)
    assert angle_degrees(initial, pose) < 0.1
    np.testing.assert_allclose(initial.translation_px, pose.translation_px, atol=0.05)
    np.testing.assert_allclose(initial.log_scale, pose.log_scale, atol=1e-3)


def test_resolution_does_not_change_the_shape():
    _, _, landmarks = truth(7, yaw_degrees=12.0)
    large = fit(landmarks, orthographic(), traced(presets.COARSE))
    small = fit(landmarks._replace(points_px=landmarks.points_px / 4.0), orthographic(), traced(presets.COARSE))
    np.testing.assert_allclose(large.vertices_mm, small.vertices_mm, atol=0.1)
    np.testing.assert_allclose(large.residual_px, 4.0 * small.residual_px, rtol=2e-2)


def test_expression_stays_in_its_bounds():
    _, _, landmarks = truth(8)
    expression = fit(landmarks, orthographic(), traced(TRUSTING)).expression
    assert np.all(expression >= 0.0) and np.all(expression <= 1.0) and np.any(expression > 0.2)


def run(landmarks):
    return coarse.run(landmarks, model=MODEL, camera=orthographic(), weights=presets.COARSE)


def test_vmap_is_a_loop():
    faces = [truth(seed, yaw_degrees=yaw)[2] for seed, yaw in [(9, -20.0), (10, 0.0), (11, 25.0)]]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *faces)
    run = jax.vmap(
        lambda landmarks, model: coarse.run(landmarks, model=model, camera=orthographic(), weights=presets.COARSE),
        (0, None),
    )
    together = jax.jit(run)(batch, MODEL)
    for index, face in enumerate(faces):
        alone = fit(face, orthographic(), traced(presets.COARSE))
        np.testing.assert_allclose(together.vertices_mm[index], alone.vertices_mm, atol=0.05)
        np.testing.assert_allclose(together.residual_px[index], alone.residual_px, rtol=1e-2)


def test_derivatives_agree_with_finite_differences():
    """A face that is stretched sideways: the zoom has a known derivative, identity and pose a measured one."""
    _, _, landmarks = truth(12, strength=0.4)

    def stretched(step):
        return landmarks._replace(points_px=landmarks.points_px * (1.0 + step * jnp.array([[1.0, 0.3]])))

    def numbers(fitted):
        return jnp.append(fitted.identity, fitted.pose.log_scale)

    def slope(model):
        def of(step):
            return numbers(coarse.run(stretched(step), model=model, camera=orthographic(), weights=presets.COARSE))

        return jax.jvp(of, (0.0,), (1.0,))[1]

    slopes = np.asarray(jax.jit(slope)(MODEL))
    ahead, behind = (numbers(fit(stretched(step), orthographic(), traced(presets.COARSE))) for step in (0.02, -0.02))
    differences = np.asarray(ahead - behind) / 0.04
    assert np.all(np.isfinite(slopes))
    assert np.corrcoef(slopes[:-1], differences[:-1])[0, 1] > 0.9
    np.testing.assert_allclose(slopes[-1], differences[-1], rtol=0.1)


@pytest.mark.parametrize("spoil", ["nan", "nothing"])
def test_hopeless_landmarks_are_flagged_not_raised(spoil):
    _, _, landmarks = truth(13)
    if spoil == "nan":
        landmarks = landmarks._replace(points_px=landmarks.points_px.at[7].set(jnp.nan))
    else:
        landmarks = landmarks._replace(confidence=jnp.zeros(478))
    assert not fit(landmarks, orthographic(), traced(presets.COARSE)).finite


def test_eyes_follow_the_irises_and_the_face_does_not():
    look = MODEL.expression_names.index("eyeLookOutLeft")
    _, pose, _ = truth(5)
    expression = jnp.zeros(len(MODEL.expression_names)).at[look].set(0.8)
    vertices_mm = face_shape(jnp.zeros(80), expression, model=MODEL)
    points = project(landmark_positions(vertices_mm, model=MODEL), pose, camera=orthographic())
    landmarks = Landmarks(points[:, :2], points[:, 2], jnp.ones(478))
    found = fit(landmarks, orthographic(), traced(presets.COARSE))
    assert 0.4 < float(found.expression[look]) < 0.8  # the prior holds back
    skin = np.asarray(MODEL.vertex_parts) == Part.SKIN
    assert shape_error_mm(found.vertices_mm[skin], vertices_mm[skin]) < 0.5
    blind = presets.COARSE._replace(trust=presets.COARSE.trust._replace(iris=0.0))
    still = fit(landmarks, orthographic(), traced(blind))
    assert float(still.expression[look]) < 0.3


LIDS = ((386, 374), (159, 145))


def gaps_mm(vertices_mm, pairs):
    points = np.asarray(landmark_positions(vertices_mm, model=MODEL))
    return np.array([points[upper, 1] - points[lower, 1] for upper, lower in pairs])


def test_shut_eyes_shut_and_closed_lips_stay_closed():
    """With landmarks that are a millimetre wrong, alike for both rims, as a detector is."""
    identity, pose = jnp.asarray(0.7 * np.random.default_rng(3).normal(size=80), jnp.float32), truth(3)[1]
    shut = [MODEL.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    for weight in (1.0, 0.0):
        expression = jnp.zeros(len(MODEL.expression_names)).at[jnp.array(shut)].set(weight)
        vertices_mm = face_shape(identity, expression, model=MODEL)
        wrong = jnp.array([[1.0, -1.0, 0.0]])
        points = project(landmark_positions(vertices_mm, model=MODEL) + wrong, pose, camera=orthographic())
        found = fit(Landmarks(points[:, :2], points[:, 2], jnp.ones(478)), orthographic(), traced(presets.COARSE))
        wide_mm = gaps_mm(face_shape(identity, 0.0 * expression, model=MODEL), LIDS)
        missed_mm = gaps_mm(found.vertices_mm, LIDS) - gaps_mm(vertices_mm, LIDS)
        assert np.all(np.abs(missed_mm) < 0.15 * wide_mm), (missed_mm, wide_mm)
        assert abs(gaps_mm(found.vertices_mm, ((13, 14),))[0]) < 1.0
        blinks = np.asarray(found.expression)[shut]
        assert np.all(blinks > 0.6) if weight else np.all(blinks < 0.15)  # the prior shares it out among lid shapes
