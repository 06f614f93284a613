"""Compiles a stage once a shape and times compilation apart from the run."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

_compiled: dict = {}


class Timed(NamedTuple):
    """`compile_seconds` is 0 where the shapes were seen before."""

    value: Any
    seconds: float
    compile_seconds: float


def run_timed(function: Callable, *args, **static) -> Timed:
    """Runs `function(*args, **static)` compiled for the shapes of `args` (pytrees of arrays); `static` is hashable."""
    leaves, structure = jax.tree.flatten(args)
    shapes = tuple(jax.api_util.shaped_abstractify(leaf) for leaf in leaves)
    key = (function, structure, shapes, tuple(sorted(static.items())))
    start = time.perf_counter()
    if key not in _compiled:
        jitted = jax.jit(function, static_argnames=tuple(static))
        _compiled[key] = jitted.lower(*args, **static).compile()
    ready = time.perf_counter()
    value = jax.block_until_ready(_compiled[key](*args))
    return Timed(value, time.perf_counter() - ready, ready - start)


def num_compiled() -> int:
    """How many programs were compiled so far; a second photo must not raise it."""
    return len(_compiled)
