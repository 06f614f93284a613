"""Delicate numerics where they are delicate: values and gradients at the ends, in the middle and at zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.numerics import normalise, safe_norm, smooth_abs, smoothstep


def step(x):
    return smoothstep(x, between=(0.2, 0.6))


def test_smoothstep_rises_from_0_to_1_between_its_ends():
    x = jnp.array([-jnp.inf, -3.0, 0.2, 0.3, 0.4, 0.5, 0.6, 7.0, jnp.inf])
    np.testing.assert_allclose(step(x), [0.0, 0.0, 0.0, 0.15625, 0.5, 0.84375, 1.0, 1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(step))(x), step(x), atol=1e-7)


def test_smoothstep_has_no_kinks():
    x = jnp.array([-3.0, 0.2, 0.3, 0.4, 0.5, 0.6, 7.0])
    slopes = np.array([0.0, 0.0, 2.8125, 3.75, 2.8125, 0.0, 0.0])  # 6 t (1 - t) over the width
    np.testing.assert_allclose(jax.vmap(jax.grad(step))(x), slopes, atol=1e-4)
    fine = jnp.linspace(0.1, 0.7, 601)
    assert np.all(np.diff(step(fine)) >= 0.0)


@pytest.mark.parametrize("function", [safe_norm, lambda x: jnp.sum(normalise(x)), lambda x: jnp.sum(smooth_abs(x))])
def test_zero_has_a_value_and_a_finite_gradient(function):
    value, gradient = jax.value_and_grad(function)(jnp.zeros(3))
    assert abs(float(value)) < 1e-5 and np.all(np.isfinite(gradient))


def test_unit_vectors_keep_their_direction():
    x = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    lengths = np.linalg.norm(x.astype(np.float64), axis=-1)
    np.testing.assert_allclose(safe_norm(x), lengths, rtol=1e-6)
    np.testing.assert_allclose(normalise(x), x / lengths[..., None], rtol=1e-5, atol=1e-6)
