"""Landmark residuals against a slow twin, outline points that slide, and handles that are the shape to first order."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model
from tiny_model import make_model

from jaxface import presets
from jaxface.energies import landmarks as energy
from jaxface.energies.landmarks import (
    FaceUnknowns,
    gap_residuals,
    landmark_offsets_mm,
    landmark_residuals,
    make_handles,
    make_targets,
)
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import orthographic, project
from jaxface.types import Camera, Landmarks, Pose, Region

MODEL = dome_model()
BORDER = np.flatnonzero(np.asarray(MODEL.landmark_regions) == Region.BORDER)
INNER = np.flatnonzero(
    (np.asarray(MODEL.landmark_regions) != Region.BORDER) & (np.asarray(MODEL.landmark_barycentrics).sum(axis=1) > 0)
)
CAMERA = Camera(jnp.float32(1 / 1200.0), jnp.array([150.0, 140.0]))
SETTINGS = {"landmark_mm": 1.7, "outlier_mm": 4.0}


def unknowns(model=MODEL, *, seed=0, yaw=0.3, size=0.5):
    rng = np.random.default_rng(seed)
    count = model.identity_basis_mm.shape[0], model.expression_basis_mm.shape[0]
    identity, expression = (jnp.asarray(size * rng.normal(size=n), jnp.float32) for n in count)
    pose = Pose(jnp.array([0.05, yaw, 0.1]), jnp.array([160.0, 151.0]), jnp.log(jnp.float32(1.5)))
    return FaceUnknowns(pose, identity, expression)


def exact_landmarks(x, model=MODEL, *, camera=CAMERA):
    points = project(landmark_positions(face_shape(x.identity, x.expression, model=model), model=model), x.pose,
                     camera=camera)  # fmt: skip
    return Landmarks(points[:, :2], points[:, 2], jnp.ones(len(points)))


def noisy_targets(x, *, noise_px=3.0):
    face = exact_landmarks(x)
    noise = np.random.default_rng(1).normal(0.0, noise_px, face.points_px.shape)
    confidence = jnp.asarray(np.random.default_rng(2).uniform(0.2, 1.0, len(noise)), jnp.float32)
    face = face._replace(points_px=face.points_px + jnp.asarray(noise, jnp.float32), confidence=confidence)
    return make_targets(face, model=MODEL, px_per_mm=1.5)


def handles_of(x, targets, *, model=MODEL, camera=CAMERA, independent=1e6):
    return make_handles(x, targets, model=model, camera=camera, trust=presets.COARSE.trust, independent=independent)


def slow_residuals(x, handles, targets, *, landmark_mm, outlier_mm):
    """A landmark at a time, float64: pinhole, pixels to millimetres, across the outline if it slides, softened."""
    rotation = np.asarray(rotation_matrix(x.pose.rotation_vector), np.float64)
    scale, shift = np.exp(float(x.pose.log_scale)), np.asarray(x.pose.translation_px, np.float64)
    principal = np.asarray(CAMERA.principal_point_px, np.float64)
    basis, mean = (np.asarray(part, np.float64) for part in (handles.basis_mm, handles.mean_mm))
    coefficients = np.concatenate([x.identity, x.expression]).astype(np.float64)
    out = []
    for place, target in enumerate(np.asarray(targets.points_px, np.float64)):
        point = mean[place] + sum(c * b[place] for c, b in zip(coefficients, basis, strict=True))
        side, up, toward = scale * rotation @ point
        enlarged = 1.0 / (1.0 - float(CAMERA.inverse_focal) * toward)
        seen = principal + (shift - principal + np.array([side, -up])) * enlarged
        offset = (seen - target) / float(targets.px_per_mm)
        normal = np.asarray(handles.outline_normals[place], np.float64)
        if np.any(normal != 0.0):
            offset = (offset @ normal) * normal
        offset = offset / np.sqrt(1.0 + offset @ offset / outlier_mm**2)
        out.append(np.sqrt(float(handles.confidence[place])) / landmark_mm * offset)
    return np.concatenate(out)


def test_residuals_match_the_loop_plain_jit_and_vmap():
    x = unknowns()
    targets = noisy_targets(x)
    handles = handles_of(x, targets)
    moved = x._replace(identity=x.identity + 1.0, pose=x.pose._replace(translation_px=x.pose.translation_px + 2.0))
    expected = slow_residuals(moved, handles, targets, **SETTINGS)
    assert np.abs(expected).max() > 0.5

    def residuals(x, handles, targets):
        return landmark_residuals(x, handles, targets, CAMERA, **SETTINGS)

    np.testing.assert_allclose(residuals(moved, handles, targets), expected, atol=1e-4)
    np.testing.assert_allclose(jax.jit(residuals)(moved, handles, targets), expected, atol=1e-4)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), (moved, handles, targets), (x, handles, targets))
    together = jax.vmap(residuals)(*batch)
    np.testing.assert_allclose(together[0], expected, atol=1e-4)
    np.testing.assert_allclose(together[1], slow_residuals(x, handles, targets, **SETTINGS), atol=1e-4)


def slow_gaps(x, handles, targets, *, gap_mm, outlier_mm, pairs):
    """A pair at a time: how much wider the model's opening is than the landmarks', softened, the less sure point's
    weight."""
    offsets = np.asarray(landmark_offsets_mm(x, handles, targets, CAMERA), np.float64)
    out = []
    for upper, lower in zip(*pairs, strict=True):
        apart = offsets[upper] - offsets[lower]
        confidence = min(float(handles.confidence[upper]), float(handles.confidence[lower]))
        out.append(np.sqrt(confidence) / gap_mm * apart / np.sqrt(1.0 + apart @ apart / outlier_mm**2))
    return np.concatenate(out)


def test_gaps_match_the_loop_and_leave_absent_points_alone(monkeypatch):
    pairs = INNER[:4], INNER[4:8]
    monkeypatch.setattr(energy, "_UPPER_RIMS", tuple(map(int, pairs[0])))
    monkeypatch.setattr(energy, "_LOWER_RIMS", tuple(map(int, pairs[1])))
    x, settings = unknowns(), {"gap_mm": 0.4, "outlier_mm": 4.0}
    targets = noisy_targets(x)
    handles = handles_of(x, targets)
    found = gap_residuals(x, handles, targets, CAMERA, **settings)
    assert np.abs(found).max() > 1.0
    np.testing.assert_allclose(found, slow_gaps(x, handles, targets, pairs=pairs, **settings), atol=1e-4)
    shifted = targets._replace(points_px=targets.points_px + 7.0)  # a rim somewhere else is no gap
    np.testing.assert_allclose(gap_residuals(x, handles, shifted, CAMERA, **settings), found, atol=1e-3)
    face = exact_landmarks(x)
    gone = face.confidence.at[int(pairs[0][1])].set(0.0)
    face = face._replace(points_px=face.points_px.at[int(pairs[0][1])].set(jnp.nan), confidence=gone)
    targets = make_targets(face, model=MODEL, px_per_mm=1.5)
    handles = handles_of(x, targets)
    jacobian = jax.jacfwd(lambda x: gap_residuals(x, handles, targets, CAMERA, **settings))(x)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jacobian))
    rows = np.asarray(jacobian.identity).reshape(4, 2, -1)
    np.testing.assert_allclose(rows[1], 0.0, atol=1e-4)
    assert np.any(rows[0] != 0.0)


def test_half_the_square_is_the_geman_mcclure_cost():
    """Of one landmark: rho(r) = r^2 / (1 + r^2 / c^2) / 2, over the usual error; far points pull no further."""
    x = unknowns()
    targets = make_targets(exact_landmarks(x), model=MODEL, px_per_mm=1.5)
    handles = handles_of(x, targets)
    place = INNER[3]
    for offset_mm in (0.5, 4.0, 1e3):
        shifted = targets._replace(points_px=targets.points_px.at[place].add(1.5 * jnp.array([0.6, 0.8]) * offset_mm))
        residuals = landmark_residuals(x, handles, shifted, CAMERA, **SETTINGS).reshape(-1, 2)
        cost = offset_mm**2 / (1.0 + (offset_mm / 4.0) ** 2) / 1.7**2
        np.testing.assert_allclose(np.sum(residuals[place] ** 2), handles.confidence[place] * cost, rtol=1e-3)


def test_the_jacobian_is_finite_where_nothing_is_off_and_where_points_are_absent():
    x = unknowns()
    face = exact_landmarks(x)
    face = face._replace(points_px=face.points_px.at[5].set(jnp.nan), confidence=face.confidence.at[5].set(0.0))
    targets = make_targets(face, model=MODEL, px_per_mm=1.5)
    handles = handles_of(x, targets, camera=CAMERA)
    jacobian = jax.jacfwd(lambda x: landmark_residuals(x, handles, targets, CAMERA, **SETTINGS))(x)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(jacobian))
    rows = np.asarray(jacobian.identity).reshape(-1, 2, 2)
    assert np.any(rows[INNER[3]] != 0.0)
    np.testing.assert_allclose(rows[[5, len(rows) - 1]], 0.0, atol=1e-4)  # absent here, and lacking in the model


def test_correlated_points_share_their_count_and_border_points_have_theirs():
    x = unknowns(yaw=0.0)
    targets = make_targets(exact_landmarks(x), model=MODEL, px_per_mm=1.5)
    full = np.asarray(handles_of(x, targets).confidence)
    few = np.asarray(handles_of(x, targets, independent=7.0).confidence)
    np.testing.assert_allclose(full[BORDER], 0.3, rtol=1e-5)
    assert np.all((full[INNER] >= 0.05) & (full[INNER] <= 1.0)) and full[-1] == 0.0
    np.testing.assert_allclose(few, full * 7.0 / full.sum(), rtol=1e-4)


def test_points_that_turn_away_count_less():
    x = unknowns(yaw=1.0, size=0.0)
    targets = make_targets(exact_landmarks(x), model=MODEL, px_per_mm=1.5)
    confidence = np.asarray(handles_of(x, targets).confidence)
    side = np.asarray(landmark_positions(MODEL.mean_mm, model=MODEL))[:, 0]
    toward, away = (INNER[np.argsort(sign * side[INNER])[:6]] for sign in (1.0, -1.0))
    assert confidence[toward].mean() > 1.5 * confidence[away].mean()


@pytest.mark.parametrize("yaw", [0.0, 0.5, -0.5])
def test_border_points_count_only_across_the_outline(yaw):
    x = unknowns(yaw=yaw)
    targets = make_targets(exact_landmarks(x), model=MODEL, px_per_mm=1.5)
    handles = handles_of(x, targets)
    normals = np.asarray(handles.outline_normals)
    np.testing.assert_allclose(np.linalg.norm(normals[BORDER], axis=1), 1.0, rtol=1e-5)
    assert np.all(normals[np.setdiff1d(np.arange(len(normals)), BORDER)] == 0.0)
    before = np.asarray(landmark_offsets_mm(x, handles, targets, CAMERA))
    tangents = np.stack([-normals[:, 1], normals[:, 0]], axis=1)
    for direction, change in ((tangents, 0.0), (normals, 2.0)):
        shifted = targets._replace(points_px=targets.points_px - 1.5 * 2.0 * direction.astype(np.float32))
        after = np.asarray(landmark_offsets_mm(x, handles, shifted, CAMERA))
        np.testing.assert_allclose((after - before)[BORDER], change * normals[BORDER], atol=1e-3)


@pytest.mark.parametrize("yaw", [0.0, 0.6])
def test_outline_normals_point_out_of_the_face(yaw):
    x = unknowns(yaw=yaw, size=0.0)
    face = exact_landmarks(x)
    handles = handles_of(x, make_targets(face, model=MODEL, px_per_mm=1.5))
    points = np.asarray(face.points_px)[BORDER]
    outward = np.sum((points - points.mean(axis=0)) * np.asarray(handles.outline_normals)[BORDER], axis=1)
    assert np.mean(outward > 0.0) > 0.9


def outline_gain_mm(model, x):
    """How far beyond the landmark itself its handle lies, along the outline's normal."""
    face = exact_landmarks(x, model, camera=orthographic())
    targets = make_targets(face, model=model, px_per_mm=1.5)
    handles = handles_of(x, targets, model=model, camera=orthographic())
    offsets = np.asarray(landmark_offsets_mm(x, handles, targets, orthographic()))
    return np.sum(offsets * np.asarray(handles.outline_normals), axis=1), handles


def test_hidden_border_points_move_out_to_the_outline():
    """A turned face: on the far side the landmarks lie inside the outline, and no surface lies beyond a handle."""
    x = unknowns(yaw=0.7)
    gain, handles = outline_gain_mm(MODEL, x)
    assert gain[BORDER].min() > -1e-4 and gain[BORDER].max() > 3.0
    vertices_px = np.asarray(project(face_shape(x.identity, x.expression, model=MODEL), x.pose, camera=orthographic()))
    coefficients = jnp.concatenate([x.identity, x.expression])
    points_mm = handles.mean_mm + jnp.tensordot(coefficients, handles.basis_mm, axes=1)
    points_px = np.asarray(project(points_mm, x.pose, camera=orthographic()))
    landmarks_px = np.asarray(exact_landmarks(x, camera=orthographic()).points_px)
    for place in BORDER:
        normal = np.asarray(handles.outline_normals[place])
        offsets = vertices_px[:, :2] - landmarks_px[place]
        near = np.abs(offsets @ np.array([-normal[1], normal[0]])) < 4.0 * 1.5 - 0.01
        assert np.max(offsets[near] @ normal) <= (points_px[place, :2] - landmarks_px[place]) @ normal + 1e-3


def test_vertices_beyond_the_face_never_become_outline():
    """Ears stick out: as part of the face they would be outline, as OUTSIDE they are not looked at."""
    mean = np.asarray(MODEL.mean_mm)
    ears = np.abs(mean[:, 0]) > 60.0
    spread = jnp.asarray(np.where(ears[:, None], mean * [1.6, 1.0, 1.0], mean), jnp.float32)
    labels = np.asarray(MODEL.vertex_regions).copy()
    face_like = dataclasses.replace(MODEL, mean_mm=spread)
    labels[ears] = Region.OUTSIDE
    beyond = dataclasses.replace(face_like, vertex_regions=jnp.asarray(labels))
    x = unknowns(yaw=0.0, size=0.0)
    assert outline_gain_mm(face_like, x)[0].max() > 20.0
    _, handles = outline_gain_mm(beyond, x)
    distances = np.linalg.norm(np.asarray(spread)[ears][None] - np.asarray(handles.mean_mm)[BORDER][:, None], axis=2)
    at_ear = distances.min(axis=1) < 1e-3
    landmark_mm = np.asarray(landmark_positions(spread, model=beyond))[BORDER]
    stayed = np.linalg.norm(np.asarray(handles.mean_mm)[BORDER] - landmark_mm, axis=1) < 1e-3
    assert not np.any(at_ear & ~stayed)


@pytest.mark.parametrize("joints", [False, True])
def test_handles_are_the_shape_to_first_order(joints):
    """At the coefficients themselves exactly; next to them with an error that falls with the square of the step."""
    model = make_model(joints=joints)
    x = unknowns(model, size=0.3)
    targets = make_targets(exact_landmarks(x, model, camera=orthographic()), model=model, px_per_mm=1.5)
    inner = np.asarray(model.landmark_regions) != Region.BORDER
    handles = handles_of(x, targets, model=model, camera=orthographic())
    coefficients = jnp.concatenate([x.identity, x.expression])
    direction = jnp.asarray(np.random.default_rng(3).normal(size=len(coefficients)), jnp.float32)

    def errors_mm(step):
        moved = coefficients + step * direction
        split = len(x.identity)
        truth = landmark_positions(face_shape(moved[:split], moved[split:], model=model), model=model)
        handle = handles.mean_mm + jnp.tensordot(moved, handles.basis_mm, axes=1, precision="highest")
        return np.abs(np.asarray(handle - truth))[inner].max()

    assert errors_mm(0.0) < 1e-4
    if not joints:
        assert errors_mm(1.0) < 1e-4
    else:
        assert errors_mm(1.0) > 1e-2  # turned joints are not linear
        assert errors_mm(0.05) < 0.02 * errors_mm(1.0) + 1e-4
