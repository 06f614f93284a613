"""The trajectory smoother against a dense solve in float64, with gaps, without information, stiff and loose."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.energies.temporal import temporal_energy
from jaxface.solvers.trajectory import smooth_trajectory


def clip(num_frames=31, num_unknowns=4, *, gaps=(), rank=None, decades=2.0, seed=0):
    """Estimates, information and stiffness of unknowns whose scales differ by `decades` to either side of 1."""
    rng = np.random.default_rng(seed)
    precision = np.logspace(-decades, decades, num_unknowns)
    roots = rng.normal(size=(num_frames, rank or 2 * num_unknowns, num_unknowns)) * precision
    information = np.swapaxes(roots, 1, 2) @ roots
    information[list(gaps)] = 0.0
    estimates = (np.cumsum(rng.normal(size=(num_frames, num_unknowns)), axis=0) + 5.0) / precision
    return estimates, information, precision


_jitted = jax.jit(smooth_trajectory)


def smoothed(estimates, information, stiffness, strength):
    single = [jnp.asarray(part, jnp.float32) for part in (estimates, information, stiffness)]
    return np.asarray(_jitted(single[0], single[1], stiffness=single[2], strength=strength), np.float64)


def dense(estimates, information, stiffness, strength):
    """The normal equations of the energy from the first frame with data to the last, scaled, then solved at once."""
    num_frames, num = estimates.shape
    seen = np.flatnonzero([np.any(matrix) for matrix in information])
    system, known = np.zeros((num_frames, num, num_frames, num)), np.zeros((num_frames, num))
    for t in seen:
        system[t, :, t] += information[t]
        known[t] += information[t] @ estimates[t]
    for t in range(seen[0] + 1, seen[-1]):
        factors = {t - 1: 1.0, t: -2.0, t + 1: 1.0}
        for i in factors:
            for j in factors:
                system[i, :, j] += strength * factors[i] * factors[j] * np.diag(stiffness**2)
    inside = slice(seen[0], seen[-1] + 1)
    size = (seen[-1] + 1 - seen[0]) * num
    matrix = system[inside, :, inside].reshape(size, size)
    scale = 1.0 / np.sqrt(np.diagonal(matrix))
    path = scale * np.linalg.solve(matrix * scale * scale[:, None], scale * known[inside].ravel())
    return path.reshape(-1, num)[np.clip(np.arange(num_frames), seen[0], seen[-1]) - seen[0]]


def check(case, strength, *, atol=1e-4):
    """Agreement in units of the unknowns' usual errors."""
    *_, stiffness = case
    ours, theirs = smoothed(*case, strength), dense(*case, strength)
    np.testing.assert_allclose(ours * stiffness, theirs * stiffness, atol=atol)
    return ours


STRENGTHS = [1e-5, 1e-2, 1.0, 1e2, 1e5, 1e8]
GAPS = {"none": (), "start": (0, 1, 2), "middle": tuple(range(11, 19)), "end": (28, 29, 30)}
GAPS["all three"] = GAPS["start"] + GAPS["middle"] + GAPS["end"] + (5, 7)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("gaps", GAPS.values(), ids=GAPS)
def test_it_is_the_dense_solution(gaps, strength):
    check(clip(gaps=gaps), strength)


@pytest.mark.parametrize("strength", [1e-2, 1.0, 1e3])
def test_frames_that_know_only_some_directions(strength):
    case = clip(rank=1, decades=0.0, gaps=(0, 15, 16))
    assert np.linalg.matrix_rank(case[1][5]) == 1 and np.linalg.matrix_rank(case[1].sum(axis=0)) == 4
    check(case, strength, atol=5e-4)


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_few_frames(num_frames):
    check(clip(num_frames), 1.0)


def test_gradient_of_the_energy_is_zero_there():
    estimates, information, stiffness = (jnp.asarray(part, jnp.float32) for part in clip(decades=0.0, gaps=(9, 10, 11)))
    best = _jitted(estimates, information, stiffness=stiffness, strength=3.0)

    @jax.jit
    def energy(x):
        return temporal_energy(x, estimates, information, stiffness=stiffness, strength=3.0, quick=1e3)

    assert np.abs(jax.grad(energy)(best)).max() < 1e-4 * np.abs(jax.grad(energy)(estimates)).max()
    for seed in range(3):
        assert energy(best + 0.01 * jax.random.normal(jax.random.key(seed), best.shape)) > energy(best)


def test_no_strength_leaves_the_estimates_and_bridges_the_gap_as_the_limit_does():
    case = clip(gaps=GAPS["all three"])
    path, seen = smoothed(*case, 0.0), np.setdiff1d(np.arange(31), GAPS["all three"])
    np.testing.assert_array_equal(path[seen], np.float32(case[0][seen]))
    limit = dense(*case, 1e-8)
    np.testing.assert_allclose(path * case[2], limit * case[2], atol=5e-4)
    np.testing.assert_array_equal(path[:3], path[[3, 3, 3]])
    np.testing.assert_array_equal(path[28:], path[[27, 27, 27]])


def test_great_strength_gives_the_line_of_least_squares():
    rng = np.random.default_rng(3)
    weights, values = rng.uniform(0.5, 2.0, 300), rng.normal(size=300) + 0.3 * np.arange(300) + 200.0
    path = smoothed(values[:, None], weights[:, None, None], np.ones(1), 1e12)
    line = np.polyval(np.polyfit(np.arange(300), values, 1, w=np.sqrt(weights)), np.arange(300))
    np.testing.assert_allclose(path[:, 0], line, atol=3e-3)


def test_an_unbroken_straight_motion_is_kept_and_its_gap_closed_by_it():
    line = np.arange(200.0)[:, None] * np.array([[0.5, -2.0, 0.0]]) + 300.0
    information = np.tile(np.eye(3), (200, 1, 1))
    information[50:150] = 0.0
    for strength in (0.0, 1.0, 1e6):
        np.testing.assert_allclose(smoothed(line, information, np.ones(3), strength), line, atol=5e-3)


def test_what_is_estimated_without_information_does_not_matter():
    estimates, information, stiffness = clip(gaps=(0, 10, 30))
    path = smoothed(estimates, information, stiffness, 1.0)
    estimates[[0, 10, 30]] = np.nan
    np.testing.assert_array_equal(smoothed(estimates, information, stiffness, 1.0), path)


@pytest.mark.parametrize("frame", [0, 4, 8])
def test_a_single_frame_with_data_is_held(frame):
    estimates, information, stiffness = clip(9, gaps=set(range(9)) - {frame})
    np.testing.assert_allclose(smoothed(estimates, information, stiffness, 1.0), estimates[[frame] * 9], rtol=1e-6)


def test_what_is_never_seen_stays_and_what_is_seen_once_holds():
    estimates, information = np.arange(36.0).reshape(12, 3), np.zeros((12, 3, 3))
    information[:, 0, 0], information[5, 1, 1] = 1.0, 1.0
    path = smoothed(estimates, information, np.ones(3), 0.1)
    np.testing.assert_allclose(path[:, 0], estimates[:, 0], atol=1e-4)
    np.testing.assert_allclose(path[:, 1], estimates[5, 1], atol=2e-3)
    np.testing.assert_allclose(path[:, 2], estimates[0, 2], atol=1e-4)
    np.testing.assert_array_equal(smoothed(estimates, np.zeros((12, 3, 3)), np.ones(3), 1.0), estimates[[0] * 12])


def test_units_of_the_unknowns_do_not_matter():
    estimates, information, stiffness = clip(decades=0.0, gaps=(12, 13))
    units = np.array([1e-4, 1.0, 1e3, 1e-2])
    scaled = (estimates * units, information / units / units[:, None], stiffness / units)
    np.testing.assert_allclose(
        smoothed(*scaled, 2.0) / units, smoothed(estimates, information, stiffness, 2.0), atol=1e-4
    )


def test_acceleration_falls_as_strength_grows():
    case = clip(60, decades=0.0)
    sizes = [np.linalg.norm(np.diff(smoothed(*case, s), n=2, axis=0)) for s in (0.0, 0.1, 1.0, 10.0, 100.0)]
    assert np.all(np.diff(sizes) < 0.0) and sizes[-1] < 0.2 * sizes[0]


def test_quick_bends_cost_less_and_each_round_lowers_the_cost():
    estimates, information, stiffness = (jnp.asarray(part, jnp.float32) for part in clip(decades=0.0, gaps=(9, 10)))
    energy = functools.partial(temporal_energy, stiffness=stiffness, strength=30.0, quick=0.2)
    solve = jax.jit(smooth_trajectory, static_argnames="num_rounds")

    def after(num_rounds):
        return solve(estimates, information, stiffness=stiffness, strength=30.0, quick=0.2, num_rounds=num_rounds)

    paths = [after(number) for number in (1, 2, 6, 40)]
    np.testing.assert_allclose(paths[0], _jitted(estimates, information, stiffness=stiffness, strength=30.0), atol=1e-6)
    energy = jax.jit(energy)
    costs = [float(energy(path, estimates, information)) for path in paths]
    assert np.all(np.diff(costs) < 0.0) and costs[2] - costs[3] < 0.2 * (costs[0] - costs[3])
    gradient = jax.jit(jax.grad(energy))
    slopes = [np.abs(gradient(path, estimates, information)).max() for path in (estimates, paths[0], paths[3])]
    assert slopes[2] < 0.02 * min(slopes[:2])


def test_a_nod_is_kept_where_a_square_would_flatten_it_and_noise_is_not():
    rng, times = np.random.default_rng(5), np.arange(100)
    nod = np.where(times < 50, 7.0 * np.sin(0.5 * times), 0.0)[:, None]
    noise = 0.1 * rng.normal(size=nod.shape)
    information = np.full((100, 1, 1), 5.0)
    plain = smoothed(nod + noise, information, np.ones(1), 30.0)
    single = [jnp.asarray(part, jnp.float32) for part in (nod + noise, information)]
    robust = smooth_trajectory(*single, stiffness=jnp.ones(1), strength=30.0, quick=0.3, num_rounds=6)
    assert np.ptp(robust[10:40]) > 0.95 * np.ptp(nod) > 1.1 * np.ptp(plain[10:40])
    shakes = [np.abs(np.diff(path[60:, 0], n=2)).mean() for path in (noise, np.asarray(robust, np.float64))]
    assert shakes[1] < 0.25 * shakes[0]


def test_plain_jit_and_vmap_agree_and_strengths_share_one_compile():
    cases = [[jnp.asarray(part, jnp.float32) for part in clip(13, decades=0.0, seed=seed)] for seed in (0, 1)]
    traces = []

    def solve(estimates, information, stiffness, strength):
        traces.append(strength)
        return smooth_trajectory(estimates, information, stiffness=stiffness, strength=strength)

    jitted = jax.jit(solve)
    together = jax.jit(jax.vmap(solve))(
        *(jnp.stack(parts) for parts in zip(*cases, strict=True)), jnp.array([0.5, 20.0])
    )
    traces.clear()
    for index, strength in enumerate([0.5, 20.0]):
        compiled = jitted(*cases[index], strength)
        assert len(traces) == 1
        np.testing.assert_allclose(compiled, together[index], atol=1e-4)
    np.testing.assert_allclose(solve(*cases[1], 20.0), compiled, atol=1e-4)


@pytest.mark.slow
def test_a_thousand_frames_of_sixty_unknowns_take_seconds():
    estimates, information, stiffness = clip(1000, 60, decades=1.0, gaps=range(400, 430))
    arguments = [jnp.asarray(part, jnp.float32) for part in (estimates, information)]
    solve = jax.jit(smooth_trajectory)
    path = jax.block_until_ready(solve(*arguments, stiffness=jnp.asarray(stiffness, jnp.float32), strength=1.0))
    start = time.process_time()  # of this process, whatever else the machine does
    path = jax.block_until_ready(solve(*arguments, stiffness=jnp.asarray(stiffness, jnp.float32), strength=1.0))
    assert time.process_time() - start < 60.0  # 3 s of the clock on two idle cores
    gradient = information @ (np.float64(path) - estimates)[..., None]
    jump = stiffness**2 * np.diff(np.float64(path), n=2, axis=0)
    residual = gradient[..., 0]
    for offset, factor in enumerate((1.0, -2.0, 1.0)):
        residual[offset : offset + 998] += factor * jump
    assert np.abs(residual / stiffness).max() < 0.1  # of forces near 1e2
