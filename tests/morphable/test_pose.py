"""Rotation vectors against SciPy, near 0, near pi and in their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxface.morphable.pose import rotation_matrix, rotation_vector

ANGLES = [0.0, 1e-6, 5e-4, 9.9e-4, 1.01e-3, 0.02, 0.7, 2.0, 3.0, 3.14]


def _vectors(angle):
    axes = np.random.default_rng(0).normal(size=(8, 3))
    axes = np.concatenate([axes / np.linalg.norm(axes, axis=1, keepdims=True), np.eye(3), -np.eye(3)])
    return (angle * axes).astype(np.float32)


@pytest.mark.parametrize("angle", ANGLES)
def test_matrix_matches_scipy_and_the_vector_comes_back(angle):
    vectors = _vectors(angle)
    matrices = jax.vmap(rotation_matrix)(jnp.array(vectors))
    np.testing.assert_allclose(matrices, Rotation.from_rotvec(vectors).as_matrix(), atol=2e-6)
    back = jax.jit(jax.vmap(rotation_vector))(matrices)
    np.testing.assert_allclose(back, vectors, atol=2e-6 + 1e-5 * angle)


def test_half_turns_come_back_as_the_same_rotation():
    vectors = _vectors(np.pi)
    matrices = jax.vmap(rotation_matrix)(jnp.array(vectors))
    again = jax.vmap(rotation_matrix)(jax.vmap(rotation_vector)(matrices))
    np.testing.assert_allclose(again, matrices, atol=5e-6)


@pytest.mark.parametrize("angle", [0.0, 5e-4, 0.02, 0.7, 3.0])
def test_jacobian_matches_finite_differences(angle):
    for vector in _vectors(angle)[:3]:
        jacobian = jax.jacobian(rotation_matrix)(jnp.array(vector))
        assert np.isfinite(jacobian).all()
        for axis in range(3):
            step = 1e-5 * np.eye(3)[axis]
            low, high = (Rotation.from_rotvec(vector + sign * step).as_matrix() for sign in (-1, 1))
            np.testing.assert_allclose(jacobian[..., axis], (high - low) / 2e-5, atol=1e-3)


def test_round_trip_has_the_identity_as_its_jacobian():
    for vector in ([0.0, 0.0, 0.0], [0.3, -0.2, 0.5]):
        jacobian = jax.jacobian(lambda v: rotation_vector(rotation_matrix(v)))(jnp.array(vector))
        np.testing.assert_allclose(jacobian, np.eye(3), atol=1e-4)
