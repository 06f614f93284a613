"""The work on one clip, wherever it is done: sent to the machines of a cluster by value, they need only jaxface.

A job is called with (source, folder, progress), both absolute paths, and returns how many frames are in each state and
what else to know about the result, "" if nothing.
"""

import os
import time
from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
Job = Callable[[str, str, Progress | None], tuple[dict[str, int], str]]


def track_clip(
    source: str, folder: str, progress: Progress | None, *, settings: dict, overwrite: bool
) -> tuple[dict[str, int], str]:
    """Tracks the face in one clip; `settings` are those of TrackSettings and the landmarker_task. Raises FaceError."""
    from jaxface import commands
    from jaxface.detection.mediapipe_mesh import MediaPipeDetector
    from jaxface.tracking.records import FRAME_STATES, TrackSettings
    from jaxface.tracking.track import track

    commands._keep_compiled_code()
    chosen = dict(settings)
    detector = MediaPipeDetector(task_file=chosen.pop("landmarker_task", None))
    tracked = track(
        source, folder, settings=TrackSettings(**chosen), landmarks=detector, overwrite=overwrite, progress=progress
    )
    return {state: tracked.status.count(state) for state in FRAME_STATES}, " ".join(tracked.notes)


def attempt(job: Job, source: str, folder: str, *, progress: Progress | None = None, on_cpu: bool = False) -> dict:
    """Does the job; a FaceError is an answer too, for trying again would not help. Any other is a RuntimeError.

    `on_cpu` keeps JAX from accelerators that were not asked for, unless JAX_PLATFORMS says otherwise.
    """
    if on_cpu:
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from jaxface.commands import one_line
    from jaxface.types import FaceError

    start = time.perf_counter()
    try:
        (frames, reason), status = job(source, folder, progress), "done"
    except FaceError as error:
        frames, status, reason = {}, "failed", one_line(error).removeprefix(f"{source}: ")
    except Exception as error:  # a defect of ours, or of a library, of whatever class: that may be unknown elsewhere
        raise RuntimeError(f"{type(error).__name__}: {one_line(error)}") from error
    return {"status": status, "frames": frames, "seconds": time.perf_counter() - start, "reason": reason}


def failure(reason: str) -> dict:
    """The answer for a job that gave none."""
    return {"status": "failed", "frames": {}, "seconds": None, "reason": reason}
