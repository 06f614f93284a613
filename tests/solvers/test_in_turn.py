"""Block-wise Adam on coupled quadratics whose joint optimum is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np

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


def test_one_block_is_minimise():
    def bowl(x):
        return sum_squares(A @ x - C)

    turn = minimise_in_turn((lambda b: bowl(b[0]),), (jnp.zeros(3),), learning_rates=(0.1,), num_steps=37)
    plain = minimise(bowl, jnp.zeros(3), learning_rate=0.1, num_steps=37)
    np.testing.assert_array_equal(turn.value[0], plain.value)
    np.testing.assert_array_equal(turn.energies, plain.energies)


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
