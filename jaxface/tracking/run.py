"""What the steps of one tracking run have in common (host side)."""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxface.io.video import Clip
from jaxface.mapping import FrameMap, pad
from jaxface.models.tools import Tools
from jaxface.program import Stage, mapped
from jaxface.state import Shared, State, View
from jaxface.tracking.journal import Journal
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.threads import Timeline, Writer
from jaxface.types import Detector
from jaxface.verdicts import Verdict

Progress = Callable[[str, int, int | None], None]


class Run(NamedTuple):
    """One clip on its way: settings, tools, and what frames share in the small crops (`look`) and in the user's."""

    clip: Clip
    settings: TrackSettings
    tools: Tools
    look: Shared
    full: Shared
    detector: Detector
    folder: pathlib.Path
    journal: Journal
    writer: Writer
    timeline: Timeline
    progress: Progress
    chunk: int

    def padded(self, tree: Any) -> Any:
        """Frames in host arrays, the last one repeated until the chunk is full: each program compiles once."""
        return pad(tree, length=self.chunk)

    def call(self, function: FrameMap, *frames: Any, shared: Any) -> Any:
        """Maps a function over a full chunk; the result stays on the devices."""
        with self.timeline.lane("device"):
            return function(*frames, shared=shared)

    def stage(self, stage: Stage, state: State, views: View, *, shared: Shared) -> tuple[State, Verdict]:
        """Runs a stage over a full chunk; its verdicts are host arrays."""
        state, verdicts = self.call(mapped(stage), state, views, shared=shared)
        return state, jax.tree.map(np.asarray, verdicts)

    def fetch(self, function: FrameMap, *frames: Any, shared: Any) -> Any:
        """Maps a function over at most a chunk of frames in host arrays; the result is host arrays."""
        number = len(jax.tree.leaves(frames)[0])
        result = self.call(function, *self.padded(frames), shared=shared)
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:number], result)

    def commit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Has a chunk written while the work goes on."""
        self.writer.submit(self._commit, name, arrays)

    def _commit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        with self.timeline.lane("write"):
            self.journal.commit(name, arrays)
