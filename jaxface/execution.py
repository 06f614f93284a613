"""Compiles a function once a shape, and times compilation apart from the run."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypedDict

import jax


class _Program(NamedTuple):
    """A compiled program, and what its result is like (`jax.ShapeDtypeStruct`)."""

    run: Callable
    result: Any


_programs: dict[Any, Future] = {}
_asking = threading.Lock()


class Timed(NamedTuple):
    """`compile_seconds` is 0 where the shapes were seen before."""

    value: Any
    seconds: float
    compile_seconds: float


class Times(TypedDict):
    """What a stage took, in the words of its report."""

    seconds: float
    compile_seconds: float


def run_timed(function: Callable, *args, **static) -> Timed:
    """Runs `function(*args, **static)` compiled for the shapes of `args` (pytrees of arrays); `static` is hashable."""
    start = time.perf_counter()
    program = _program(function, args, static)
    ready = time.perf_counter()
    value = jax.block_until_ready(program.run(*args))
    return Timed(value, time.perf_counter() - ready, ready - start)


def compile_ahead(function: Callable, *args, **static) -> Any:
    """Compiles for `args`, which need no numbers yet (`jax.ShapeDtypeStruct`), and tells what the result will be like.

    Any thread may do so; `run_timed` waits for a program that is being compiled.
    """
    return _program(function, args, static).result


def num_compiled() -> int:
    """How many programs were compiled so far; a second photo must not raise it."""
    return len(_programs)


def _program(function: Callable, args: tuple, static: dict) -> _Program:
    leaves, structure = jax.tree.flatten(args)
    shapes = tuple(jax.api_util.shaped_abstractify(leaf) for leaf in leaves)
    key = (function, structure, shapes, tuple(sorted(static.items())))
    with _asking:
        is_new = key not in _programs
        future = _programs.setdefault(key, Future())
    if is_new:
        try:
            traced = jax.jit(function, static_argnames=tuple(static)).trace(*args, **static)
            future.set_result(_Program(traced.lower().compile(), traced.out_info))
        except BaseException as error:
            del _programs[key]  # another call may have more luck
            future.set_exception(error)
    return future.result()


class Clock:
    """Runs compiled programs for work that goes on on the host in between; knows how long it and compiling took."""

    def __init__(self):
        self._start, self._compile_seconds = time.perf_counter(), 0.0

    def run(self, function: Callable, *args: Any, **static: Any) -> Any:
        """The value of the function, compiled."""
        value, _, compile_seconds = run_timed(function, *args, **static)
        self._compile_seconds += compile_seconds
        return value

    def seconds(self) -> Times:
        """Work and compilation since the clock was made."""
        total = time.perf_counter() - self._start
        return {"seconds": total - self._compile_seconds, "compile_seconds": self._compile_seconds}
