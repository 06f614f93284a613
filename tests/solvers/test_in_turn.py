"""Block-wise Adam on coupled quadratics whose joint optimum is known exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxface.numerics import sum_squares
from jaxface.solvers.adam import cosine_rates, minimise, minimise_in_turn

RNG = np.random.default_rng(0)
# |A x + B y - c|^2 + 0.5 |x|^2 + 0.5 |y - d|^2, in x and y together.
A, B, C, D = (jnp.asarray(RNG.normal(size=s), jnp.float32) for s in ((7, 3), (7, 2), (7,), (2,)))


def joint(blocks):
    x, y = blocks
    return sum_squares(A @ x + B @ y - C) + 0.5 * sum_squares(x) + 0.5 * sum_squares(y - D)


def exact():
    """Normal equations in float64."""
    a, b, c, d = (np.asarray(v, np.float64) for v in (A, B, C, D))
    rows = np.concatenate([np.concatenate([a, b], axis=1), np.sqrt(0.5) * np.eye(5)])
    target = np.concatenate([c, np.zeros(3), np.sqrt(0.5) * d])
    solution = np.linalg.lstsq(rows, target, rcond=None)[0]
    return solution[:3], solution[3:]


def solve(rate, num_steps=600):
    rates = cosine_rates(rate, num_steps=num_steps)
    return minimise_in_turn(
        (joint, joint), (jnp.zeros(3), jnp.zeros(2)), learning_rates=(rates, 0.5 * rates), num_steps=num_steps
    )


def test_two_blocks_reach_the_joint_optimum():
    result = solve(0.05)
    for found, expected in zip(result.value, exact(), strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert result.finite and result.energies.shape == (600,) and result.energies[-1] < 0.5 * result.energies[0]


def test_blocks_with_energies_of_their_own_meet_in_the_equilibrium():
    # x pulls to y + 1, y pulls to x / 2: x = 2, y = 1, which minimises neither sum nor joint energy.
    energies = (lambda b: sum_squares(b[0] - b[1] - 1.0), lambda b: sum_squares(b[1] - 0.5 * b[0]))
    rates = cosine_rates(0.05, num_steps=800)
    result = minimise_in_turn(energies, (jnp.zeros(1), jnp.zeros(1)), learning_rates=(rates, rates), num_steps=800)
    np.testing.assert_allclose(np.concatenate(result.value), [2.0, 1.0], atol=1e-2)


def test_a_block_sees_the_newest_values_of_the_ones_before():
    # One step: x moves to 0.25, then y's gradient there is negative; at the old x it would be positive.
    energies = (lambda b: sum_squares(b[0] - 1.0), lambda b: jnp.sum(b[1] * (0.1 - b[0])))
    result = minimise_in_turn(energies, (jnp.zeros(1), jnp.zeros(1)), learning_rates=(0.25, 0.5), num_steps=1)
    np.testing.assert_allclose(result.value[0], 0.25, rtol=1e-4)
    np.testing.assert_allclose(result.value[1], 0.5, rtol=1e-4)


def slow_adam(gradients, blocks, rates, *, num_steps, b1=0.9, b2=0.999, eps=1e-8):
    """Kingma and Ba (2014), Algorithm 1, in float64; the blocks take turns within a step."""
    blocks = [np.array(block, np.float64) for block in blocks]
    firsts, seconds = ([np.zeros_like(block) for block in blocks] for _ in range(2))
    for t in range(1, num_steps + 1):
        for k, gradient in enumerate(gradients):
            slope = gradient(blocks)
            firsts[k] = b1 * firsts[k] + (1.0 - b1) * slope
            seconds[k] = b2 * seconds[k] + (1.0 - b2) * slope**2
            first, second = firsts[k] / (1.0 - b1**t), seconds[k] / (1.0 - b2**t)
            blocks[k] = blocks[k] - rates[k] * first / (np.sqrt(second) + eps)
    return blocks


def slopes_of_joint(a, b, c, d):
    def miss(blocks):
        return a @ blocks[0] + b @ blocks[1] - c

    return lambda v: 2.0 * a.T @ miss(v) + v[0], lambda v: 2.0 * b.T @ miss(v) + v[1] - d


@pytest.mark.parametrize("b2", [0.999, 0.9])
def test_every_step_is_that_of_the_slow_twin(b2):
    slopes = slopes_of_joint(*(np.asarray(v, np.float64) for v in (A, B, C, D)))
    for num_steps in (1, 2, 37):
        found = minimise_in_turn(
            (joint, joint),
            (jnp.zeros(3), jnp.zeros(2)),
            learning_rates=(0.1, 0.03),
            num_steps=num_steps,
            optimiser=functools.partial(optax.adam, b2=b2),
        )
        expected = slow_adam(slopes, (np.zeros(3), np.zeros(2)), (0.1, 0.03), num_steps=num_steps, b2=b2)
        for ours, theirs in zip(found.value, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_one_block_alone_is_plain_adam():
    a, c = np.asarray(A, np.float64), np.asarray(C, np.float64)
    found = minimise(lambda x: sum_squares(A @ x - C), jnp.zeros(3), learning_rate=0.1, num_steps=37)
    (expected,) = slow_adam((lambda v: 2.0 * a.T @ (a @ v[0] - c),), (np.zeros(3),), (0.1,), num_steps=37)
    np.testing.assert_allclose(found.value, expected, atol=1e-5)


def test_plain_jit_and_vmap_agree():
    rates = jnp.array([0.02, 0.05])
    together = jax.vmap(lambda rate: solve(rate, num_steps=23))(rates)
    for index, rate in enumerate(rates):
        for alone in (solve(rate, num_steps=23), jax.jit(solve, static_argnames="num_steps")(rate, num_steps=23)):
            for found, expected in zip(together.value, alone.value, strict=True):
                np.testing.assert_allclose(found[index], expected, atol=1e-5)


def test_one_broken_block_is_flagged():
    energies = (lambda b: jnp.sum(jnp.sqrt(1.0 - b[0])), lambda b: sum_squares(b[1]))
    blocks = (jnp.array([0.9]), jnp.ones(2))
    assert not minimise_in_turn(energies, blocks, learning_rates=(0.4, 0.1), num_steps=5).finite
    assert minimise_in_turn(energies, blocks, learning_rates=(0.001, 0.1), num_steps=5).finite
