"""Training of the network: what a step minimises, and runs that go on from their checkpoint."""

import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterator
from concurrent import futures
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from jaxface.geometry.normals import depth_normals
from jaxface.networks import normals as network
from jaxface.rendering.appearance import fill_outside
from learned_normals.windows import Pictures, Window, batch

_KEEP_MEAN = 0.998  # of the running mean of parameters, which is what ships
_SPREAD_WEIGHT, _SKIN_WEIGHT, _DETAIL_WEIGHT = 0.05, 0.1, 0.5
_BEYOND = 1.2  # radians said to be off where there is no skin to be right about


class State(NamedTuple):
    """Parameters, their running mean, and the optimiser's memory."""

    params: network.Params
    mean: network.Params
    memory: optax.OptState


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A run: as many `steps` of `count` windows, without the photo if `blind`."""

    steps: int
    count: int
    rate: float
    seed: int
    blind: bool


def losses(params: network.Params, window: Window, *, blind: bool) -> dict[str, Float[Array, ""]]:
    """Of one window: mean chord c between normals, as the robust c / (1 + c), that of their differences over two
    pixels, how badly the spread tells of it, and the entropy of skin; then the mean angle before and after (degrees) on
    skin that is seen."""
    image = jnp.full_like(window.image, 0.5) if blind else window.image
    smooth = depth_normals(fill_outside(window.height_px, window.covered))
    answer = network.apply(params, network.planes(image, smooth, window.covered, window.px_per_mm))
    told = network.read(answer, smooth)
    slopes = smooth[..., :2] / -jnp.maximum(smooth[..., 2:], 0.1) + told.slope_change
    found = jnp.concatenate([-slopes, jnp.ones_like(slopes[..., :1])], axis=-1)
    found = found / jnp.linalg.norm(found, axis=-1, keepdims=True)
    weight = window.weight
    chord = jnp.sqrt(jnp.sum((found - window.normals) ** 2, axis=-1) + 1e-6)
    off = jnp.where(weight > 0.0, jax.lax.stop_gradient(chord), _BEYOND)
    telling = window.covered * (jnp.where(weight > 0.0, weight, 0.2))
    surprise = 2.0 * off / told.spread + 2.0 * jnp.log(told.spread)
    entropy = optax.sigmoid_binary_cross_entropy(answer[..., 3], window.skin) * (0.1 + 0.9 * window.covered)
    seen = weight * (weight > 0.9)
    return {
        "normals": _mean(chord / (1.0 + chord), weight),
        "detail": _mean(_steps(found - window.normals), weight),
        "spread": _mean(surprise, telling),
        "skin": jnp.mean(entropy),
        "before": _mean(_angle(smooth, window.normals), seen),
        "after": _mean(_angle(found, window.normals), seen),
    }


def total(found: dict[str, Float[Array, ""]]) -> Float[Array, ""]:
    return (
        found["normals"]
        + _DETAIL_WEIGHT * found["detail"]
        + _SPREAD_WEIGHT * found["spread"]
        + _SKIN_WEIGHT * found["skin"]
    )


def _mean(values: Array, weight: Array) -> Float[Array, ""]:
    return jnp.sum(values * weight) / jnp.maximum(jnp.sum(weight), 1.0)


def _steps(values: Float[Array, "height width channels"]) -> Float[Array, "height width"]:
    right, down = values - jnp.roll(values, 2, axis=1), values - jnp.roll(values, 2, axis=0)
    return jnp.sqrt(jnp.sum(right**2 + down**2, axis=-1) + 1e-6)


def _angle(a: Array, b: Array) -> Float[Array, "height width"]:
    return jnp.degrees(2.0 * jnp.arcsin(jnp.clip(jnp.linalg.norm(a - b, axis=-1) / 2.0, 0.0, 1.0)))


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    rates = optax.warmup_cosine_decay_schedule(0.0, recipe.rate, min(200, recipe.steps // 10), recipe.steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rates, weight_decay=1e-3))


@functools.partial(jax.jit, static_argnames="recipe", donate_argnums=0)
def step(state: State, windows: Window, *, recipe: Recipe) -> tuple[State, dict[str, Float[Array, ""]]]:
    """One step on a batch of windows."""

    def energy(params):
        found = jax.vmap(lambda window: losses(params, window, blind=recipe.blind))(windows)
        found = {name: jnp.mean(values) for name, values in found.items()}
        return total(found), found

    gradient, found = jax.grad(energy, has_aux=True)(state.params)
    updates, memory = _optimiser(recipe).update(gradient, state.memory, state.params)
    params = optax.apply_updates(state.params, updates)
    mean = jax.tree.map(lambda old, new: _KEEP_MEAN * old + (1.0 - _KEEP_MEAN) * new, state.mean, params)
    return State(params, mean, memory), found


@functools.partial(jax.jit, static_argnames="blind")
def measure(params: network.Params, windows: Window, *, blind: bool) -> dict[str, Float[Array, ""]]:
    """Mean losses of a batch."""
    found = jax.vmap(lambda window: losses(params, window, blind=blind))(windows)
    return {name: jnp.mean(values) for name, values in found.items()}


def begin(recipe: Recipe) -> State:
    """Before the first step: the network changes nothing."""
    blank = jnp.zeros((network.MULTIPLE, network.MULTIPLE, network.NUM_PLANES))
    params = network.NETWORK.init(jax.random.PRNGKey(recipe.seed), blank)
    return State(params, jax.tree.map(jnp.copy, params), _optimiser(recipe).init(params))


def save(path: pathlib.Path, state: State, done: int, recipe: Recipe) -> None:
    """A checkpoint of plain arrays, whole or not there."""
    leaves = {f"leaf{index}": np.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(state))}
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez(file, done=done, recipe=json.dumps(dataclasses.asdict(recipe)), **leaves)
    os.replace(partial, path)


def restore(path: pathlib.Path, recipe: Recipe) -> tuple[State, int]:
    """The checkpoint's state and how many steps were done; the beginning where there is none of this recipe."""
    state = begin(recipe)
    if not path.exists():
        return state, 0
    with np.load(path) as stored:
        if json.loads(str(stored["recipe"])) != dataclasses.asdict(recipe):
            return state, 0
        leaves = [jnp.asarray(stored[f"leaf{index}"]) for index in range(len(jax.tree.leaves(state)))]
        return jax.tree.unflatten(jax.tree.structure(state), leaves), int(stored["done"])


def _ahead(pictures: Pictures, recipe: Recipe, done: int) -> Iterator[Window]:
    """The windows of each step from `done` on; the next ones are cut while a step runs."""

    def cut(number: int) -> Window:
        return batch(pictures, np.random.default_rng([recipe.seed, number]), count=recipe.count)

    with futures.ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(cut, number) for number in range(done, min(done + 1, recipe.steps))]
        for number in range(done + 1, recipe.steps + 1):
            windows = coming.pop().result()
            if number < recipe.steps:
                coming.append(pool.submit(cut, number))
            yield windows


def run(
    pictures: Pictures, recipe: Recipe, checkpoint: pathlib.Path, *, every: int = 100
) -> Iterator[tuple[int, State, dict[str, float]]]:
    """Steps from the checkpoint on; every so many it is written, and mean losses since are given."""
    state, done = restore(checkpoint, recipe)
    sums: dict[str, float] = {}
    for windows in _ahead(pictures, recipe, done):
        state, found = step(state, windows, recipe=recipe)
        done += 1
        sums = {name: sums.get(name, 0.0) + float(value) for name, value in found.items()}
        if done % every == 0 or done == recipe.steps:
            save(checkpoint, state, done, recipe)
            yield done, state, {name: value / every for name, value in sums.items()}
            sums = {}
