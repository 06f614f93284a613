"""Completion: what is known stays, the rest continues it smoothly; odd sizes, plain, jitted and mapped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.imaging.filling import complete, complete_skin, pull_push, spread

SHAPE = (37, 29)


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    values = np.stack([0.3 + 0.01 * x, 0.6 - 0.005 * y + 0.02 * rng.normal(size=SHAPE)], axis=-1).astype(np.float32)
    known = ((x - 14) ** 2 + (y - 18) ** 2 < 100).astype(np.float32)
    return jnp.asarray(values), jnp.asarray(known)


def test_known_values_stay_and_a_constant_goes_on(picture):
    values, known = picture
    kept = np.asarray(known) == 1
    np.testing.assert_array_equal(np.asarray(spread(values, known))[kept], np.asarray(values)[kept])
    even = jnp.full((*SHAPE, 2), 0.4) * known[..., None]
    np.testing.assert_allclose(spread(even, known), 0.4, rtol=1e-5)


def test_unknown_values_leave_no_trace(picture):
    values, known = picture
    other = jnp.where(known[..., None] > 0, values, 7.0)
    np.testing.assert_array_equal(pull_push(values, known), pull_push(other, known))


def test_filling_at_another_level_meets_the_known_part(picture):
    """The filling is the truth, darker: after the shift it is the truth again, also at the edge."""
    values, known = picture
    np.testing.assert_allclose(complete(values, known, values - 0.2), values, atol=1e-5)


def test_filling_keeps_its_own_pattern_far_away(picture):
    values, known = picture
    spot = jnp.zeros((*SHAPE, 2)).at[2:4, 2:4].set(0.1)
    np.testing.assert_allclose(
        complete(values, known, 0.5 + spot) - complete(values, known, 0.0 * spot + 0.5), spot, atol=1e-6
    )


@pytest.mark.parametrize("function", [pull_push, spread])
def test_plain_jit_and_vmap_agree(picture, function):
    values, known = picture
    stack = jnp.stack([values, 2.0 * values]), jnp.stack([known, 1.0 - known])
    mapped = jax.vmap(function)(*stack)
    for k in range(2):
        np.testing.assert_allclose(jax.jit(function)(stack[0][k], stack[1][k]), mapped[k], atol=1e-6)
        np.testing.assert_allclose(function(stack[0][k], stack[1][k]), mapped[k], atol=1e-6)


def test_what_is_no_skin_keeps_its_own_colour():
    """Seen skin is brighter than its filling, which rises to it; teeth beside it, half of them seen, do not."""
    skin = jnp.zeros((24, 32)).at[:, :16].set(1.0)
    weight = jnp.zeros((24, 32)).at[:12].set(1.0)
    values, filled = jnp.full((24, 32, 1), 0.9), jnp.full((24, 32, 1), 0.4)
    found = np.asarray(complete_skin(values, weight, filled, skin=skin))[..., 0]
    np.testing.assert_allclose(found[:12], 0.9, atol=1e-6)
    assert found[12:, :16].min() > 0.8
    np.testing.assert_allclose(found[12:, 16:], 0.4, atol=1e-6)
