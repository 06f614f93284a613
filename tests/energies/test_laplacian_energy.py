"""Eq. 3, squared and as printed: slow twins, gradients, behaviour at its start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model
from oracles import slow_energy

from jaxface.energies.laplacian import (
    SMOOTHING_MM,
    Deformable,
    handle_positions,
    laplacian_energy,
    printed_laplacian_energy,
)
from jaxface.geometry.topology import mesh_topology

MODEL = dome_model(rows=9, columns=7)
TRIANGLES = np.asarray(MODEL.triangles)
CORNERS = TRIANGLES[np.array([2, 33, 61, 70])]
BARYCENTRICS = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.1, 0.8, 0.1], [0.0, 0.5, 0.5]], np.float32)
WEIGHTS = np.array([0.6, 0.1, 0.0, 2.0], np.float32)
RNG = np.random.default_rng(3)
MOVED = MODEL.mean_mm + jnp.asarray(RNG.normal(size=MODEL.mean_mm.shape), jnp.float32)


def deformable():
    topology = mesh_topology(TRIANGLES, num_vertices=63)
    return Deformable(
        jnp.asarray(topology.neighbours), jnp.asarray(topology.valence), jnp.asarray(CORNERS), jnp.asarray(BARYCENTRICS)
    )


def targets():
    return handle_positions(MODEL.mean_mm, deformable=deformable()) + jnp.array([[4.0, -3.0, 1.0]])


def evaluate(energy, vertices_mm):
    weights = jnp.asarray(WEIGHTS)
    return energy(vertices_mm, initial_mm=MODEL.mean_mm, targets_mm=targets(), weights=weights, deformable=deformable())


def smooth_norm(x):
    return np.sqrt(x @ x + SMOOTHING_MM**2) - SMOOTHING_MM


@pytest.mark.parametrize(
    ("energy", "norm"), [(laplacian_energy, lambda x: x @ x), (printed_laplacian_energy, smooth_norm)]
)
def test_matches_twin_plain_jit_vmap(energy, norm):
    slow = slow_energy(MOVED, MODEL.mean_mm, TRIANGLES, CORNERS, BARYCENTRICS, np.asarray(targets()), WEIGHTS, norm)
    np.testing.assert_allclose(evaluate(energy, MOVED), slow, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda v: evaluate(energy, v))(MOVED), slow, rtol=1e-5)
    both = jax.vmap(lambda v: evaluate(energy, v))(jnp.stack([MODEL.mean_mm, MOVED]))
    np.testing.assert_allclose(both[1], slow, rtol=1e-5)


@pytest.mark.parametrize("energy", [laplacian_energy, printed_laplacian_energy])
def test_gradient_is_finite_and_points_to_the_targets_at_the_start(energy):
    gradient = jax.grad(lambda v: evaluate(energy, v))(MODEL.mean_mm)
    assert jnp.all(jnp.isfinite(gradient))
    pulled = -gradient[CORNERS[0][2]]
    assert pulled[0] > 0 and pulled[1] < 0 and pulled[2] > 0


@pytest.mark.parametrize("energy", [laplacian_energy, printed_laplacian_energy])
def test_gradient_matches_finite_differences(energy):
    noise = jnp.asarray(RNG.normal(size=MOVED.shape), jnp.float32)
    gradient = jax.grad(lambda v: evaluate(energy, v))(MOVED)
    direction = 0.3 * noise + gradient  # mostly uphill: differences of float32 energies need some slope
    slope = jnp.sum(gradient * direction)
    step = 2.0**-8
    above, below = (evaluate(energy, MOVED + sign * step * direction) for sign in (1.0, -1.0))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=2e-3)


@pytest.mark.parametrize("energy", [laplacian_energy, printed_laplacian_energy])
def test_zero_where_nothing_pulls(energy):
    here = handle_positions(MODEL.mean_mm, deformable=deformable())
    value = energy(
        MODEL.mean_mm,
        initial_mm=MODEL.mean_mm,
        targets_mm=here,
        weights=jnp.asarray(WEIGHTS),
        deformable=deformable(),
    )
    assert value == 0.0


def test_a_landmark_of_weight_zero_does_not_pull():
    gradient = jax.grad(lambda v: evaluate(laplacian_energy, v))(MODEL.mean_mm)
    idle = np.setdiff1d(CORNERS[2], np.delete(CORNERS, 2, axis=0))
    assert len(idle) and jnp.all(gradient[idle] == 0.0)
