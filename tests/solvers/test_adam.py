"""The minimiser: convergence, batching, compile count, and the finite flag."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxface.numerics import sum_squares
from jaxface.solvers.adam import cosine_rates, minimise


def bowl(x, centre):
    return sum_squares((x["a"] - centre) * jnp.array([1.0, 3.0, 0.3])) + sum_squares(x["b"])


def start():
    return {"a": jnp.zeros(3), "b": jnp.ones((2, 2))}


CENTRE = jnp.array([1.0, -2.0, 0.5])


def test_quadratic_converges():
    minimum = minimise(bowl, start(), (CENTRE,), learning_rate=cosine_rates(0.1, num_steps=400), num_steps=400)
    np.testing.assert_allclose(minimum.value["a"], CENTRE, atol=1e-2)
    np.testing.assert_allclose(minimum.value["b"], 0.0, atol=1e-2)
    assert minimum.finite and minimum.energies.shape == (400,)
    np.testing.assert_allclose(minimum.energies[0], bowl(start(), CENTRE), rtol=1e-6)


def test_first_step_is_the_rate_times_the_sign_of_the_gradient():
    minimum = minimise(bowl, start(), (CENTRE,), learning_rate=0.25, num_steps=1)
    np.testing.assert_allclose(minimum.value["a"], 0.25 * np.sign(CENTRE), rtol=1e-4)


def test_rates_fall_from_the_first_to_nearly_zero():
    rates = np.asarray(cosine_rates(0.3, num_steps=37))
    assert rates[0] == np.float32(0.3) and np.all(np.diff(rates) < 0.0) and 0.0 < rates[-1] < 0.001


def test_plain_jit_and_vmap_agree():
    centres = jnp.stack([CENTRE, -CENTRE, 2.0 * CENTRE])

    def solve(centre):
        return minimise(bowl, start(), (centre,), learning_rate=0.05, num_steps=37)

    together, jitted = jax.vmap(solve)(centres), jax.jit(solve)
    for index, centre in enumerate(centres):
        np.testing.assert_allclose(solve(centre).value["a"], jitted(centre).value["a"], atol=1e-5)
        np.testing.assert_allclose(solve(centre).energies, together.energies[index], rtol=1e-3, atol=1e-5)


def test_a_new_rate_does_not_recompile():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def solve(rate):
        return minimise(bowl, start(), (CENTRE,), learning_rate=rate, num_steps=5)

    slow, fast = solve(jnp.float32(0.01)), solve(jnp.float32(0.1))
    assert fast.energies[-1] < slow.energies[-1]


def test_energy_that_breaks_down_is_flagged():
    def cliff(x):
        return jnp.log(x - 0.5)

    assert not minimise(cliff, jnp.array(1.0), learning_rate=0.4, num_steps=5).finite
    assert minimise(cliff, jnp.array(9.0), learning_rate=0.1, num_steps=5).finite


def test_gradient_descent_follows_its_closed_form():
    """On |x - c|^2 with rate r each step leaves 1 - 2 r of the way."""
    minimum = minimise(
        lambda x: sum_squares(x - CENTRE), jnp.zeros(3), learning_rate=0.1, num_steps=7, optimiser=optax.sgd
    )
    np.testing.assert_allclose(minimum.value, (1.0 - 0.8**7) * CENTRE, rtol=1e-5)
    np.testing.assert_allclose(minimum.energies, sum_squares(CENTRE) * 0.64 ** np.arange(7), rtol=1e-5)


def test_a_line_search_finds_the_minimum_of_a_quadratic():
    minimum = minimise(bowl, start(), (CENTRE,), learning_rate=1.0, num_steps=12, optimiser=optax.lbfgs)
    np.testing.assert_allclose(minimum.value["a"], CENTRE, atol=1e-4)
    np.testing.assert_allclose(minimum.value["b"], 0.0, atol=1e-4)
    assert minimum.finite and np.all(np.diff(minimum.energies) <= 1e-6)
