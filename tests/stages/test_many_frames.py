"""Many frames of one person: opinions against finite differences and against the joint fit of all unknowns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.flatten_util import ravel_pytree
from stages.test_coarse import MODEL, angle_degrees, shape_error_mm
from stages.test_coarse_shading import FACE_VERTICES, PATCHES, SIZE, WHOLE, first_fit, refine

from jaxface.energies.face import face_residuals, hold, make_evidence
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.morphable.linear import face_shape
from jaxface.presets import COARSE
from jaxface.rendering.camera import orthographic
from jaxface.stages import bundle
from jaxface.synthetic import FaceSettings, preset_light, synthetic_face

SHARED = dict(model=MODEL, patches=PATCHES, camera=orthographic(), weights=COARSE)  # arguments, not constants


@pytest.fixture(scope="module")
def scenes():
    """One person (the same key) at three yaws with true landmarks, and each frame's own fit."""
    light = preset_light("soft")

    def shoot(yaw):
        settings = FaceSettings(off_basis_mm=0.3)
        return synthetic_face(
            jax.random.key(3), model=MODEL, size=SIZE, yaw=yaw, light=light, levels=1, settings=settings
        )

    faces = [shoot(jnp.float32(yaw)) for yaw in (-0.4, 0.0, 0.4)]
    return [(face, refine(first_fit(face.landmarks), face.landmarks, face.image, WHOLE)) for face in faces]


def unknowns(fit):
    return FaceUnknowns(fit.pose, fit.identity, fit.expression)


def summarise(fit, face):
    return _summarise(unknowns(fit), face.landmarks, face.image, SHARED)


@jax.jit
def _summarise(x, landmarks, image, shared):
    return bundle.summarise(x, landmarks, image, WHOLE, **shared)


@jax.jit
def follow(x, landmarks, image, shared):
    return bundle.follow(x, landmarks, image, WHOLE, **shared)


def test_an_opinion_is_symmetric_positive_and_finite(scenes):
    for face, fit in scenes:
        opinion = summarise(fit, face)
        values = np.linalg.eigvalsh(np.asarray(opinion.information, np.float64))
        assert values[0] > -1e-3 * values[-1] and values[-1] > 1.0
        np.testing.assert_allclose(opinion.information, opinion.information.T, atol=1e-4 * values[-1])
        assert np.isfinite(opinion.vector).all() and opinion.motion.shape == (6 + len(fit.expression),) * 2


def test_an_opinion_is_the_schur_complement_of_the_normal_equations(scenes):
    """The slow way, float64: eliminate what is free of pose and expression by a plain solve."""
    face, fit = scenes[2]
    x, size = unknowns(fit), 6 + len(fit.expression)
    evidence = make_evidence(
        face.landmarks, face.image, WHOLE, orthographic(), model=MODEL, px_per_mm=jnp.exp(fit.pose.log_scale)
    )
    held = hold(x, evidence, PATCHES, model=MODEL, weights=COARSE)
    start, unravel = ravel_pytree((x.pose, x.expression, x.identity))

    @jax.jit
    def linearise(flat, held, evidence, patches, model):
        def residuals(flat):
            pose, expression, identity = unravel(flat)
            y = FaceUnknowns(pose, identity, expression)
            return face_residuals(y, held, evidence, patches, model=model, weights=COARSE)

        return jax.jacfwd(residuals)(flat), residuals(flat)

    rows, residuals = (np.asarray(part, np.float64) for part in linearise(start, held, evidence, PATCHES, MODEL))
    gradient = rows.T @ residuals
    low, high = MODEL.expression_bounds
    expression = np.asarray(fit.expression)
    slope = gradient[6:size]
    free = np.concatenate(
        [np.ones(6, bool), ~(((expression <= low) & (slope > 0.0)) | ((expression >= high) & (slope < 0.0)))]
    )
    kept, other = rows[:, :size][:, free], rows[:, size:]
    solved = np.linalg.lstsq(kept, np.concatenate([other, residuals[:, None]], axis=1), rcond=None)
    left = np.concatenate([other, residuals[:, None]], axis=1) - kept @ solved[0]
    information = left[:, :-1].T @ left[:, :-1]
    vector = information @ np.asarray(fit.identity, np.float64) - left[:, :-1].T @ left[:, -1]
    opinion = summarise(fit, face)
    np.testing.assert_allclose(opinion.information, information, atol=5e-3 * np.abs(information).max())
    np.testing.assert_allclose(opinion.vector, vector, atol=2e-2 * np.abs(vector).max())
    np.testing.assert_allclose(opinion.motion, rows[:, :size].T @ rows[:, :size], rtol=2e-3,
                               atol=1e-4 * np.abs(opinion.motion).max())  # fmt: skip


def _opinions(size, *, seed=0):
    """Three frames' summed opinions on places that they ask for, each `size` from the mean face."""
    rng = np.random.default_rng(seed)
    roots, places = rng.normal(size=(3, 7, 5)), size * rng.normal(size=(3, 5))
    information = np.einsum("nij,nik->njk", roots, roots)
    return information.sum(0), np.einsum("nij,nj->i", information, places)


def _fuse(information, vector, num_frames):
    return np.asarray(bundle.fuse(jnp.asarray(information), jnp.asarray(vector), num_frames=num_frames), np.float64)


def test_fusing_finds_the_minimum_of_the_sum():
    information, vector = _opinions(0.5)
    found = _fuse(information, vector, 3.0)

    def cost(z):
        return 0.5 * z @ z + 0.5 * z @ information @ z - vector @ z

    assert all(cost(found) < cost(found + 0.01 * step) for step in np.concatenate([np.eye(5), -np.eye(5)]))
    many = _fuse(100.0 * information, 100.0 * vector, 300.0)
    share = bundle.INDEPENDENT_FRAMES / 3.0  # three hundred frames count as a few
    system = np.eye(5) + share * information
    np.testing.assert_allclose(many, np.linalg.solve(system, share * vector), rtol=1e-3)


def test_opinions_that_are_too_sure_count_less():
    information, vector = _opinions(4.0)

    def solve(share):
        return np.linalg.solve(np.eye(5) + share * information, share * vector)

    def surplus(share):
        system = np.eye(5) + share * information
        return solve(share) @ solve(share) - np.trace(np.linalg.solve(system, share * information))

    assert surplus(1.0) > 1.0 > 0.0 > surplus(1e-6)
    share = scipy.optimize.brentq(surplus, 1e-6, 1.0, xtol=1e-12)
    assert 0.001 < share < 0.5
    np.testing.assert_allclose(_fuse(information, vector, 3.0), solve(share), rtol=1e-3, atol=1e-4)
    assert not _fuse(np.zeros((5, 5)), np.zeros(5), 3.0).any()  # nobody says anything: the mean face


def test_one_person_from_three_views_is_nearer_than_single_views(scenes):
    truth = face_shape(scenes[0][0].identity, jnp.zeros(len(MODEL.expression_names)), model=MODEL)[FACE_VERTICES]

    def error_mm(identity):
        shape = face_shape(identity, jnp.zeros(len(MODEL.expression_names)), model=MODEL)
        return shape_error_mm(shape[FACE_VERTICES], truth)

    opinions = [summarise(fit, face) for face, fit in scenes]
    information, vector = (sum(np.asarray(part, np.float64) for part in parts)
                           for parts in list(zip(*opinions, strict=True))[:2])  # fmt: skip
    identity = bundle.fuse(jnp.asarray(information, jnp.float32), jnp.asarray(vector, jnp.float32), num_frames=3.0)
    singles = [error_mm(fit.identity) for _, fit in scenes]
    print("single, bundle, mm:", np.round(singles, 2), round(error_mm(identity), 2))
    assert error_mm(identity) < np.mean(singles)


def test_following_a_known_person_finds_pose_and_expression(scenes):
    """From the mean expression and a pose some degrees off."""
    face, _ = scenes[1]
    off = face.pose._replace(rotation_vector=face.pose.rotation_vector + jnp.array([0.05, -0.05, 0.03]))
    start = FaceUnknowns(off, face.identity, jnp.zeros_like(face.expression))
    found = follow(start, face.landmarks, face.image, SHARED)
    assert found.finite
    np.testing.assert_array_equal(found.identity, face.identity)
    assert angle_degrees(found.pose, face.pose) < 0.6 * angle_degrees(off, face.pose)  # expressions take some of it
    true_mm = face_shape(face.identity, face.expression, model=MODEL)[FACE_VERTICES]
    neutral_mm = face_shape(face.identity, jnp.zeros_like(face.expression), model=MODEL)[FACE_VERTICES]
    assert shape_error_mm(found.vertices_mm[FACE_VERTICES], true_mm) < 0.6 * shape_error_mm(neutral_mm, true_mm)


def test_opinions_and_follow_under_vmap(scenes):
    faces, fits = zip(*scenes[:2], strict=True)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[
        (unknowns(fit), face.landmarks, face.image) for face, fit in zip(faces, fits, strict=True)
    ])  # fmt: skip
    together = jax.jit(jax.vmap(_summarise, in_axes=(0, 0, 0, None)))(*batch, SHARED)
    for index, (face, fit) in enumerate(scenes[:2]):
        alone = summarise(fit, face)
        scale = float(jnp.abs(alone.information).max())
        np.testing.assert_allclose(together.information[index], alone.information, atol=2e-3 * scale)


def test_a_black_frame_has_no_opinion_that_breaks_the_sum(scenes):
    face, fit = scenes[1]
    opinion = _summarise(unknowns(fit), face.landmarks, jnp.zeros_like(face.image), SHARED)
    assert all(np.isfinite(part).all() for part in opinion)
