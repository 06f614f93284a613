"""Levenberg-Marquardt (Marquardt 1963) for small dense nonlinear least squares, on any pure residual function."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from jaxface.numerics import matmul, sum_squares

_FALL, _RISE = 0.2, 4.0  # factors of the damping after a good and after a bad step
_LEAST, _MOST = 1e-7, 1e7


class LeastSquares(NamedTuple):
    """`value` is the best iterate, `costs` half the sum of squares before each step and at the end; `finite` is
    False if the residuals or their derivatives were not finite where the solver stood."""

    value: Any
    costs: Float[Array, "steps+1"]
    finite: Bool[Array, ""]


class _State(NamedTuple):
    x: Float[Array, "unknowns"]
    cost: Float[Array, ""]
    damping: Float[Array, ""]
    finite: Bool[Array, ""]


def levenberg_marquardt(
    residual: Callable[..., Float[Array, "residuals"]],
    init: Any,
    args: tuple = (),
    *,
    num_steps: int,
    damping: Float[Array, ""] | float = 1e-3,
    bounds: tuple[Any, Any] | None = None,
) -> LeastSquares:
    """Minimises |residual(x, *args)|^2 / 2 from `init` (any pytree) in `num_steps` steps, some of them rejected.

    `damping` is relative to the diagonal of the normal matrix and traced. `bounds`, a pair of pytrees like `init`,
    keeps x in a box: unknowns that a step would push out of it stay where they are (projected steps).
    """
    start, unravel = ravel_pytree(init)
    infinity = jnp.full_like(start, jnp.inf)
    low, high = (-infinity, infinity) if bounds is None else (ravel_pytree(bound)[0] for bound in bounds)

    @jax.jit  # traced once for all its uses below
    def flat_residual(x):
        return residual(unravel(x), *args)

    def step(state, _):
        after = _step(flat_residual, state, low=low, high=high)
        return after, state.cost

    start = jnp.clip(start, low, high)
    cost = 0.5 * sum_squares(flat_residual(start))
    state = _State(start, cost, jnp.asarray(damping, start.dtype), jnp.isfinite(cost))
    state, costs = jax.lax.scan(step, state, length=num_steps)
    return LeastSquares(unravel(state.x), jnp.concatenate([costs, state.cost[None]]), state.finite)


def _step(residual: Callable, state: _State, *, low: Array, high: Array) -> _State:
    """One damped Gauss-Newton step, kept only where the cost falls."""
    values, jacobian = _linearise(residual, state.x)
    gradient = matmul(values, jacobian)
    stuck = ((state.x <= low) & (gradient > 0.0)) | ((state.x >= high) & (gradient < 0.0))
    free = 1.0 - stuck.astype(gradient.dtype)
    normal = matmul(jacobian.T, jacobian)
    # Unknowns of unit sensitivity: float32 then bears unknowns of any scale.
    sensitivity = jnp.sqrt(jnp.diagonal(normal))
    scale = free / jnp.where(sensitivity > 0.0, sensitivity, 1.0)
    system = normal * scale[:, None] * scale[None, :] + jnp.diag(state.damping + 1.0 - free)
    move = -scale * jax.scipy.linalg.solve(system, scale * gradient, assume_a="pos")
    trial = jnp.clip(state.x + move, low, high)
    cost = 0.5 * sum_squares(residual(trial))
    good = cost < state.cost  # False for a cost that is not a number.
    factor = jnp.where(good, _FALL, _RISE)
    return _State(
        x=jnp.where(good, trial, state.x),
        cost=jnp.where(good, cost, state.cost),
        damping=jnp.clip(state.damping * factor, _LEAST, _MOST),
        finite=state.finite & jnp.all(jnp.isfinite(normal)) & jnp.all(jnp.isfinite(gradient)),
    )


def _linearise(residual: Callable, x: Float[Array, "unknowns"]) -> tuple[Array, Array]:
    """Residuals and their Jacobian, forward mode: few unknowns, many residuals."""
    values, tangent_map = jax.linearize(residual, x)
    return values, jax.vmap(tangent_map, out_axes=1)(jnp.eye(x.shape[0], dtype=x.dtype))
