"""The tracker's steps on the device alone: synthetic photos whose landmarks are known, no decoding, no detector."""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import presets, program
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.energies.temporal import unseen_detail
from jaxface.mapping import FrameMap, at, stack
from jaxface.models import store
from jaxface.models.tools import Tools
from jaxface.network_view import share
from jaxface.rendering.camera import make_camera
from jaxface.state import State, View
from jaxface.templates import prepare
from jaxface.tracking import person_fit, second_pass
from jaxface.tracking.first_pass import cut_window
from jaxface.tracking.frame_steps import LOOK_SIZE, TrackedPerson, aim, lift, opine, put, rejoin, settle
from jaxface.tracking.person import no_detail
from video_bench.clips import YAW_DEGREES, photograph, to_bytes

SMALL = ("coarse", "coarse shading", "opine", "rejoin", "settle", "medium")  # on small windows
STEPS = (*SMALL, "aim", "light and albedo", "fine phase 1", "fine phase 2", "detail", "steady", "lift")
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
    return dict.fromkeys(STEPS, 1.0) | {"rejoin": float(person_fit.ROUNDS), "medium": medium / num_frames}


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
        seen = _see(chunk, devices, small)
    except jax.errors.JaxRuntimeError as error:
        return [dict(devices=len(devices), chunk=chunk, note=_out_of_memory(error))]
    for size in sizes:
        full, place = Clock(repeats), dict(devices=len(devices), chunk=chunk, size=size)
        try:
            _finish(*seen, size, devices, full)
            rows.append(to_row([small, full], num_frames=num_frames, **place))
        except jax.errors.JaxRuntimeError as error:
            rows.append(place | dict(note=_out_of_memory(error)))
    return rows


def _out_of_memory(error: Exception) -> str:
    if "RESOURCE_EXHAUSTED" not in str(error):
        raise error
    return "not run: does not fit into the device's memory"


def _see(
    chunk: int, devices: list[jax.Device], clock: Clock
) -> tuple[list[np.ndarray], View, FaceUnknowns, TrackedPerson]:
    """Everything before the surface: photos, what is seen of them, faces, and the person."""
    shared = share(prepare(store.resolve("default")), presets.default(size=LOOK_SIZE))
    photos = [photograph(turn * np.radians(YAW_DEGREES), size=_PHOTO_SIZE) for turn in _VIEWS]
    photos = [photos[number % len(photos)] for number in range(chunk)]
    camera, side = make_camera(height=_PHOTO_SIZE, width=_PHOTO_SIZE), np.full(2, _PHOTO_SIZE, np.float32)
    images = [to_bytes(photo.image) for photo in photos]
    view = stack([View(photo.landmarks, camera, side, np.float32(1.0)) for photo in photos])
    timed = functools.partial(_timed, clock, devices)

    state, _ = timed("coarse", functools.partial(program.step, stage=program.COARSE), State(), view, shared=shared)
    crops = FrameMap(functools.partial(program.cut_out, size=LOOK_SIZE), devices=devices)(state, view, shared=shared)
    view = _fetch(view._replace(crop=crops, window=_windows(images, _fetch(crops), LOOK_SIZE)))
    shading = functools.partial(program.step, stage=program.COARSE_SHADING)
    state, _ = timed("coarse shading", shading, state, view, shared=shared)
    timed("opine", opine, state.fit, view, shared=shared)
    fit = state.fit
    person = TrackedPerson(shared, jnp.mean(fit.identity, axis=0), jnp.zeros_like(shared.templates.model.mean_mm))
    face, _ = timed("rejoin", rejoin, FaceUnknowns(fit.pose, fit.identity, fit.expression), view, shared=person)
    settled, _ = timed("settle", settle, face, view, shared=person)
    fit = settled.fit
    state = State(fit, fit.vertices_mm)
    timed("medium", functools.partial(program.step, stage=program.MEDIUM), state, view, shared=shared)
    return images, view, FaceUnknowns(fit.pose, fit.identity, fit.expression), person


def _finish(
    images: list[np.ndarray],
    view: View,
    face: FaceUnknowns,
    person: TrackedPerson,
    size: int,
    devices: list,
    clock: Clock,
) -> None:
    """Surface, steadied detail and pictures."""
    timed = functools.partial(_timed, clock, devices)
    crops = _fetch(timed("aim", functools.partial(aim, size=size), face, view.camera, shared=person))
    view = view._replace(crop=crops, window=_windows(images, crops, size))
    state, _ = FrameMap(functools.partial(put, size=size), devices=devices)(face, view.camera, shared=person)
    shared = share(person.shared.templates, presets.default(size=size))
    for stage in program.surface_stages(shared):
        state, _ = timed(stage.name, functools.partial(program.step, stage=stage), state, view, shared=shared)
    sums = no_detail(shared.templates.detail)
    before = (jnp.asarray(view.counts), unseen_detail(num_vertices=sums.weight.shape[0]), sums)
    steady_mm, *_ = clock.time("steady", second_pass._steady, state.mesh, *before, strength=second_pass.DETAIL_STRENGTH)
    timed("lift", lift, state, view, steady_mm, shared=shared)


def _timed(clock: Clock, devices: list[jax.Device], name: str, function: Callable, *frames: Any, shared: Any) -> Any:
    """The tracker's own function on these devices only."""
    return clock.time(name, FrameMap(function, devices=devices), *frames, shared=shared)


def _windows(images: list[np.ndarray], crops: Any, size: int) -> np.ndarray:
    tools = Tools(store.resolve("default"), None, None)
    return np.stack([cut_window(image, at(crops, index=row), tools, size=size)[0] for row, image in enumerate(images)])


def _fetch(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
