"""Adam (Kingma and Ba 2014) on any pure energy, the optimiser of Jin et al. (2021) Sec. 4.1."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float


class Minimum(NamedTuple):
    """`value` is the last iterate; `energies` the energy before each step; `finite` tells whether all went well."""

    value: Any
    energies: Float[Array, "steps"]
    finite: Bool[Array, ""]


def cosine_rates(learning_rate: Float[Array, ""] | float, *, num_steps: int) -> Float[Array, "steps"]:
    """Learning rates that fall from `learning_rate` to 0 along half a cosine."""
    return learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.arange(num_steps) / num_steps))


def minimise(
    energy: Callable[..., Float[Array, ""]],
    init: Any,
    args: tuple = (),
    *,
    learning_rate: Float[Array, ""] | Float[Array, "steps"] | float,
    num_steps: int,
    b2: float = 0.999,
) -> Minimum:
    """Minimises `energy(x, *args)` from `init` (any pytree) with `num_steps` Adam steps.

    `learning_rate` is traced: a scalar, or one rate a step. Precondition by composition: minimise
    `lambda u: energy(x0 + K(u))`.
    """
    rates = jnp.broadcast_to(jnp.asarray(learning_rate, jnp.float32), (num_steps,))
    adam = optax.scale_by_adam(b2=b2)

    def step(carry, rate):
        x, state = carry
        value, gradient = jax.value_and_grad(energy)(x, *args)
        updates, state = adam.update(gradient, state, x)
        x = jax.tree.map(lambda leaf, update: leaf - rate * update, x, updates)
        return (x, state), value

    (x, _), energies = jax.lax.scan(step, (init, adam.init(init)), rates)
    leaves_finite = jax.tree.map(lambda leaf: jnp.all(jnp.isfinite(leaf)), x)
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(energies)), *jax.tree.leaves(leaves_finite)]))
    return Minimum(x, energies, finite)
