"""Compiles a stage once a shape, times compilation apart from the run, and keeps the reports of the stages."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from jaxface.types import StageReport

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


class StageLog:
    """Collects the stage reports and tells `progress` what begins."""

    def __init__(self, progress: Callable[[str], None] | None):
        self.reports: list[StageReport] = []
        self._progress = progress or (lambda stage: None)

    def begin(self, stage: str) -> None:
        """Tells that a stage begins."""
        self._progress(stage)

    def end(
        self,
        stage: str,
        verdict: tuple[dict[str, float], str],
        *,
        seconds: float,
        compile_seconds: float = 0.0,
        note: str = "",
    ) -> bool:
        """Records figures and the reason to leave the stage out, if any; returns whether it is kept. `note` is what to
        know if it is."""
        figures, reason = verdict
        status = "left out" if reason else "ok"
        figures = dict(figures, compile_seconds=compile_seconds)
        self.reports.append(StageReport(stage, status, reason or note, seconds, figures))
        return not reason


class Clock:
    """Runs compiled programs for a stage that works on the host in between; knows how long it and compiling took."""

    def __init__(self):
        self._start, self._compile_seconds = time.perf_counter(), 0.0

    def run(self, function: Callable, *args: Any, **static: Any) -> Any:
        """The value of the function, compiled."""
        value, _, compile_seconds = run_timed(function, *args, **static)
        self._compile_seconds += compile_seconds
        return value

    def seconds(self) -> dict[str, float]:
        """Work and compilation since the clock was made."""
        total = time.perf_counter() - self._start
        return {"seconds": total - self._compile_seconds, "compile_seconds": self._compile_seconds}
