"""Energies over time against slow twins in float64, finite differences, and what chunks must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxface.energies.temporal import (
    DetailState,
    detail_energy,
    detail_minimiser,
    filter_detail,
    temporal_energy,
    unseen_detail,
)

STRENGTH, QUICK = 0.7, 1.5


def motion(num_frames=9, num_unknowns=4):
    """A trajectory, estimates, their information and the unknowns' stiffness."""
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(num_frames, 2, num_unknowns))  # of rank 2: singular
    trajectory, estimates = rng.normal(size=(2, num_frames, num_unknowns))
    return trajectory, estimates, np.swapaxes(roots, 1, 2) @ roots, rng.uniform(0.5, 2.0, num_unknowns)


def motion_twin(estimates, information, stiffness, strength, quick):
    def energy(trajectory):
        value = 0.0
        for x, e, matrix in zip(trajectory, estimates, information, strict=True):
            value += (x - e) @ matrix @ (x - e) / 2
        for t in range(1, len(trajectory) - 1):
            jump = stiffness * (trajectory[t - 1] - 2 * trajectory[t] + trajectory[t + 1])
            value += sum(strength * quick**2 * np.log(1 + (bend / quick) ** 2) / 2 for bend in jump)
        return value

    return energy


def of_motion(estimates, information, stiffness):
    single = [jnp.asarray(part, jnp.float32) for part in (estimates, information, stiffness)]
    return lambda x: temporal_energy(x, single[0], single[1], stiffness=single[2], strength=STRENGTH, quick=QUICK)


@pytest.mark.parametrize("num_frames", [1, 2, 3, 9])
def test_temporal_energy_and_gradient_match_the_twin(num_frames):
    trajectory, *rest = motion(num_frames)
    twin, single = motion_twin(*rest, STRENGTH, QUICK), jnp.asarray(trajectory, jnp.float32)
    value, gradient = jax.jit(jax.value_and_grad(of_motion(*rest)))(single)
    np.testing.assert_allclose(value, twin(trajectory), rtol=1e-5)
    oracles.check_gradient(twin, trajectory, gradient)


def test_a_straight_line_has_no_temporal_energy_and_one_jump_has_the_printed_one():
    times = jnp.arange(8.0)
    line = times[:, None] * jnp.array([[0.5, -2.0]]) + 3.0
    blank, stiffness = jnp.zeros((8, 2, 2)), jnp.array([1.0, 3.0])
    assert temporal_energy(line, line, blank, stiffness=stiffness, strength=1.0, quick=1.0) == 0.0
    jump = line.at[4, 1].add(2.0)  # accelerations 2, -4, 2 of the second unknown
    energy = temporal_energy(jump, line, blank, stiffness=stiffness, strength=0.5, quick=1e3)
    np.testing.assert_allclose(energy, 0.5 * 0.5 * 9.0 * (4.0 + 16.0 + 4.0), rtol=1e-3)
    energy = temporal_energy(jump, line, blank, stiffness=stiffness, strength=0.5, quick=2.0)
    np.testing.assert_allclose(energy, 0.5 * 0.5 * 4.0 * np.log(10.0 * 37.0 * 10.0), rtol=1e-5)


def test_temporal_energy_plain_jit_and_vmap_agree():
    trajectory, *rest = motion()
    energy, single = of_motion(*rest), jnp.asarray(trajectory, jnp.float32)
    plain = energy(single)
    np.testing.assert_allclose(jax.jit(energy)(single), plain, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(energy)(jnp.stack([0.0 * single, single]))[1], plain, rtol=1e-5)


def detail(num_frames=11, num_vertices=7):
    """Observed detail and trust; vertex 0 is never seen, vertex 1 late, vertex 2 not in the middle, 3 only at first."""
    rng = np.random.default_rng(1)
    observed, trust = rng.normal(size=(num_frames, num_vertices)), rng.uniform(0.1, 1.0, (num_frames, num_vertices))
    trust[:, 0] = trust[:4, 1] = trust[3:7, 2] = trust[1:, 3] = 0.0
    return observed.astype(np.float32), trust.astype(np.float32)


@pytest.mark.parametrize("weights", ["one", "each"])
def test_detail_energy_and_its_minimiser_match_the_twin(weights):
    (observed, before, shape), (trust, *_) = (part[:3].astype(np.float64) for part in detail())
    strength = STRENGTH if weights == "one" else np.linspace(0.2, 2.0, 7)
    single = [jnp.asarray(part, jnp.float32) for part in (shape, observed, before, trust, strength)]

    def twin(d):
        return sum(np.sum(w * (d - o) ** 2) / 2 for w, o in ((trust, observed), (strength, before)))

    def energy(d):
        return detail_energy(d, single[1], single[2], trust=single[3], strength=single[4])

    np.testing.assert_allclose(energy(single[0]), twin(shape), rtol=1e-5)
    oracles.check_gradient(twin, shape, jax.grad(energy)(single[0]))
    best = detail_minimiser(single[1], single[2], trust=single[3], strength=single[4])
    np.testing.assert_allclose(jax.grad(energy)(best), 0.0, atol=1e-6)
    np.testing.assert_allclose(best, (trust * observed + strength * before) / (trust + strength), rtol=1e-5)


def filter_twin(observed, trust, strength):
    """For each frame and vertex, the whole past solved densely; only its last value is kept."""
    result = np.zeros(observed.shape)
    for v in range(observed.shape[1]):
        seen = np.flatnonzero(trust[:, v])
        for t in range(seen[0] if len(seen) else len(observed), len(observed)):
            weights = trust[seen[0] : t + 1, v].astype(np.float64)
            matrix = np.diag(weights)
            for i in range(1, len(weights)):
                matrix[i - 1 : i + 1, i - 1 : i + 1] += strength * np.array([[1.0, -1.0], [-1.0, 1.0]])
            result[t, v] = np.linalg.solve(matrix, weights * observed[seen[0] : t + 1, v])[-1]
    return result


def filtered(observed, trust, *, strength=STRENGTH, before=None):
    before = unseen_detail(num_vertices=observed.shape[1]) if before is None else before
    return filter_detail(jnp.asarray(observed), jnp.asarray(trust), before, strength=strength)


@pytest.mark.parametrize("strength", [1e-3, 0.7, 1e3])
def test_filter_is_the_exact_minimiser_over_all_frames_so_far(strength):
    observed, trust = detail()
    smoothed, after = filtered(observed, trust, strength=strength)
    np.testing.assert_allclose(smoothed, filter_twin(observed, trust, strength), atol=2e-5)
    np.testing.assert_array_equal(after.displacement_mm, smoothed[-1])


def test_filter_minimises_the_detail_energy_of_its_state():
    observed, trust = detail()
    _, state = filtered(observed[:5], trust[:5])
    (smoothed,), _ = filtered(observed[5:6], trust[5:6], before=state)
    carried = 1.0 / (1.0 / np.maximum(state.weight, 1e-30) + 1.0 / STRENGTH)

    def energy(d):
        return detail_energy(d, observed[5], state.displacement_mm, trust=trust[5], strength=carried)

    np.testing.assert_allclose(jax.grad(energy)(smoothed), 0.0, atol=1e-6)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("cuts", [[1], [4], [3, 4, 10]])
def test_chunks_give_exactly_what_one_pass_gives(cuts, jitted):
    observed, trust = detail()
    run = jax.jit(filter_detail) if jitted else filter_detail
    start = unseen_detail(num_vertices=7)
    whole, end = run(jnp.asarray(observed), jnp.asarray(trust), start, strength=STRENGTH)
    state, parts = start, []
    for chunk in zip(np.split(observed, cuts), np.split(trust, cuts), strict=True):
        part, state = run(*map(jnp.asarray, chunk), state, strength=STRENGTH)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for ours, theirs in zip(state, end, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_strength_gives_what_is_observed_and_the_unseen_stays():
    observed, trust = detail()
    smoothed = np.asarray(filtered(np.where(trust > 0, observed, np.nan), trust, strength=0.0)[0])
    np.testing.assert_array_equal(smoothed[trust > 0], observed[trust > 0])
    assert np.abs(smoothed[:, 0]).max() == 0.0  # never seen
    np.testing.assert_array_equal(smoothed[3:7, 2], np.full(4, smoothed[2, 2]))  # held
    assert np.all(smoothed[:4, 1] == 0.0)


def test_great_strength_gives_the_weighted_mean_so_far():
    observed, trust = detail()
    smoothed, _ = filtered(observed, trust, strength=1e12)
    total = np.cumsum(trust, axis=0, dtype=np.float64)
    mean = np.cumsum(trust * observed, axis=0, dtype=np.float64) / np.where(total > 0, total, 1.0)
    np.testing.assert_allclose(smoothed, mean, atol=1e-5)


def test_filter_is_steadier_than_what_it_sees():
    rng = np.random.default_rng(2)
    observed, trust = rng.normal(size=(200, 5)).astype(np.float32), np.ones((200, 5), np.float32)
    assert np.std(filtered(observed, trust, strength=20.0)[0][20:]) < 0.5 * np.std(observed)


def test_filter_under_vmap_and_its_gradient():
    observed, trust = (jnp.asarray(part) for part in detail())
    start, plain = unseen_detail(num_vertices=7), filtered(*detail())[0]
    many = jax.vmap(lambda o: filter_detail(o, trust, start, strength=STRENGTH)[0])(jnp.stack([observed, -observed]))
    np.testing.assert_allclose(many[1], -plain, atol=1e-6)

    def last(o, strength):
        return jnp.sum(filter_detail(o, trust, start, strength=strength)[0][-1])

    slopes = jax.grad(last)(observed, STRENGTH)
    assert np.all(slopes[:, 0] == 0.0) and np.all(slopes[-1, 4:] > 0.0)
    oracles.check_gradient(
        lambda o: filter_twin(o, np.asarray(trust), STRENGTH)[-1].sum(), np.float64(observed), slopes
    )
    assert np.isfinite(jax.grad(last, argnums=1)(observed, 0.0))  # no 0 / 0 behind the curtain


def test_the_state_is_a_pytree_of_two_arrays():
    assert [leaf.shape for leaf in jax.tree.leaves(unseen_detail(num_vertices=3))] == [(3,), (3,)]
    assert DetailState._fields == ("displacement_mm", "weight")
