"""The coarse fit gone on with the skin's shading, on rendered faces whose landmarks lie as detectors lay them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages.test_coarse import MODEL, angle_degrees, fit, shape_error_mm, traced, truth

from jaxface import presets
from jaxface.energies.skin import skin_patches
from jaxface.morphable.linear import landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import coarse
from jaxface.synthetic import preset_light, synthetic_face
from jaxface.types import Crop, Region

SIZE = 160
PULL = 0.4  # how far detectors pull a face toward the mean face
FACES = [(0, 0.0, "soft"), (1, 0.2, "side"), (2, -0.3, "side"), (3, 0.4, "soft")]  # seed, yaw, light
FACE_VERTICES = np.flatnonzero(np.asarray(MODEL.vertex_regions) < Region.BORDER)
PATCHES = skin_patches(MODEL)
WHOLE = Crop(jnp.zeros(2), jnp.float32(1.0))


def go_on(landmark_fit, landmarks, window, crop, model, patches):
    return coarse.fit_skin(
        landmark_fit, landmarks, window, crop, model=model, patches=patches, camera=orthographic(),
        weights=presets.COARSE,
    )  # fmt: skip


go_on_once = jax.jit(chex.assert_max_traces(go_on, n=1))


def refine(landmark_fit, landmarks, window, crop):
    return go_on_once(landmark_fit, landmarks, window, crop, MODEL, PATCHES)


def first_fit(landmarks):
    return fit(landmarks, orthographic(), traced(presets.COARSE))


@pytest.fixture(scope="module")
def scenes():
    """Face, pulled landmarks, their fit and the fit gone on with; light, albedo and field are not known to it."""
    found = []
    for seed, yaw, light in FACES:
        face = synthetic_face(
            jax.random.key(seed), model=MODEL, size=SIZE, yaw=yaw, light=preset_light(light), levels=1
        )
        true_mm = face.smooth_mm[: len(MODEL.mean_mm)]
        pulled_mm = landmark_positions(true_mm + PULL * (MODEL.mean_mm - true_mm), model=MODEL)
        points = project(pulled_mm, face.pose, camera=orthographic())
        landmarks = face.landmarks._replace(points_px=points[:, :2], confidence=jnp.ones(478))
        before = first_fit(landmarks)
        found.append((face, true_mm, landmarks, before, refine(before, landmarks, face.image, WHOLE)))
    return found


def error_mm(result, true_mm):
    return shape_error_mm(result.vertices_mm[FACE_VERTICES], true_mm[FACE_VERTICES])


def test_shading_brings_a_shrunken_face_nearer_to_the_truth(scenes):
    before, after = np.array([[error_mm(fit, true) for fit in fits] for _, true, _, *fits in scenes]).T
    print("shape error, mm:", before.round(2), after.round(2))
    assert after.mean() < 0.92 * before.mean()
    assert np.all(after < 1.15 * before)  # one of four loses a little


def test_landmarks_and_coefficients_stay_sane(scenes):
    for *_, before, after in scenes:
        size_px = float(jnp.exp(after.pose.log_scale)) * 180.0
        assert after.finite and np.all(np.isfinite(after.identity)) and np.abs(after.identity).max() < 3.0
        assert np.all(after.expression >= 0.0) and np.all(after.expression <= 1.0)
        assert after.residual_px < 2.0 * before.residual_px + 0.002 * size_px
        assert angle_degrees(after.pose, before.pose) < 3.0


@pytest.mark.parametrize("edge", [0.0, -0.12])
def test_a_black_shadow_over_half_the_face_does_no_harm(scenes, edge):
    """Its edge is no shape; a light of nine numbers cannot make it either."""
    for face, true_mm, landmarks, before, _ in scenes[:3]:
        right = jnp.arange(SIZE) - face.pose.translation_px[0] > edge * SIZE
        shadowed = face.image * jnp.where(right, 1.0, 0.2)[None, :, None]
        after = refine(before, landmarks, shadowed, WHOLE)
        print("in shadow, mm:", error_mm(before, true_mm), error_mm(after, true_mm))
        assert after.finite and error_mm(after, true_mm) < 1.15 * error_mm(before, true_mm)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_photo_without_shading_changes_little(scenes, value):
    face, _, landmarks, before, _ = scenes[0]
    after = refine(before, landmarks, value * jnp.ones_like(face.image), WHOLE)
    assert after.finite and np.all(np.isfinite(after.vertices_mm))
    assert after.residual_px < 2.0 * before.residual_px + 0.5


def test_a_crop_is_only_another_place_of_the_pixels(scenes):
    """The same pixels as a window into a larger photo at twice the scale."""
    face, _, landmarks, before, expected = scenes[1]
    offset = jnp.array([40.0, -25.0])
    larger = landmarks._replace(points_px=2.0 * landmarks.points_px + offset[None])
    after = refine(first_fit(larger), larger, face.image, Crop(offset, jnp.float32(0.5)))
    assert shape_error_mm(after.vertices_mm, expected.vertices_mm) < 0.1
    np.testing.assert_allclose(after.pose.log_scale, expected.pose.log_scale + np.log(2.0), atol=5e-3)


@pytest.mark.slow  # compiles the fit once more
def test_vmap_is_a_loop(scenes):
    chosen = [(before, landmarks, face.image) for face, _, landmarks, before, _ in scenes[:2]]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *chosen)
    together = jax.jit(jax.vmap(go_on, in_axes=(0, 0, 0, None, None, None)))(*batch, WHOLE, MODEL, PATCHES)
    for index, (*_, alone) in enumerate(scenes[:2]):
        np.testing.assert_allclose(together.vertices_mm[index], alone.vertices_mm, atol=0.1)
        np.testing.assert_allclose(together.residual_px[index], alone.residual_px, rtol=2e-2)


@pytest.mark.parametrize("axis", range(3))
def test_a_start_20_degrees_off_still_arrives(axis):
    _, pose, landmarks = truth(14, yaw_degrees=10.0)
    expected = first_fit(landmarks)
    off = rotation_matrix(jnp.zeros(3).at[axis].set(jnp.deg2rad(20.0))) @ rotation_matrix(pose.rotation_vector)
    start = pose._replace(rotation_vector=rotation_vector(off))
    assert abs(angle_degrees(start, pose) - 20.0) < 0.1
    result = from_start(landmarks, start, MODEL)
    print("start off:", angle_degrees(result.pose, expected.pose),
          shape_error_mm(result.vertices_mm, expected.vertices_mm))  # fmt: skip
    assert result.finite
    assert angle_degrees(result.pose, expected.pose) < 1.0
    assert shape_error_mm(result.vertices_mm, expected.vertices_mm) < 0.3


@jax.jit
@chex.assert_max_traces(n=1)
def from_start(landmarks, start, model):
    return coarse.run(landmarks, model=model, camera=orthographic(), weights=presets.COARSE, start=start)
