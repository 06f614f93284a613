"""The first pass over a clip: landmarks, small windows, and every frame's own coarse face (host side)."""

import contextlib
import itertools
from typing import NamedTuple

import jax
import numpy as np

from jaxface import checks, frame
from jaxface.io.arrays import as_rgb, crop_window
from jaxface.tracking.detections import ClipDetections, Detection, middle_px
from jaxface.tracking.frame_steps import LOOK_SIZE, Shared, Sight
from jaxface.tracking.named_arrays import at, pack, stack, unpack
from jaxface.tracking.run import Run
from jaxface.tracking.threads import prefetch
from jaxface.types import NUM_LANDMARKS, Camera, CoarseFit, Crop, FaceError, Landmarks

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


def look(run: Run, shared: Shared) -> Looked:
    """Looks at all frames that were not looked at before. Raises FaceError where no frame has a face."""
    done = next(k for k in itertools.count() if not run.journal.has(chunk_name("look", index=k)))
    if not run.journal.has(_END):
        _look_on(run, shared, done)
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


def _look_on(run: Run, shared: Shared, done: int) -> None:
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
                arrays = _look_at(run, shared, chunk)
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
            return middle_px(at(unpack(arrays, "sight", kind=Sight).landmarks, index=int(row)))
    return None


def _look_at(run: Run, shared: Shared, chunk: list[Detection]) -> dict[str, np.ndarray]:
    """Everything about a chunk of frames that later steps ask for."""
    landmarks = stack([_ABSENT if each.landmarks is None else each.landmarks for each in chunk])
    sizes = np.array([(1, 1) if each.image is None else each.image.shape[1::-1] for each in chunk], np.float32)
    cameras = stack([_camera(run, size) for size in sizes])
    fits, crops, sides = run.fetch("locate", landmarks, cameras, shared=shared)
    reasons = [_reason(each, at(fits, index=row), float(sides[row])) for row, each in enumerate(chunk)]
    windows = [_window(each, at(crops, index=row), good=not reasons[row]) for row, each in enumerate(chunk)]
    sight = Sight(landmarks, cameras, sizes, crops, np.stack(windows))
    state, opinion = run.fetch("look", sight, fits, shared=shared)
    reasons = [reason or ("" if state.finite[row] else _NOT_FINITE) for row, reason in enumerate(reasons)]
    good = np.array([not reason for reason in reasons])
    return pack(sight=sight, state=state) | {
        "information": opinion.information[good].sum(axis=0),
        "vector": opinion.vector[good].sum(axis=0),
        "num_good": np.array(good.sum()),
        "found": np.array([each.landmarks is not None for each in chunk]),
        "reason": np.array(reasons),
        "name": np.array([each.name for each in chunk]),
        "time_s": np.array([each.time_s for each in chunk]),
    }


_ABSENT = Landmarks(
    np.zeros((NUM_LANDMARKS, 2), np.float32), np.zeros(NUM_LANDMARKS, np.float32), np.zeros(NUM_LANDMARKS, np.float32)
)


def _camera(run: Run, size: np.ndarray) -> Camera:
    camera = frame.make_camera(height=int(size[1]), width=int(size[0]), focal_px=run.settings.focal_px)
    return jax.tree.map(np.asarray, camera)


def _reason(detection: Detection, fit: CoarseFit, side_px: float) -> str:
    return detection.reason or checks.check_coarse(fit, face_px=side_px)[1]


def _window(detection: Detection, crop: Crop, *, good: bool) -> np.ndarray:
    if not good:
        return np.zeros((LOOK_SIZE, LOOK_SIZE, 3), np.uint8)
    return cut_window(detection.image, crop, size=LOOK_SIZE)


def cut_window(image: np.ndarray, crop: Crop, *, size: int) -> np.ndarray:
    """The crop of an 8-bit picture as one of `size` pixels a side."""
    return np.round(255.0 * crop_window(as_rgb(image), crop, size=size)).astype(np.uint8)
