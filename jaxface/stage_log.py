"""What became of each stage on each photo of a batch, told as it happens and kept as reports (host side)."""

import time
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array

from jaxface.execution import Times
from jaxface.mapping import at
from jaxface.program import Stage, mapped
from jaxface.state import Shared, State, View
from jaxface.types import StageReport
from jaxface.verdicts import reason

Progress = Callable[[str], None]
_FLAGS = ("finite", "counts")  # figures that are no measures


class StageLog:
    """`reports[row]` are those of a photo; `progress` is called with the name of each stage as it begins."""

    def __init__(self, progress: Progress | None, *, rows: int):
        self.reports: list[list[StageReport]] = [[] for _ in range(rows)]
        self._progress = progress or (lambda stage: None)
        self._begun = 0.0

    def begin(self, stage: str) -> None:
        """Tells that a stage begins."""
        self._progress(stage)
        self._begun = time.perf_counter()

    def end(
        self,
        stage: str,
        row: int,
        figures: Mapping[str, Array | float],
        *,
        why: str = "",
        note: str = "",
        seconds: float | None = None,
        compile_seconds: float = 0.0,
    ) -> None:
        """Records what is known of a stage on one photo and, if it is left out, `why`; `note` is what to know if not.
        Without `seconds` it took the time since it began."""
        measures = {name: float(value) for name, value in figures.items() if name not in _FLAGS and np.isfinite(value)}
        seconds = time.perf_counter() - self._begun - compile_seconds if seconds is None else seconds
        measures["compile_seconds"] = compile_seconds
        self.reports[row].append(StageReport(stage, "left out" if why else "ok", why or note, seconds, measures))


def run_stages(
    stages: Sequence[Stage], state: State, views: View, *, shared: Shared, log: StageLog, rows: Sequence[int]
) -> tuple[State, list[str]]:
    """Runs stages over a batch and reports on its first `rows`, numbers in the log; also why the last one was left out
    of each, empty where it was not."""
    reasons: list[str] = []
    for stage in stages:
        log.begin(stage.name)
        (state, verdicts), seconds, compile_seconds = mapped(stage).timed(state, views, shared=shared)
        verdicts = [at(jax.tree.map(np.asarray, verdicts), index=place) for place in range(len(rows))]
        reasons = [reason(stage.name, verdict) for verdict in verdicts]
        times = Times(seconds=seconds / len(rows), compile_seconds=compile_seconds / len(rows))
        for row, verdict, why in zip(rows, verdicts, reasons, strict=True):
            log.end(stage.name, row, verdict.figures, why=why, **times)
    return state, reasons
