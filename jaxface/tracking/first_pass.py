"""The first pass over a clip: landmarks, small windows, and every frame's own coarse face (host side)."""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxface import program
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.execution import run_timed
from jaxface.io.arrays import as_rgb, crop_window, host_array
from jaxface.mapping import at, frame_map, stack
from jaxface.models.tools import Tools
from jaxface.network_outputs import parse_each, regress_each
from jaxface.rendering.camera import make_camera
from jaxface.state import State, View
from jaxface.tracking.detections import ClipDetections, Detection, middle_px
from jaxface.tracking.frame_steps import LOOK_SIZE, opine
from jaxface.tracking.named_arrays import pack, unpack
from jaxface.tracking.run import Run
from jaxface.tracking.threads import prefetch
from jaxface.types import NUM_LANDMARKS, Crop, FaceError, Landmarks, Parsing
from jaxface.verdicts import reason

_END = "look/end"
_NOT_FINITE = "the fit did not stay finite"


class Looked(NamedTuple):
    """How many frames the clip has, in how many chunks, and what was wrong with the file."""

    num_frames: int
    num_chunks: int
    complaint: str


def chunk_name(step: str, *, index: int) -> str:
    """The journal's name of a chunk."""
    return f"{step}/{index:06d}"


def look(run: Run) -> Looked:
    """Looks at all frames that were not looked at before. Raises FaceError where no frame has a face."""
    done = next(k for k in itertools.count() if not run.journal.has(chunk_name("look", index=k)))
    if not run.journal.has(_END):
        _look_on(run, done)
    end = run.journal.load(_END)
    looked = Looked(int(end["num_frames"]), int(end["num_chunks"]), str(end["complaint"]))
    if looked.num_frames == 0:
        raise FaceError(f"{run.clip.name} has no frames to track: {looked.complaint or 'choose others with --start'}")
    if int(end["num_good"]) == 0:
        reason = str(run.journal.load(chunk_name("look", index=0))["reason"][0])
        raise FaceError(
            f"None of the {looked.num_frames} frames of {run.clip.name} shows a face to track (the first: {reason})."
        )
    return looked


def _look_on(run: Run, done: int) -> None:
    earlier = [run.journal.load(chunk_name("look", index=k)) for k in range(done)]
    first, good = sum(len(each["reason"]) for each in earlier), sum(int(each["num_good"]) for each in earlier)
    detections = ClipDetections(
        run.clip, first=first, before_px=_last_middle(earlier), ordered=run.settings.ordered,
        detector=run.detector, timeline=run.timeline,
    )  # fmt: skip
    index = done
    if first == done * run.chunk and first < run.clip.num_frames:  # a shorter chunk is the last one
        with contextlib.closing(prefetch(detections, depth=2 * run.chunk)) as stream:
            for chunk in _batches(stream, run.chunk):
                arrays = _look_at(run, chunk)
                run.commit(chunk_name("look", index=index), arrays)
                first, good, index = first + len(chunk), good + int(arrays["num_good"]), index + 1
                run.progress("look", first, run.clip.num_frames)
    run.writer.flush()
    end = dict(num_frames=first, num_chunks=index, num_good=good, complaint=np.array(detections.complaint))
    run.journal.commit(_END, {name: np.asarray(value) for name, value in end.items()})


def _batches(stream, length: int):
    while batch := list(itertools.islice(stream, length)):
        yield batch


def _last_middle(earlier: list[dict[str, np.ndarray]]) -> np.ndarray | None:
    """Where the face was last seen."""
    for arrays in reversed(earlier):
        for row in reversed(np.flatnonzero(arrays["found"])):
            return middle_px(at(unpack(arrays, "view", kind=View).landmarks, index=int(row)))
    return None


def _look_at(run: Run, chunk: list[Detection]) -> dict[str, np.ndarray]:
    """Everything about a chunk of frames that later steps ask for."""
    views = _first_views(run, chunk)
    state = State()
    if run.tools.shape_is_regressed:
        state, _ = run.stage(program.REGRESSION, state, views, shared=run.look)
    state, verdicts = run.stage(program.COARSE, state, views, shared=run.look)
    fitted = [each.reason or reason("coarse", at(verdicts, index=row)) for row, each in enumerate(chunk)]
    views = _cut(run, chunk, views, state, good=[not each for each in fitted])
    if run.look.preset.coarse_shading:
        state, _ = run.stage(program.COARSE_SHADING, state, views, shared=run.look)
    opinion = run.call(frame_map(opine), state.fit, views, shared=run.look)
    face = FaceUnknowns(state.fit.pose, state.fit.identity, state.fit.expression)
    known = views, face, state.fit.finite, opinion.information, opinion.vector
    view, face, finite, information, vector = jax.tree.map(lambda leaf: np.asarray(leaf)[: len(chunk)], known)
    reasons = [why or ("" if finite[row] else _NOT_FINITE) for row, why in enumerate(fitted)]
    good = np.array([not each for each in reasons])
    return pack(view=view, face=face) | {
        "information": information[good].sum(axis=0),
        "vector": vector[good].sum(axis=0),
        "num_good": np.array(good.sum()),
        "found": np.array([each.landmarks is not None for each in chunk]),
        "reason": np.array(reasons),
        "name": np.array([each.name for each in chunk]),
        "time_s": np.array([each.time_s for each in chunk]),
    }


def _first_views(run: Run, chunk: list[Detection]) -> View:
    """What is seen before a face is fitted, for a full chunk."""
    sizes = [(1, 1) if each.image is None else each.image.shape[1::-1] for each in chunk]
    views = [
        View(
            landmarks=ABSENT if each.landmarks is None else each.landmarks,
            camera=make_camera(height=height, width=width, focal_px=run.settings.focal_px),
            image_size_px=host_array([width, height], dtype=np.float32),
            counts=host_array(each.landmarks is not None, dtype=np.float32),
        )
        for each, (width, height) in zip(chunk, sizes, strict=True)
    ]
    views = stack(views)
    if run.tools.regressor is not None:
        images = [_NOTHING if each.image is None else as_rgb(each.image) for each in chunk]
        landmarks = [at(views.landmarks, index=row) for row in range(len(chunk))]
        found, _ = regress_each(images, landmarks, run.tools, run=run_compiled)
        views = views._replace(regression=found)
    return run.padded(views)


def _cut(run: Run, chunk: list[Detection], views: View, state: State, *, good: list[bool]) -> View:
    """The views with their crops, small windows and parsing; what a network said of the pose is left behind."""
    crops = run.call(frame_map(program.cut_out, size=LOOK_SIZE), state, views, shared=run.look)
    crops = jax.tree.map(np.asarray, crops)
    each = [
        cut_window(detection.image if use else None, at(crops, index=row), run.tools, size=LOOK_SIZE)
        for row, (detection, use) in enumerate(zip(chunk, good, strict=True))
    ]
    windows, parsing = stack([window for window, _ in each]), None
    if run.tools.parser is not None:
        parsing = run.padded(stack([found for _, found in each]))
    return views._replace(regression=None, crop=crops, window=run.padded(windows), parsing=parsing)


ABSENT = Landmarks(
    np.zeros((NUM_LANDMARKS, 2), np.float32), np.zeros(NUM_LANDMARKS, np.float32), np.zeros(NUM_LANDMARKS, np.float32)
)
_NOTHING = np.zeros((2, 2, 3), np.float32)


def cut_window(image: np.ndarray | None, crop: Crop, tools: Tools, *, size: int) -> tuple[np.ndarray, Parsing | None]:
    """The crop of an 8-bit picture as one of `size` pixels a side, black without a picture, and what the network, if
    one is used, sees on it; all 8-bit."""
    if image is None:
        black = host_array(np.zeros((size, size, 3), np.uint8))
        return black, None if tools.parser is None else Parsing(black, black[..., 0])
    rgb = as_rgb(image)
    parsing, _ = parse_each([rgb], [crop], tools, size=size, run=run_compiled)
    if parsing is not None:
        parsing = Parsing(*(host_array(to_bytes(host_array(maps[0]))) for maps in parsing))
    return to_bytes(crop_window(rgb, crop, size=size)), parsing


def to_bytes(values: np.ndarray) -> np.ndarray:
    """8-bit values of floats in [0, 1]."""
    return np.round(255.0 * values).astype(np.uint8)


def run_compiled(function: Callable, *arrays: Any, **static: Any) -> Any:
    """The value of a function that is compiled once a shape."""
    return run_timed(function, *arrays, **static).value
