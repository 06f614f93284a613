"""Energies over time: an unsteady trajectory, and detail that comes and goes (ours; the paper has single frames).

Frames are neighbours in time, one step apart. Strengths are weights; 0 leaves every frame to itself.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.numerics import sum_squares


def temporal_energy(
    trajectory: Float[Array, "frames unknowns"],
    estimates: Float[Array, "frames unknowns"],
    information: Float[Array, "frames unknowns unknowns"],
    *,
    stiffness: Float[Array, "unknowns"],
    strength: Float[Array, ""] | float,
    quick: Float[Array, ""] | float,
) -> Float[Array, ""]:
    """sum_t (x_t - e_t)^T A_t (x_t - e_t) / 2 + s sum_t q^2 log(1 + |D (x_{t-1} - 2 x_t + x_{t+1})|^2 / q^2) / 2.

    `estimates` e are what each frame alone says, `information` A how sure it is (0: it says nothing), `stiffness` the
    diagonal of D, in one over the unknowns' units. An unknown that bends faster than `quick` q means to: beyond, the
    cost hardly grows, where a square would flatten nods and blinks. `solvers.trajectory.smooth_trajectory` minimises.
    """
    with jax.named_scope("data"):
        error = trajectory - estimates
        data = jnp.einsum("tk,tkl,tl->", error, information, error, precision=jax.lax.Precision.HIGHEST)
    with jax.named_scope("acceleration"):
        acceleration = trajectory[:-2] - 2.0 * trajectory[1:-1] + trajectory[2:]
    bends = jnp.log1p((acceleration * stiffness[None] / quick) ** 2)
    return 0.5 * data + 0.5 * strength * quick**2 * jnp.sum(bends)


def detail_energy(
    displacement_mm: Float[Array, "vertices"],
    observed_mm: Float[Array, "vertices"],
    before_mm: Float[Array, "vertices"],
    *,
    trust: Float[Array, "vertices"],
    strength: Float[Array, "vertices"] | Float[Array, ""] | float,
) -> Float[Array, ""]:
    """sum trust (d - observed)^2 / 2 + strength (d - before)^2 / 2: detail as this frame shows it and as it was.

    `trust` is 0 where the frame does not see a vertex.
    """
    data = sum_squares(jnp.sqrt(trust) * (displacement_mm - observed_mm))
    steady = sum_squares(jnp.sqrt(strength) * (displacement_mm - before_mm))
    return 0.5 * data + 0.5 * steady


def detail_minimiser(
    observed_mm: Float[Array, "vertices"],
    before_mm: Float[Array, "vertices"],
    *,
    trust: Float[Array, "vertices"],
    strength: Float[Array, "vertices"] | Float[Array, ""] | float,
) -> Float[Array, "vertices"]:
    """The exact minimiser of `detail_energy`; where both weights are 0, what was before."""
    share = _ratio(trust, trust + strength)
    return share * jnp.where(trust > 0.0, observed_mm, before_mm) + (1.0 - share) * before_mm


class DetailState(NamedTuple):
    """What the frames so far say of the detail: their last estimate, and its weight (in units of trust; 0: a vertex
    never seen, whose displacement is 0)."""

    displacement_mm: Float[Array, "vertices"]
    weight: Float[Array, "vertices"]


def unseen_detail(*, num_vertices: int) -> DetailState:
    """The state before the first frame."""
    return DetailState(jnp.zeros(num_vertices), jnp.zeros(num_vertices))


def filter_detail(
    observed_mm: Float[Array, "frames vertices"],
    trust: Float[Array, "frames vertices"],
    before: DetailState,
    *,
    strength: Float[Array, ""] | float,
) -> tuple[Float[Array, "frames vertices"], DetailState]:
    """Steadies the detail of a chunk of frames; looks back only, so that chunks can follow one another.

    Frame t of the result is the last of the d_1 ... d_t that minimise, over all frames up to it, the sum of
    `detail_energy(d_i, observed_i, d_{i-1})`, the first frame to see a vertex being free: a random walk seen through
    noise, by Kalman's (1960) recursion. Strength 0 gives what is observed, a large one the mean so far.
    """

    def step(state: DetailState, frame: tuple[Array, Array]) -> tuple[DetailState, Array]:
        observed, trusted = frame
        carried = state.weight * _ratio(strength, state.weight + strength)  # 1 / (1 / weight + 1 / strength)
        estimate = detail_minimiser(observed, state.displacement_mm, trust=trusted, strength=carried)
        return DetailState(estimate, trusted + carried), estimate

    after, smoothed = jax.lax.scan(step, before, (observed_mm, trust))
    return smoothed, after


def _ratio(a: Array | float, b: Array | float) -> Array:
    """a / b, and 0 for 0 / 0, without a bad gradient."""
    return jnp.where(b > 0.0, a / jnp.where(b > 0.0, b, 1.0), 0.0)
