"""Minimisers from optax on any pure energy; Adam (Kingma and Ba 2014) is that of Jin et al. (2021) Sec. 4.1."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

Rate = Float[Array, ""] | Float[Array, "steps"] | float
# Any optax optimiser by its factory: optax.adam, functools.partial(optax.adam, b2=0.99), optax.lion ...
Optimiser = Callable[..., optax.GradientTransformation]


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
    learning_rate: Rate,
    num_steps: int,
    optimiser: Optimiser = optax.adam,
) -> Minimum:
    """Minimises `energy(x, *args)` from `init` (any pytree) in `num_steps` steps of an optax optimiser.

    `learning_rate` is traced: a scalar, or one rate a step. Precondition by composition: minimise
    `lambda u: energy(x0 + K(u))`.
    """
    result = minimise_in_turn(
        (lambda blocks: energy(blocks[0], *args),),
        (init,),
        learning_rates=(learning_rate,),
        num_steps=num_steps,
        optimiser=optimiser,
    )
    return result._replace(value=result.value[0])


def minimise_in_turn(
    energies: tuple[Callable[[tuple], Float[Array, ""]], ...],
    inits: tuple,
    *,
    learning_rates: tuple[Rate, ...],
    num_steps: int,
    optimiser: Optimiser = optax.adam,
) -> Minimum:
    """Block by block: each iteration takes one step on every block in turn, seeing the others' newest values.

    Energy k is a function of the tuple of all blocks and is minimised over block k alone. The record's `energies` are
    those of the last block.
    """
    rates = tuple(jnp.broadcast_to(jnp.asarray(rate, jnp.float32), (num_steps,)) for rate in learning_rates)
    steppers = tuple(optax.with_extra_args_support(optimiser(_schedule(per_step))) for per_step in rates)

    def step_block(k, blocks, state):
        def of_block(x):
            return energies[k]((*blocks[:k], x, *blocks[k + 1 :]))

        value, gradient = jax.value_and_grad(of_block)(blocks[k])
        updates, state = steppers[k].update(
            gradient, state, blocks[k], value=value, grad=gradient, value_fn=of_block
        )  # some, such as L-BFGS, search along a line
        return (*blocks[:k], optax.apply_updates(blocks[k], updates), *blocks[k + 1 :]), state, value

    def step(carry, _):
        blocks, states = carry
        moved_states = []
        for k, state in enumerate(states):
            blocks, state, value = step_block(k, blocks, state)
            moved_states.append(state)
        return (blocks, tuple(moved_states)), value

    start = (tuple(inits), tuple(stepper.init(x) for stepper, x in zip(steppers, inits, strict=True)))
    (blocks, _), values = jax.lax.scan(step, start, length=num_steps)
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(blocks)]
    return Minimum(blocks, values, jnp.all(jnp.stack([jnp.all(jnp.isfinite(values)), *leaves])))


def _schedule(rates: Float[Array, "steps"]) -> Callable[[Array], Array]:
    return lambda count: rates[count]
