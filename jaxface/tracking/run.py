"""What the steps of one tracking run have in common (host side)."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxface.frame import Templates
from jaxface.io.video import Clip
from jaxface.presets import PRESETS
from jaxface.tracking import devices, frame_steps
from jaxface.tracking.frame_steps import Shared
from jaxface.tracking.journal import Journal
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.threads import Timeline, Writer
from jaxface.types import Detector

Progress = Callable[[str, int, int | None], None]


class Run(NamedTuple):
    """One clip on its way: settings, tools, and the functions that map frames over the devices."""

    clip: Clip
    settings: TrackSettings
    templates: Templates
    detector: Detector
    folder: pathlib.Path
    journal: Journal
    writer: Writer
    timeline: Timeline
    progress: Progress
    chunk: int
    mapped: dict[str, Callable]

    def call(self, name: str, *frames: Any, shared: Shared) -> Any:
        """Maps a step over a chunk of at most `chunk` frames; the result may stay on the devices."""
        number = len(jax.tree.leaves(frames)[0])
        with self.timeline.lane("device"):
            padded = frames if number == self.chunk else devices.pad(frames, length=self.chunk)
            result = jax.block_until_ready(self.mapped[name](*padded, shared=shared))
        return result if number == self.chunk else jax.tree.map(lambda leaf: leaf[:number], result)

    def fetch(self, name: str, *frames: Any, shared: Shared) -> Any:
        """The same as host arrays."""
        return jax.tree.map(np.asarray, self.call(name, *frames, shared=shared))

    def commit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Has a chunk written while the work goes on."""
        self.writer.submit(self._commit, name, arrays)

    def _commit(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        with self.timeline.lane("write"):
            self.journal.commit(name, arrays)


def map_steps(settings: TrackSettings) -> dict[str, Callable]:
    """The steps, ready to map over chunks; each compiles once."""
    return _map_steps(settings.preset, settings.size)


@functools.lru_cache(maxsize=4)
def _map_steps(preset: str, size: int) -> dict[str, Callable]:
    small, full = PRESETS[preset](size=frame_steps.LOOK_SIZE), PRESETS[preset](size=size)
    functions = {
        "locate": frame_steps.locate,
        "look": functools.partial(frame_steps.look, preset=small),
        "rejoin": frame_steps.rejoin,
        "settle": functools.partial(frame_steps.settle, preset=small),
        "deform": functools.partial(frame_steps.deform, preset=small),
        "aim": functools.partial(frame_steps.aim, size=size),
        "refine": functools.partial(frame_steps.refine, preset=full),
        "lift": frame_steps.lift,
        "place": frame_steps.place,
    }
    return {name: devices.frame_map(function) for name, function in functions.items()}
