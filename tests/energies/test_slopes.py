"""Eq. 9 with a network's slopes: against a slow twin, finite differences, and the exact solution of its linear form."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.ndimage
import scipy.sparse
import scipy.sparse.linalg
from scenes import random_scene

from jaxface import presets
from jaxface.energies import slopes
from jaxface.energies.scene import Scene
from jaxface.stages import fine
from jaxface.types import FineInputs, LearnedNormals

HEIGHT, WIDTH = 97, 89
WEIGHTS = slopes.SlopeWeights(0.01, 0.2, 0.05, 2.5)
SURE = np.radians(3.0)


def made(height=19, width=15, seed=0):
    """What is asked of a random scene by random numbers."""
    rng = np.random.default_rng(seed)
    scene = random_scene(height=height, width=width, seed=seed)
    change = rng.normal(0.0, 0.3, (height, width, 2)).astype(np.float32)
    spread = rng.uniform(0.05, 0.6, (height, width)).astype(np.float32)
    normals = LearnedNormals(change, spread, np.ones_like(spread))
    return scene, normals, slopes.slopes_asked(normals, scene["initial"], mask=scene["mask"])


def twin(asked):
    double = [np.asarray(leaf, np.float64) for leaf in asked]
    return lambda change: oracles.slope_energy(change, *double, tuple(WEIGHTS), slopes.SURE)


def energy(asked, weights=WEIGHTS):
    return lambda change: slopes.slope_energy(change, asked, weights=weights)


def test_the_energy_matches_its_twin_and_its_gradient_finite_differences():
    scene, _, asked = made()
    change = scene["height"] - scene["initial"]
    np.testing.assert_allclose(energy(asked)(change), twin(asked)(change), rtol=1e-4)
    gradient = jax.grad(energy(asked))(change)
    oracles.check_gradient(twin(asked), change.astype(np.float64), gradient)


def test_plain_jit_and_vmap_agree_on_odd_sizes():
    scene, _, asked = made(height=37, width=29)
    change = scene["height"] - scene["initial"]
    plain = energy(asked)(change)
    np.testing.assert_allclose(jax.jit(energy(asked))(change), plain, rtol=1e-4)
    np.testing.assert_allclose(jax.vmap(energy(asked))(np.stack([change, change]))[1], plain, rtol=1e-4)


def test_what_is_asked_weighs_by_its_certainty_and_ends_with_the_mask():
    scene, normals, asked = made(height=81, width=81)
    mask = scene["mask"]
    outside = (mask * np.roll(mask, -1, axis=1)) == 0
    assert np.asarray(asked.weight)[0, outside].max() == 0.0
    dy, dx = np.gradient(scene["initial"].astype(np.float64))
    y, x = 40, 40
    squared = []
    for u in (x, x + 1):
        p, q = dx[y, u] + normals.slope_change[y, u, 0], dy[y, u] + normals.slope_change[y, u, 1]
        cosine = 1.0 / np.sqrt(1.0 + p * p + q * q)
        squared.append(cosine**4 * (slopes.SURE / normals.spread[y, u]) ** 2)
    assert asked.weight[0, y, x] == pytest.approx(np.sqrt(squared[0] * squared[1]), rel=1e-4)
    assert asked.change[0, y, x] == pytest.approx(np.mean(normals.slope_change[y, x : x + 2, 0]), rel=1e-4)
    surer = slopes.slopes_asked(normals._replace(spread=normals.spread * 0.0), scene["initial"], mask=mask)
    assert np.isfinite(surer.weight).all() and np.max(surer.weight) <= 4.0 + 1e-4


def bump_asked(*, sure=SURE, unsure=np.radians(40.0), seed=0) -> tuple[np.ndarray, Scene]:
    """A bump on a dome, which slopes with noise ask for; a part of them is wild and says so."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    middle = ((x - 44) / 40) ** 2 + ((y - 48) / 44) ** 2
    base = 25.0 * np.sqrt(np.maximum(1.2 - middle, 0.1))
    bump = 2.0 * np.exp(-((x - 50) ** 2 + (y - 40) ** 2) / 200.0)
    dy, dx = np.gradient(bump)
    spread = np.where((x < 30) & (y > 30), unsure, sure)
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH, 2)), (1.5, 1.5, 0.0))
    change = np.stack([dx, dy], axis=-1) + spread[..., None] * noise / np.std(noise)
    mask = (middle < 0.8).astype(np.float32)
    nothing = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    normals = LearnedNormals(*(jnp.asarray(leaf, jnp.float32) for leaf in (change, spread, mask)))
    inputs = FineInputs(nothing, jnp.asarray(base, jnp.float32), mask, mask, nothing, nothing)
    return bump, fine.led_scene(inputs, normals)


PHASES = presets.default(size=96).learned_normals.phase1, presets.default(size=96).learned_normals.phase2
solve = jax.jit(fine.solve)


@pytest.fixture(scope="module")
def led():
    bump, scene = bump_asked()
    first = solve(scene, PHASES[0])
    return bump, scene, first, solve(first, PHASES[1])


def change_of(scene) -> np.ndarray:
    return np.asarray(scene.height_px - scene.initial_height_px, np.float64)


def shown(scene) -> np.ndarray:
    return np.asarray(fine.shown_height(scene) - scene.initial_height_px, np.float64)


def differences(length: int):
    """Forward differences of a row, 0 at its end."""
    return scipy.sparse.diags([-np.append(np.ones(length - 1), 0.0), np.ones(length - 1)], [0, 1])


def exact(asked, weights, at):
    """The energy with its robust weights frozen at a change, which is quadratic, and its minimiser by a sparse
    factorisation."""
    rows, columns = at.shape
    along_x = scipy.sparse.kron(scipy.sparse.identity(rows), differences(columns))
    along_y = scipy.sparse.kron(differences(rows), scipy.sparse.identity(columns))
    laplace = -(along_x.T @ along_x + along_y.T @ along_y)
    position, smoothness, gradient, outlier = (float(weight) for weight in weights)
    matrix = position * scipy.sparse.identity(at.size) + smoothness * laplace.T @ laplace
    right, constant = np.zeros(at.size), 0.0
    for axis, d in enumerate((along_x, along_y)):
        target = np.asarray(asked.change[axis], np.float64).ravel()
        weight = np.asarray(asked.weight[axis], np.float64).ravel()
        scale = (outlier * slopes.SURE) ** 2
        weight = weight * (scale / (scale + weight * (d @ at.ravel() - target) ** 2)) ** 2
        matrix = matrix + d.T @ scipy.sparse.diags(weight + gradient) @ d
        right, constant = right + d.T @ (weight * target), constant + np.sum(weight * target**2)
    best = scipy.sparse.linalg.spsolve(matrix.tocsc(), right)
    return lambda x: x.ravel() @ (matrix @ x.ravel()) - 2.0 * right @ x.ravel() + constant, best.reshape(at.shape)


def test_the_presets_few_steps_end_at_the_exact_solution(led):
    _, scene, first, second = led
    for end, phase, near in ((first, PHASES[0], 0.1), (second, PHASES[1], 0.01)):
        quadratic, best = exact(scene.slopes, phase.unknowns[0].weights, change_of(end))
        start = quadratic(np.zeros_like(best))
        assert 0.0 < quadratic(change_of(end)) - quadratic(best) < near * (start - quadratic(best))
    assert np.sqrt(np.mean((best - shown(second)) ** 2)) < 0.08 * np.sqrt(np.mean(best**2))


def turn(scene, bump, where) -> float:
    """Mean distance of the shown slopes from the true ones."""
    return np.mean(np.hypot(*np.gradient(shown(scene) - bump))[where])


def test_the_surface_follows_sure_slopes_and_unsure_noise_half_as_far(led):
    bump, scene, first, second = led
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inner = scipy.ndimage.binary_erosion(np.asarray(scene.mask) > 0.5, iterations=4)
    sure, unsure = inner & (x > 34), inner & (x < 28) & (y > 34)
    assert max(turn(end, bump, sure) for end in (first, second)) < 0.85 * turn(scene, bump, sure)
    all_sure = jnp.where(scene.slopes.weight > 0.0, 1.0, 0.0)
    believed = scene._replace(slopes=scene.slopes._replace(weight=all_sure))
    believed = solve(solve(believed, PHASES[0]), PHASES[1])
    wild = [np.mean(np.hypot(*np.gradient(shown(end)))[unsure]) for end in (second, believed)]
    assert wild[0] < 0.6 * wild[1]


def test_the_change_dies_away_within_a_few_pixels_off_the_skin_and_not_at_once():
    _, scene = bump_asked(unsure=SURE)
    # A tilt of a patch of skin, at whose rim it would stand 1.5 pixels high.
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    patch = jnp.asarray((np.abs(x - 44) < 16) & (np.abs(y - 48) < 16), jnp.float32)
    tilt, weight = jnp.stack([0.1 * patch, 0.0 * patch]), 4.0 * jnp.stack([patch, patch])
    ended = shown(solve(solve(scene._replace(slopes=slopes.Slopes(tilt, weight)), PHASES[0]), PHASES[1]))
    along = np.gradient(ended)[1]
    inside = np.asarray(patch) > 0
    assert 0.07 < np.mean(along[inside]) < 0.1  # the position holds what is as wide as a face
    assert np.hypot(*np.gradient(ended))[~inside].max() < 0.6  # cut off there, it would be 1.5
    rim = np.abs(ended[48, 60:])
    assert rim[2] > 0.3 * rim[0] and np.max(rim[8:]) < 0.03 * rim[0]


def test_without_skin_nothing_moves():
    _, scene = bump_asked()
    nothing = jnp.zeros_like(scene.mask)
    normals = LearnedNormals(jnp.ones((HEIGHT, WIDTH, 2)), nothing + 0.1, nothing)
    blind = scene._replace(slopes=slopes.slopes_asked(normals, scene.initial_height_px, mask=nothing), mask=nothing)
    end = solve(solve(blind, PHASES[0]), PHASES[1])
    assert end.finite
    np.testing.assert_array_equal(end.height_px, scene.initial_height_px)
