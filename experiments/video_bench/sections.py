"""The measurements, each in a process of its own: on some devices two processes cannot share the memory, so that this
one never touches a device (host side)."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from video_bench.clips import lengthen

_EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1]
_RECOMPILE_FRAMES = 9  # a full chunk on a CPU, and a padded one


class Failed(Exception):
    """A process did not do its part; what it said is on stderr."""


class Plan(NamedTuple):
    """The clip: frames, side in pixels, how many times longer the long one is (0: none), single runs, and frames at a
    time (None: as many as suit the device)."""

    frames: int
    size: int
    long_factor: int
    singles: int
    chunk: int | None = None


SMOKE = Plan(6, 128, 2, 1, chunk=2)


def call(part: str, *, environment: dict[str, str] | None = None, **arguments) -> dict:
    """Has a child do `part`; its answer, with the process's `seconds` from start to end. Raises Failed."""
    with tempfile.TemporaryDirectory() as folder:
        answer = pathlib.Path(folder) / "answer.json"
        command = [sys.executable, "-m", "video_bench.child", part, json.dumps(arguments), str(answer)]
        places = os.pathsep.join(filter(None, [str(_EXPERIMENTS), os.environ.get("PYTHONPATH")]))
        seconds = run(command, (environment or {}) | {"PYTHONPATH": places})
        return json.loads(answer.read_text()) | {"seconds": seconds}


def run(command: list[str], environment: dict[str, str] | None = None) -> float:
    """Seconds from a process's start to its end. Raises Failed."""
    start = time.perf_counter()
    ended = subprocess.run(command, env=os.environ | (environment or {}), stdout=subprocess.DEVNULL)
    if ended.returncode != 0:
        raise Failed("a part of the benchmark failed; its message is above.")
    return time.perf_counter() - start


def throughput(*, sizes: list[int], chunks: list[int], repeats: int, num_frames: int) -> dict:
    """The device's steps on all devices of this host, then on one of them, as a clip of `num_frames` has need of."""
    arguments = dict(sizes=sizes, chunks=chunks, repeats=repeats, num_frames=num_frames)
    found = call("throughput", num_devices=None, **arguments)
    if found["local_devices"] > 1:
        found["rows"] += call("throughput", num_devices=1, **arguments)["rows"]
    return found


def why_no_clip() -> str:
    """Why clips cannot be tracked here, if they cannot."""
    missing = importlib.util.find_spec("mediapipe") is None
    return "MediaPipe is not installed (pip install 'jaxface[landmarks]')" if missing else ""


def whole_clip(plan: Plan, picture: pathlib.Path) -> dict:
    """A clip from photos to files: nothing compiled, then everything; a long one; single photos; a second clip."""
    with tempfile.TemporaryDirectory() as folder:
        root, clip = pathlib.Path(folder), pathlib.Path(folder) / "clip"
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{root}/cache", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        call("render", folder=str(clip), num_frames=plan.frames, size=plan.size)

        def on(part: str, source: pathlib.Path, name: str, **more) -> dict:
            place = dict(source=str(source), folder=str(root / name), size=plan.size, chunk=plan.chunk)
            return call(part, environment=cache, **place | more)

        found = {"cold": on("follow", clip, "cold"), "warm": on("follow", clip, "warm", picture=str(picture))}
        found["single_seconds"] = _single_seconds(clip / f"{plan.frames // 2:06d}.png", plan, root / "single", cache)
        number = max(1, min(_RECOMPILE_FRAMES, plan.frames // 2))
        found["retrace"] = on("retrace", clip, "again", num_frames=number)
        if plan.long_factor:
            lengthen(clip, root / "long_clip", factor=plan.long_factor)
            found["long"] = on("follow", root / "long_clip", "long", chunk=found["warm"]["chunk"])
        return found


def _single_seconds(photo: pathlib.Path, plan: Plan, folder: pathlib.Path, cache: dict[str, str]) -> list[float]:
    """`jaxface reconstruct` on one frame, a process a run, after one that fills the compilation cache."""
    settings = [f"--size={plan.size}", "--model=default", f"--output_dir={folder}", "--quiet"]
    command = [sys.executable, "-m", "jaxface", "reconstruct", str(photo), *settings]
    return [run(command, cache) for _ in range(plan.singles + 1)][1:]
