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
    return learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.arange(num_steps) / max(num_steps, 1)))


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
    result = minimise_in_turn(
        (lambda blocks: energy(blocks[0], *args),), (init,), learning_rates=(learning_rate,), num_steps=num_steps, b2=b2
    )
    return result._replace(value=result.value[0])


def minimise_in_turn(
    energies: tuple[Callable[[tuple], Float[Array, ""]], ...],
    inits: tuple,
    *,
    learning_rates: tuple,
    num_steps: int,
    b2: float = 0.999,
) -> Minimum:
    """Block-wise Adam: each iteration takes one step on every block in turn, seeing the others' newest values.

    Energy k is a function of the tuple of all blocks and is minimised over block k alone. The record's `energies` are
    those of the last block.
    """
    rates = tuple(jnp.broadcast_to(jnp.asarray(r, jnp.float32), (num_steps,)) for r in learning_rates)
    adam = optax.scale_by_adam(b2=b2)

    def step_block(k, blocks, state, rate):
        def of_block(x):
            return energies[k]((*blocks[:k], x, *blocks[k + 1 :]))

        value, gradient = jax.value_and_grad(of_block)(blocks[k])
        updates, state = adam.update(gradient, state, blocks[k])
        moved = jax.tree.map(lambda leaf, update: leaf - rate * update, blocks[k], updates)
        return (*blocks[:k], moved, *blocks[k + 1 :]), state, value

    def step(carry, rates_now):
        blocks, states = carry
        moved_states = []
        for k, (state, rate) in enumerate(zip(states, rates_now, strict=True)):
            blocks, state, value = step_block(k, blocks, state, rate)
            moved_states.append(state)
        return (blocks, tuple(moved_states)), value

    start = (tuple(inits), tuple(adam.init(x) for x in inits))
    (blocks, _), values = jax.lax.scan(step, start, rates)
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(blocks)]
    return Minimum(blocks, values, jnp.all(jnp.stack([jnp.all(jnp.isfinite(values)), *leaves])))
