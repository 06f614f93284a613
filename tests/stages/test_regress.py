"""A regressed face as the coarse fit, and a regressed pose as the landmark fit's start, on faces that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model

from jaxface import presets
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import regress
from jaxface.types import Camera, Landmarks, Pose, Region

MODEL = dome_model()
POSE = Pose(jnp.array([0.1, 0.4, -0.05]), jnp.array([61.0, 47.0]), jnp.log(jnp.float32(0.7)))
RANDOM = np.random.default_rng(0)
IDENTITY = jnp.asarray(RANDOM.normal(size=MODEL.identity_basis_mm.shape[0]), jnp.float32)
EXPRESSION = jnp.asarray(RANDOM.uniform(size=MODEL.expression_basis_mm.shape[0]), jnp.float32)
IS_BORDER = np.asarray(MODEL.landmark_regions) == Region.BORDER


def seen(vertices_mm, *, camera=None, pose=POSE) -> Landmarks:
    """Where the landmarks are; those of the outline, which stand for other points of the surface, are absent."""
    points = project(landmark_positions(vertices_mm, model=MODEL), pose, camera=camera or orthographic())
    return Landmarks(points[:, :2], points[:, 2], jnp.where(IS_BORDER, 0.0, 1.0))


@jax.jit
def run(landmarks, pose=POSE, camera=None):
    camera = orthographic() if camera is None else camera
    return regress.run(pose, IDENTITY, EXPRESSION, landmarks, model=MODEL, camera=camera, weights=presets.COARSE)


@jax.jit
def start(pose, landmarks):
    return regress.start_pose(pose, landmarks, model=MODEL)


def test_the_networks_numbers_are_the_fit():
    shape = face_shape(IDENTITY, EXPRESSION, model=MODEL)
    fit = run(seen(shape))
    np.testing.assert_array_equal(fit.identity, IDENTITY)
    np.testing.assert_array_equal(fit.expression, EXPRESSION)
    np.testing.assert_allclose(fit.vertices_mm, shape, atol=1e-4)
    assert bool(fit.finite) and float(fit.residual_px) < 1e-3


def test_the_residual_is_the_distance_to_the_landmarks():
    landmarks = seen(face_shape(IDENTITY, EXPRESSION, model=MODEL))
    moved = landmarks._replace(points_px=landmarks.points_px + jnp.array([[3.0, -4.0]]))
    assert float(run(moved).residual_px) == pytest.approx(5.0, abs=1e-2)


def test_points_of_the_outline_count_less_in_the_residual():
    landmarks = seen(face_shape(IDENTITY, EXPRESSION, model=MODEL))
    far = landmarks._replace(points_px=landmarks.points_px + jnp.array([[30.0, -40.0]]))
    outline_too = far._replace(
        points_px=jnp.where(IS_BORDER[:, None], landmarks.points_px, far.points_px), confidence=jnp.ones(len(IS_BORDER))
    )
    share = 1.0 - IS_BORDER.mean()  # as if they counted like the others
    assert 50.0 * np.sqrt(share) * 1.1 < float(run(outline_too).residual_px) < float(run(far).residual_px)


def test_the_residual_knows_the_camera():
    camera = Camera(jnp.float32(1 / 300.0), jnp.array([50.0, 50.0]))
    landmarks = seen(face_shape(IDENTITY, EXPRESSION, model=MODEL), camera=camera)
    assert float(run(landmarks, POSE, camera).residual_px) < 1e-2 < 0.5 < float(run(landmarks).residual_px)


def test_absent_landmarks_may_hold_anything():
    landmarks = seen(face_shape(IDENTITY, EXPRESSION, model=MODEL))
    absent = jnp.arange(landmarks.confidence.shape[0]) % 3 == 0
    holes = landmarks._replace(
        points_px=jnp.where(absent[:, None], jnp.nan, landmarks.points_px),
        confidence=jnp.where(absent, 0.0, landmarks.confidence),
    )
    assert float(run(holes).residual_px) < 1e-3
    assert np.isfinite(jax.tree.leaves(start(POSE, holes))[1]).all()


def test_numbers_that_are_not_finite_are_flagged():
    landmarks = seen(MODEL.mean_mm)
    assert not bool(run(landmarks, POSE._replace(log_scale=jnp.float32(jnp.nan))).finite)


def test_the_start_keeps_the_rotation_and_finds_the_rest():
    wrong = POSE._replace(translation_px=jnp.zeros(2), log_scale=jnp.zeros(()))
    found = start(wrong, seen(MODEL.mean_mm))
    for part, expected in zip(found, POSE, strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-3)


def test_the_start_is_the_best_of_its_rotation():
    """Of a face that is not the mean one: no nearby scale or translation is nearer to the landmarks."""
    landmarks = seen(face_shape(IDENTITY, EXPRESSION, model=MODEL))
    found = start(POSE._replace(rotation_vector=jnp.array([0.0, 0.3, 0.0])), landmarks)

    def cost(pose):
        offsets = seen(MODEL.mean_mm, pose=pose).points_px - landmarks.points_px
        return float(jnp.sum(landmarks.confidence[:, None] * offsets**2))

    for step in (-0.3, 0.3):
        assert cost(found) < cost(found._replace(translation_px=found.translation_px + jnp.array([step, 0.0])))
        assert cost(found) < cost(found._replace(translation_px=found.translation_px + jnp.array([0.0, step])))
        assert cost(found) < cost(found._replace(log_scale=found.log_scale + 0.05 * step))


def test_a_mirrored_face_keeps_the_networks_scale():
    landmarks = seen(MODEL.mean_mm)
    turned = landmarks._replace(points_px=-landmarks.points_px)
    found = start(POSE, turned)
    assert float(found.log_scale) == float(POSE.log_scale) and np.isfinite(found.translation_px).all()
