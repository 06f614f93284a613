"""What runs in a process of its own, where peak memory, compilations and the device's memory are nobody else's.

python child.py PART ARGUMENTS_AS_JSON ANSWER_FILE
"""

import contextlib
import json
import pathlib
import resource
import sys
import time
from collections.abc import Iterator

import jax

from jaxface.io.video import open_clip
from jaxface.mapping import chunk_length
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.threads import Timeline
from jaxface.tracking.track import track
from jaxface.types import FaceError
from video_bench import clips, throughput

LANES = ("decode", "detect", "device", "write")
_COMPILED = "/jax/core/compile/backend_compile_duration"  # JAX's event, one for each program; hits in the cache too


def follow(source: str, folder: str, *, size: int, chunk: int | None = None, picture: str | None = None) -> dict:
    """Tracks a clip, `chunk` frames at a time, None: as many as suit the device; how it went, and who was busy."""
    chunk = chunk_length(size=size, num_frames=open_clip(source).num_frames, override=chunk)
    timeline, start = Timeline(), time.perf_counter()
    settings = TrackSettings(model="default", size=size, chunk=chunk)
    found = track(source, folder, settings=settings, timeline=timeline)
    seconds = time.perf_counter() - start
    if picture:
        timeline.draw(picture)
    shares = {lane: timeline.busy_share(lane) for lane in LANES}
    counts = {"frames": len(found.status), "chunk": chunk, "ok": found.status.count("ok")}
    return counts | {"track_seconds": seconds, "busy": shares}


def retrace(source: str, folder: str, *, size: int, num_frames: int, chunk: int | None = None) -> dict:
    """How many programs are compiled for a clip, and for the next one of the same length in the same process."""
    counts = []
    for number in range(2):
        start = number * num_frames
        place = dict(start=start, stop=start + num_frames)
        settings = TrackSettings(model="default", size=size, chunk=chunk, **place)
        with compiled_programs() as programs:
            track(source, f"{folder}/{number}", settings=settings)
        counts.append(len(programs))
    return {"frames": num_frames, "first": counts[0], "second": counts[1], "names": programs}


@contextlib.contextmanager
def compiled_programs() -> Iterator[list[str]]:
    """Names of everything that XLA compiles meanwhile, small programs between the steps included."""
    names, active = [], True

    def listen(event: str, duration_secs: float, **details) -> None:
        if active and event == _COMPILED:
            names.append(str(details.get("fun_name", "a program")))

    jax.monitoring.register_event_duration_secs_listener(listen)  # JAX has no public way to take it back
    try:
        yield names
    finally:
        active = False


def circumstances() -> dict:
    """Device and peak memory of this process; MiB."""
    device = jax.local_devices()[0]
    at_most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return {
        "device": device.device_kind,
        "backend": device.platform,
        "peak_mib": at_most / 2**20 if sys.platform == "darwin" else at_most / 2**10,  # bytes or KiB
        "device_peak_mib": None if peak is None else peak / 2**20,
    }


PARTS = {"render": clips.render, "throughput": throughput.measure, "follow": follow, "retrace": retrace}


def main(part: str, arguments: str, answer: str) -> None:
    """Does a part and leaves its answer; a user's mistake ends the process with a sentence."""
    try:
        result = PARTS[part](**json.loads(arguments))
    except FaceError as error:
        sys.exit(f"benchmark_video: {error}")
    pathlib.Path(answer).write_text(json.dumps(result | circumstances()))


if __name__ == "__main__":
    main(*sys.argv[1:])
