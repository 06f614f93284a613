"""Levenberg-Marquardt against scipy, closed forms and bad starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxface.solvers.least_squares import levenberg_marquardt


def rosenbrock(x, valley=10.0):
    return jnp.stack([valley * (x[1] - x[0] ** 2), 1.0 - x[0]])


@pytest.fixture
def linear_system():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(40, 12)) * np.logspace(-3, 3, 12)[None]  # unknowns of very unequal scale
    return matrix.astype(np.float32), rng.normal(size=40).astype(np.float32)


def test_rosenbrock_reaches_its_minimum_and_costs_never_rise():
    solution = levenberg_marquardt(rosenbrock, jnp.array([-1.2, 1.0]), num_steps=30)
    np.testing.assert_allclose(solution.value, [1.0, 1.0], atol=1e-5)
    assert solution.finite and solution.costs.shape == (31,)
    assert np.all(np.diff(solution.costs) <= 0.0) and solution.costs[0] > 1.0


def test_linear_problem_is_solved_in_two_steps_whatever_the_scales(linear_system):
    matrix, target = (jnp.asarray(part) for part in linear_system)
    solution = levenberg_marquardt(lambda x: matrix @ x - target, jnp.zeros(12), num_steps=2, damping=1e-6)
    exact = np.linalg.lstsq(*(part.astype(np.float64) for part in linear_system), rcond=None)[0]
    np.testing.assert_allclose(solution.value, exact, rtol=1e-3)


def exponential(x, times, values):
    return x["height"] * jnp.exp(-x["rate"] * times) + x["floor"] - values


def test_curve_fit_agrees_with_scipy_on_a_pytree():
    rng = np.random.default_rng(1)
    times = np.linspace(0.0, 3.0, 37)
    values = 2.5 * np.exp(-1.3 * times) + 0.5 + 0.05 * rng.normal(size=37)
    start = {"height": jnp.ones(()), "rate": jnp.ones(()), "floor": jnp.zeros(())}
    data = (jnp.asarray(times, jnp.float32), jnp.asarray(values, jnp.float32))
    ours = levenberg_marquardt(exponential, start, data, num_steps=15).value
    theirs = scipy.optimize.least_squares(lambda x: x[0] * np.exp(-x[1] * times) + x[2] - values, [1.0, 1.0, 0.0]).x
    np.testing.assert_allclose([ours["height"], ours["rate"], ours["floor"]], theirs, rtol=1e-3)


def test_bounds_hold_and_agree_with_scipy():
    low, high = np.array([-2.0, -2.0]), np.array([0.5, 2.0])
    ours = levenberg_marquardt(
        rosenbrock, jnp.array([-1.2, 1.0]), num_steps=40, bounds=(jnp.asarray(low), jnp.asarray(high))
    ).value
    theirs = scipy.optimize.least_squares(
        lambda x: [10 * (x[1] - x[0] ** 2), 1 - x[0]], [-1.2, 1.0], bounds=(low, high)
    )
    np.testing.assert_allclose(ours, theirs.x, atol=1e-3)
    assert np.all(ours <= high)


def test_an_unknown_without_effect_stays():
    solution = levenberg_marquardt(lambda x: x[:1] - 3.0, jnp.array([0.0, 7.0]), num_steps=5)
    np.testing.assert_allclose(solution.value, [3.0, 7.0], atol=1e-5)


@pytest.mark.parametrize("start", [np.nan, np.inf])
def test_bad_start_is_flagged_not_raised(start):
    assert not levenberg_marquardt(rosenbrock, jnp.array([start, 1.0]), num_steps=3).finite


def test_a_trial_that_is_not_finite_is_rejected():
    def residual(x):  # The first steps jump to negative x, where the logarithm does not exist.
        return 3.0 * jnp.log(x) + 9.0

    solution = levenberg_marquardt(residual, jnp.array([1.0]), num_steps=30)
    assert solution.finite
    np.testing.assert_allclose(solution.value, [np.exp(-3.0)], rtol=1e-3)


def test_plain_jit_and_vmap_agree():
    starts, valleys = jnp.array([[-1.2, 1.0], [0.3, 0.2], [2.0, -1.0]]), jnp.array([10.0, 3.0, 5.0])

    def solve(start, valley):
        return levenberg_marquardt(rosenbrock, start, (valley,), num_steps=25)

    together = jax.jit(jax.vmap(solve))(starts, valleys)
    for index in range(3):
        plain, jitted = solve(starts[index], valleys[index]), jax.jit(solve)(starts[index], valleys[index])
        np.testing.assert_allclose(plain.value, jitted.value, atol=1e-4)
        np.testing.assert_allclose(plain.value, together.value[index], atol=1e-4)


def test_solution_is_differentiable(linear_system):
    matrix, target = (jnp.asarray(part) for part in linear_system)
    matrix = matrix / jnp.linalg.norm(matrix, axis=0)[None]

    def first(scale):
        return levenberg_marquardt(lambda x: matrix @ x - scale * target, jnp.zeros(12), num_steps=3).value[0]

    np.testing.assert_allclose(jax.grad(first)(1.0), first(1.0), rtol=1e-3)  # The solution is linear in the target.
