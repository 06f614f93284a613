"""Medium stage: Adam against the exact answer and scipy, robustness, hidden sides, islands, batches."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from dome import dome_model

from jaxface import presets
from jaxface.energies.laplacian import laplacian_energy, printed_laplacian_energy
from jaxface.geometry.laplace_coordinates import handle_matrix, laplace_matrix
from jaxface.morphable.linear import landmark_positions
from jaxface.rendering.camera import orthographic, project
from jaxface.stages import medium
from jaxface.types import Camera, CoarseFit, Landmarks, Part, Pose

MODEL = dome_model()
DEFAULT = presets.default().medium
TEMPLATE = medium.prepare(MODEL, weights=DEFAULT)
SCALE = 2.2
CAMERAS = {
    "orthographic": orthographic(),
    "perspective": Camera(jnp.float32(1 / 1200), jnp.array([180.0, 240.0])),
}


def coarse_fit(yaw=0.2):
    pose = Pose(jnp.array([0.1, yaw, 0.05]), jnp.array([200.0, 250.0]), jnp.log(jnp.float32(SCALE)))
    return CoarseFit(jnp.zeros(2), jnp.zeros(1), pose, MODEL.mean_mm, jnp.float32(0), jnp.bool_(True))


def landmarks_of(vertices_mm, coarse, camera=CAMERAS["orthographic"], noise_px=0.0, seed=0):
    points = project(landmark_positions(vertices_mm, model=MODEL), coarse.pose, camera=camera)
    shake = jnp.asarray(np.random.default_rng(seed).normal(size=(len(points), 2)), jnp.float32)
    return Landmarks(points[:, :2] + noise_px * shake, points[:, 2], jnp.ones(len(points)))


def wavy(amplitude_mm=2.0):
    x, y, _ = MODEL.mean_mm.T
    wave = jnp.stack([jnp.sin(y / 25), jnp.cos(x / 30), 0 * x], axis=1)
    return MODEL.mean_mm + amplitude_mm * wave


@jax.jit
def deform(coarse, landmarks, weights=DEFAULT, camera=CAMERAS["orthographic"], template=TEMPLATE):
    return medium.run(coarse, landmarks, model=MODEL, template=template, camera=camera, weights=weights)


@jax.jit
def pull_of(coarse, landmarks, weights=DEFAULT, camera=CAMERAS["orthographic"]):
    arguments = {"model": MODEL, "template": TEMPLATE, "camera": camera, "weights": weights}
    return medium.landmark_pull(coarse, landmarks, **arguments)


def energy_of(vertices_mm, pull, energy=laplacian_energy):
    arguments = {"initial_mm": MODEL.mean_mm, "targets_mm": pull.targets_mm, "weights": pull.weights}
    return float(energy(vertices_mm, **arguments, deformable=TEMPLATE.deformable))


def scipy_answer(pull):
    """Least squares of the stacked system [L; sqrt(W) S], without our factorisation."""
    deformable, count = TEMPLATE.deformable, len(MODEL.mean_mm)
    bending = laplace_matrix(np.asarray(MODEL.triangles), num_vertices=count)
    barycentrics = np.asarray(deformable.handle_barycentrics, np.float64)
    handles = handle_matrix(np.asarray(deformable.handle_vertices), barycentrics, num_vertices=count)
    root = np.sqrt(np.asarray(pull.weights, np.float64))
    stacked = scipy.sparse.vstack([bending, scipy.sparse.diags_array(root) @ handles]).tocsr()
    initial = np.asarray(MODEL.mean_mm, np.float64)
    right = np.concatenate([np.zeros((count, 3)), root[:, None] * (np.asarray(pull.targets_mm) - handles @ initial)])
    columns = [scipy.sparse.linalg.lsqr(stacked, right[:, k], atol=1e-12, btol=1e-12)[0] for k in range(3)]
    return initial + np.stack(columns, axis=1)


def trusting(*, anchor=DEFAULT.anchor, **trust):
    return presets.EQ3._replace(trust=presets.EQ3.trust._replace(**trust), anchor=anchor)


WEIGHTS = [
    DEFAULT,
    trusting(eye=0.06, nose=0.06, eyebrow=1.0, mouth=1.0, skin=0.5, border=0.1),
    trusting(eye=6.0, nose=6.0, eyebrow=6.0, mouth=6.0, skin=6.0, border=6.0, anchor=0.05),
]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("noise_px", [0.5, 6.0])
def test_adam_exact_response_and_scipy_agree(weights, noise_px):
    coarse = coarse_fit()
    landmarks = landmarks_of(wavy(), coarse, noise_px=noise_px)
    pull = pull_of(coarse, landmarks, weights)
    exact = medium.linear_response(MODEL.mean_mm, pull, template=TEMPLATE)
    fit = deform(coarse, landmarks, weights)
    assert bool(fit.finite) and fit.energies.shape[0] <= 50
    np.testing.assert_allclose(exact, scipy_answer(pull), atol=1e-3)
    optimum = energy_of(exact, pull)
    assert energy_of(fit.vertices_mm, pull) < 1.001 * optimum < 0.9 * fit.energies[0]
    np.testing.assert_allclose(fit.vertices_mm, exact, atol=0.01)


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_landmarks_are_approached(camera):
    coarse = coarse_fit()
    landmarks = landmarks_of(wavy(), coarse, camera)
    strong = WEIGHTS[2]
    fit = deform(coarse, landmarks, strong, camera)
    apart = project(landmark_positions(MODEL.mean_mm, model=MODEL), coarse.pose, camera=camera)[:, :2]
    before = float(jnp.sqrt(jnp.mean((apart - landmarks.points_px)[:-1] ** 2)))
    assert before > 2.0 and float(fit.residual_px) < 0.1 * before


def test_nothing_to_do_changes_nothing():
    coarse = coarse_fit()
    fit = deform(coarse, landmarks_of(MODEL.mean_mm, coarse))
    assert bool(fit.finite)
    np.testing.assert_allclose(fit.vertices_mm, MODEL.mean_mm, atol=1e-3)


def test_targets_keep_the_coarse_height():
    coarse = coarse_fit()
    pull = pull_of(coarse, landmarks_of(wavy(), coarse))
    heights = project(pull.targets_mm, coarse.pose, camera=CAMERAS["orthographic"])[:, 2]
    here = project(landmark_positions(MODEL.mean_mm, model=MODEL), coarse.pose, camera=CAMERAS["orthographic"])
    np.testing.assert_allclose(heights, here[:-1, 2], atol=1e-3)


def test_one_bad_landmark_pulls_no_spike():
    coarse = coarse_fit()
    good = landmarks_of(wavy(), coarse)
    bad = good._replace(points_px=good.points_px.at[20].add(jnp.array([60.0, -40.0])))
    apart = jnp.max(jnp.abs(deform(coarse, good).vertices_mm - deform(coarse, bad).vertices_mm))
    assert float(apart) < 0.5
    trusting = presets.EQ3._replace(outlier_mm=1e3)
    assert float(jnp.max(jnp.abs(deform(coarse, bad, trusting).vertices_mm - MODEL.mean_mm))) > 3.0


def test_a_common_shift_is_no_outlier():
    coarse = coarse_fit(yaw=0.0)
    landmarks = landmarks_of(MODEL.mean_mm + jnp.array([[10.0, 0.0, 0.0]]), coarse)
    moved = deform(coarse, landmarks).vertices_mm - MODEL.mean_mm
    assert float(jnp.median(moved[:, 0])) > 8.0


def test_absent_and_hidden_landmarks_do_not_pull():
    coarse = coarse_fit(yaw=0.9)
    landmarks = landmarks_of(MODEL.mean_mm, coarse)
    absent = landmarks._replace(
        points_px=landmarks.points_px.at[7].set(jnp.nan), confidence=landmarks.confidence.at[7].set(0.0)
    )
    pull = pull_of(coarse, absent)
    assert float(pull.trust[7]) == 0.0 and bool(deform(coarse, absent).finite)
    away = np.asarray(landmark_positions(MODEL.mean_mm, model=MODEL))[:-1, 0] > 35  # turned away by this yaw
    trust = np.asarray(pull.trust)
    assert np.median(trust[away]) < 0.2 * np.median(trust[~away])


def test_islands_without_handles_follow_their_neighbourhood():
    model = dome_model(with_island=True)
    template = medium.prepare(model, weights=DEFAULT)
    coarse = coarse_fit(yaw=0.0)._replace(vertices_mm=model.mean_mm)
    points = project(
        landmark_positions(model.mean_mm + jnp.array([[6.0, 0.0, 0.0]]), model=model),
        coarse.pose,
        camera=orthographic(),
    )
    landmarks = Landmarks(points[:, :2], points[:, 2], jnp.ones(len(points)))
    run = jax.jit(functools.partial(medium.run, weights=DEFAULT))
    fit = run(coarse, landmarks, model=model, template=template, camera=orthographic())
    island = np.asarray(fit.vertices_mm - model.mean_mm)[-4:]
    np.testing.assert_allclose(island, np.tile(island[:1], (4, 1)), atol=1e-4)
    np.testing.assert_allclose(island[0], [6.0, 0.0, 0.0], atol=0.5)


def test_pieces_of_one_part_move_as_one_and_their_landmarks_do_not_bend_them():
    """Two teeth at either side, one of which carries a landmark, on a face that is pulled wider."""
    model = dome_model(with_island=True)
    count, last = len(model.mean_mm), model.landmark_triangles.shape[0] - 1
    teeth = jnp.array([[-40.0, 0, 0], [-30, 0, 0], [-30, 9, 0], [40, 0, 0], [30, 9, 0], [30, 0, 0]]) + 5.0
    stack = [(0, 0), (0, 6), (0, 0)]
    model = dataclasses.replace(
        model,
        mean_mm=jnp.concatenate([model.mean_mm, teeth]),
        identity_basis_mm=jnp.pad(model.identity_basis_mm, stack),
        expression_basis_mm=jnp.pad(model.expression_basis_mm, stack),
        triangles=jnp.concatenate([model.triangles, count + jnp.array([[0, 1, 2], [3, 4, 5]])]),
        vertex_regions=jnp.pad(model.vertex_regions, (0, 6)),
        vertex_parts=jnp.pad(model.vertex_parts, (0, 6), constant_values=int(Part.UPPER_TEETH)),
        landmark_triangles=model.landmark_triangles.at[last].set(len(model.triangles)),
        landmark_barycentrics=model.landmark_barycentrics.at[last].set(1.0 / 3.0),
    )
    template = medium.prepare(model, weights=DEFAULT)
    assert last not in template.landmark_ids.tolist() and len(template.landmark_ids) == last
    coarse = coarse_fit(yaw=0.0)._replace(vertices_mm=model.mean_mm)
    wider = landmark_positions(model.mean_mm * jnp.array([[1.1, 1.0, 1.0]]), model=model)
    points = project(wider, coarse.pose, camera=orthographic())
    landmarks = Landmarks(points[:, :2], points[:, 2], jnp.ones(len(points)))
    run = jax.jit(functools.partial(medium.run, weights=DEFAULT))
    fit = run(coarse, landmarks, model=model, template=template, camera=orthographic())
    moved = np.asarray(fit.vertices_mm - model.mean_mm)
    assert np.abs(moved[:count]).max() > 2.0
    np.testing.assert_allclose(moved[-6:], np.tile(moved[-6:-5], (6, 1)), atol=1e-4)


def test_batch_equals_loop():
    coarse = coarse_fit()
    frames = [landmarks_of(wavy(a), coarse, noise_px=1.0, seed=a) for a in (1, 3)]
    batch = jax.vmap(lambda landmarks: deform(coarse, landmarks))(jax.tree.map(lambda *x: jnp.stack(x), *frames))
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(batch.vertices_mm[index], deform(coarse, frame).vertices_mm, atol=2e-3)


def test_the_printed_energy_falls_and_stays_finite():
    coarse = coarse_fit()
    landmarks = landmarks_of(wavy(), coarse, noise_px=1.0)
    arguments = {"model": MODEL, "template": TEMPLATE, "camera": CAMERAS["orthographic"]}
    run = jax.jit(functools.partial(medium.run, energy=printed_laplacian_energy))
    fit = run(coarse, landmarks, **arguments, weights=presets.EQ3)
    pull = pull_of(coarse, landmarks, presets.EQ3)
    after = energy_of(fit.vertices_mm, pull, printed_laplacian_energy)
    assert bool(fit.finite) and after < 0.9 * float(fit.energies[0])
