"""The coarse fit gone on with normals that a network sees, here those of rendered faces with errors added."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages.test_coarse import MODEL, shape_error_mm
from stages.test_coarse_shading import FACE_VERTICES, PATCHES, PULL, SIZE, WHOLE, error_mm, first_fit

from jaxface import presets
from jaxface.energies.normals import NormalsSeen
from jaxface.imaging.filters import gaussian_blur
from jaxface.morphable.linear import landmark_positions
from jaxface.numerics import normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import coarse
from jaxface.synthetic import FaceSettings, synthetic_face
from jaxface.types import Crop

SPREAD = 0.12  # radians, of errors that are alike within some pixels
GREY = jnp.full((SIZE, SIZE, 3), 0.5, jnp.float32)  # a photo without shading
NORMALS_ALONE = presets.COARSE._replace(skin_independent=0.0)


def go_on(landmark_fit, landmarks, window, seen, crop, weights, model, patches):
    return coarse.fit_skin(
        landmark_fit, landmarks, window, crop, model=model, patches=patches, camera=orthographic(), weights=weights,
        seen=seen,
    )  # fmt: skip


go_on_once = jax.jit(chex.assert_max_traces(go_on, n=1))


def refine(landmark_fit, landmarks, seen, *, window=GREY, crop=WHOLE, weights=NORMALS_ALONE):
    weights = jax.tree.map(jnp.float32, weights)
    return go_on_once(landmark_fit, landmarks, window, seen, crop, weights, MODEL, PATCHES)


def seen_normals(face, seed):
    """True normals, turned by smooth random errors, with a wild patch that says so."""
    errors = gaussian_blur(jax.random.normal(jax.random.key(seed), (SIZE, SIZE, 2)), sigma=2.5)
    errors = SPREAD / np.sqrt(2.0) * errors / jnp.std(errors)
    wild = jnp.hypot(*(jnp.stack(jnp.meshgrid(*[jnp.arange(SIZE)] * 2)) - 0.4 * SIZE)) < 0.06 * SIZE
    errors = errors + jnp.where(wild[..., None], 0.5, 0.0)
    normals = normalise(face.normals_image + jnp.pad(errors, ((0, 0), (0, 0), (0, 1))))
    return NormalsSeen(normals, jnp.where(wild, 0.5, SPREAD), face.mask)


@pytest.fixture(scope="module")
def scenes():
    """Photo, face, pulled landmarks, what is seen, the landmark fit, and the fit gone on with normals alone."""
    found, settings = [], FaceSettings(off_basis_mm=0.3, detail_mm=0.2)
    for seed, yaw in [(0, 0.0), (1, 0.2), (2, -0.4)]:
        face = synthetic_face(jax.random.key(seed), model=MODEL, size=SIZE, yaw=yaw, levels=1, settings=settings)
        true_mm = face.smooth_mm[: len(MODEL.mean_mm)]
        pulled_mm = landmark_positions(true_mm + PULL * (MODEL.mean_mm - true_mm), model=MODEL)
        points = project(pulled_mm, face.pose, camera=orthographic())
        landmarks = face.landmarks._replace(points_px=points[:, :2], confidence=jnp.ones(478))
        before, seen = first_fit(landmarks), seen_normals(face, seed)
        found.append((face.image, true_mm, landmarks, seen, before, refine(before, landmarks, seen)))
    return found


def test_normals_bring_a_shrunken_face_nearer_to_the_truth(scenes):
    before, after = np.array([[error_mm(fit, true) for fit in fits] for _, true, _, _, *fits in scenes]).T
    print("shape error, mm:", before.round(2), after.round(2))
    assert after.mean() < 0.9 * before.mean() and np.all(after < 1.1 * before)
    for *_, first, fit in scenes:
        assert fit.finite and np.abs(fit.identity).max() < 4.0
        assert np.all(fit.expression >= 0.0) and np.all(fit.expression <= 1.0)
        assert fit.residual_px < 2.0 * first.residual_px + 0.5


def test_shading_beside_the_normals_brings_it_nearer_still(scenes):
    alone, both = [], []
    for image, true_mm, landmarks, seen, before, fit in scenes:
        alone.append(error_mm(fit, true_mm))
        both.append(error_mm(refine(before, landmarks, seen, window=image, weights=presets.COARSE), true_mm))
    print("shape error, mm:", np.round(alone, 2), np.round(both, 2))
    assert np.mean(both) < np.mean(alone)


def test_without_skin_the_fit_is_the_landmarks_own(scenes):
    *_, landmarks, seen, before, _ = scenes[1]
    nothing = NormalsSeen(jnp.nan * seen.normals_image, jnp.nan * seen.spread, 0.0 * seen.skin)
    after = refine(before, landmarks, nothing)
    assert after.finite
    assert shape_error_mm(after.vertices_mm[FACE_VERTICES], before.vertices_mm[FACE_VERTICES]) < 0.1
    np.testing.assert_allclose(after.residual_px, before.residual_px, atol=0.05)


def test_a_crop_is_only_another_place_of_the_pixels(scenes):
    """The same pixels as a window into a larger photo at twice the scale."""
    *_, landmarks, seen, _, expected = scenes[1]
    offset = jnp.array([40.0, -25.0])
    larger = landmarks._replace(points_px=2.0 * landmarks.points_px + offset[None])
    after = refine(first_fit(larger), larger, seen, crop=Crop(offset, jnp.float32(0.5)))
    assert shape_error_mm(after.vertices_mm, expected.vertices_mm) < 0.1
    np.testing.assert_allclose(after.pose.log_scale, expected.pose.log_scale + np.log(2.0), atol=5e-3)


@pytest.mark.slow  # compiles the fit once more
def test_vmap_is_a_loop(scenes):
    chosen = [(before, landmarks, GREY, seen) for *_, landmarks, seen, before, _ in scenes[:2]]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *chosen)
    together = jax.jit(jax.vmap(go_on, in_axes=(0, 0, 0, 0, None, None, None, None)))(
        *batch, WHOLE, NORMALS_ALONE, MODEL, PATCHES
    )  # fmt: skip
    for index, (*_, alone) in enumerate(scenes[:2]):
        np.testing.assert_allclose(together.vertices_mm[index], alone.vertices_mm, atol=0.1)
        np.testing.assert_allclose(together.residual_px[index], alone.residual_px, rtol=2e-2)
