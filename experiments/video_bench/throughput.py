"""The tracker's steps on the device alone: synthetic photos whose landmarks are known, no decoding, no detector."""

import math
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import frame
from jaxface.energies.temporal import unseen_detail
from jaxface.models import store
from jaxface.tracking import person_fit, run, second_pass
from jaxface.tracking.first_pass import cut_window
from jaxface.tracking.frame_steps import LOOK_SIZE, Posed, Shared, Sight
from jaxface.tracking.named_arrays import at, stack
from jaxface.tracking.person import no_detail
from jaxface.tracking.records import TrackSettings
from video_bench.clips import YAW_DEGREES, photograph, to_bytes

STEPS = ("locate", "look", "rejoin", "settle", "deform", "aim", "refine", "steady", "lift")
CHUNKS = {"cpu": (1, 4, 8), "accelerator": (1, 8, 32, 64)}
_VIEWS = (0.0, -1.0, 0.5, 1.0)  # of the clip's turn; the frames of a chunk take them by turns
_PHOTO_SIZE = 256


class Clock:
    """Times steps: compiles and warms up first, then takes the median of `repeats` runs; seconds a step and chunk."""

    def __init__(self, repeats: int):
        self._repeats = repeats
        self.seconds: dict[str, float] = {}
        self.compile_seconds: dict[str, float] = {}

    def time(self, name: str, function: Callable, *args: Any, **settings: Any) -> Any:
        """Runs a step and returns its value, which stays on the device."""
        taken = []
        for _ in range(self._repeats + 1):
            start = time.perf_counter()
            value = jax.block_until_ready(function(*args, **settings))
            taken.append(time.perf_counter() - start)
        self.seconds[name] = float(np.median(taken[1:]))
        self.compile_seconds[name] = max(taken[0] - self.seconds[name], 0.0)
        return value


def measure(*, sizes: list[int], chunks: list[int], repeats: int, num_frames: int, num_devices: int | None) -> dict:
    """Rows for every chunk length and size, of a clip of `num_frames`; no chunks: those usual on such a device, no
    `num_devices`: all."""
    devices = jax.local_devices()[:num_devices]
    usual = CHUNKS["cpu" if devices[0].platform == "cpu" else "accelerator"]
    rows = []
    for chunk in chunks or usual:
        if chunk % len(devices):
            rows.append(dict(devices=len(devices), chunk=chunk, note="not run: no multiple of the number of devices"))
        else:
            rows += _measure_chunk(chunk, sizes, devices, repeats, num_frames)
    return {"rows": rows, "local_devices": len(jax.local_devices())}


def times_a_frame(*, chunk: int, num_frames: int) -> dict[str, float]:
    """How often each step happens to a frame, on average over a clip: the medium stage sees a few frames only, in
    chunks that are padded to their full length."""
    medium = math.ceil(min(person_fit._MEDIUM_FRAMES, num_frames) / chunk) * chunk
    return dict.fromkeys(STEPS, 1.0) | {"rejoin": float(person_fit.ROUNDS), "deform": medium / num_frames}


def to_row(clocks: list[Clock], *, devices: int, chunk: int, size: int, num_frames: int) -> dict:
    """Frames a second of a clip of `num_frames`, milliseconds a frame and share of each step, and what compiling all
    of them took."""
    seconds = {name: value for clock in clocks for name, value in clock.seconds.items()}
    compile_seconds = sum(sum(clock.compile_seconds.values()) for clock in clocks)
    often = times_a_frame(chunk=chunk, num_frames=num_frames)
    frame_ms = {name: 1e3 * times * seconds[name] / chunk for name, times in often.items()}
    total_ms = sum(frame_ms.values())
    return dict(
        devices=devices, chunk=chunk, size=size, clip_frames=num_frames, frames_per_second=1e3 / total_ms,
        compile_seconds=compile_seconds, frame_ms=frame_ms,
        shares={name: value / total_ms for name, value in frame_ms.items()},
    )  # fmt: skip


def _measure_chunk(
    chunk: int, sizes: list[int], devices: list[jax.Device], repeats: int, num_frames: int
) -> list[dict]:
    """The steps on small windows are the same for all sizes: they are timed once."""
    small, rows = Clock(repeats), []
    try:
        seen = _see(chunk, _mapped(sizes[0], devices), small)
    except jax.errors.JaxRuntimeError as error:
        return [dict(devices=len(devices), chunk=chunk, note=_out_of_memory(error))]
    for size in sizes:
        full, place = Clock(repeats), dict(devices=len(devices), chunk=chunk, size=size)
        try:
            _finish(*seen, size, _mapped(size, devices), full)
            rows.append(to_row([small, full], num_frames=num_frames, **place))
        except jax.errors.JaxRuntimeError as error:
            rows.append(place | dict(note=_out_of_memory(error)))
    return rows


def _out_of_memory(error: Exception) -> str:
    if "RESOURCE_EXHAUSTED" not in str(error):
        raise error
    return "not run: does not fit into the device's memory"


def _mapped(size: int, devices: list[jax.Device]) -> dict[str, Callable]:
    """The tracker's own functions, on these devices only."""
    settings = TrackSettings(size=size)
    if devices == jax.local_devices():
        return run.map_steps(settings)
    with mock.patch.object(jax, "local_devices", lambda: devices):
        return run._map_steps.__wrapped__(settings.preset, settings.size)


def _see(chunk: int, mapped: dict[str, Callable], clock: Clock) -> tuple[list[np.ndarray], Sight, Any, Shared]:
    """Everything before the fine stage: photos, what is kept of them, faces, and the person."""
    templates = frame.prepare(store.resolve("default"))
    model = templates.model
    shared = Shared(templates, jnp.zeros(model.identity_basis_mm.shape[0]), jnp.zeros_like(model.mean_mm))
    views = [photograph(turn * np.radians(YAW_DEGREES), size=_PHOTO_SIZE) for turn in _VIEWS]
    views = [views[number % len(views)] for number in range(chunk)]
    images, landmarks = [to_bytes(view.image) for view in views], stack([view.landmarks for view in views])
    camera = stack([frame.make_camera(height=_PHOTO_SIZE, width=_PHOTO_SIZE)] * chunk)

    fits, crops, _ = _fetch(clock.time("locate", mapped["locate"], landmarks, camera, shared=shared))
    windows = _windows(images, crops, LOOK_SIZE)
    sight = Sight(landmarks, camera, np.full((chunk, 2), _PHOTO_SIZE, np.float32), crops, windows)
    state, _ = _fetch(clock.time("look", mapped["look"], sight, fits, shared=shared))
    shared = shared._replace(identity=jnp.asarray(state.face.identity.mean(axis=0)))
    face, _ = _fetch(clock.time("rejoin", mapped["rejoin"], sight, state.face, shared=shared))
    settled = _fetch(clock.time("settle", mapped["settle"], sight, face, shared=shared))
    offset_mm, _ = _fetch(clock.time("deform", mapped["deform"], sight, settled.state.face, shared=shared))
    return images, sight, settled.state.face, shared._replace(offset_mm=jnp.asarray(offset_mm.mean(axis=0)))


def _finish(
    images: list[np.ndarray], sight: Sight, face: Any, shared: Shared, size: int, mapped: dict, clock: Clock
) -> None:
    """Fine stage, steadied detail and pictures."""
    crops = _fetch(clock.time("aim", mapped["aim"], face, sight.camera, shared=shared))
    counts = np.ones(len(images), np.float32)
    posed = Posed(face, sight.camera, sight.image_size_px, crops, _windows(images, crops, size), counts)
    refined = clock.time("refine", mapped["refine"], posed, shared=shared)
    sums = no_detail(shared.templates.detail)
    before = (jnp.asarray(counts), unseen_detail(num_vertices=sums.weight.shape[0]), sums)
    steady_mm, *_ = clock.time(
        "steady", second_pass._steady, refined.mesh, *before, strength=second_pass.DETAIL_STRENGTH
    )
    clock.time("lift", mapped["lift"], posed, steady_mm, shared=shared)


def _windows(images: list[np.ndarray], crops: Any, size: int) -> np.ndarray:
    return np.stack([cut_window(image, at(crops, index=row), size=size) for row, image in enumerate(images)])


def _fetch(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
