"""Runs of the data set's runner, in folders of their own, whose workers can be killed; the tracker is replaced by a job
that writes a few small files, chunk by chunk, and goes on where it stopped."""

import collections
import contextlib
import csv
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
CHUNKS = 6

# The runner with another job. Its folder leaves the path, so that workers find nothing there, as on other machines.
DRIVER = f"""
import json, os, pathlib, sys, time
sys.path.insert(0, {str(EXPERIMENTS)!r})
import reconstruct_dataset
from absl import app
from dataset import work

def write(path, text):
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)

def job(source, folder, progress, *, settings, overwrite):
    from jaxface.types import FaceError
    source, folder = pathlib.Path(source), pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    def log(event):
        with open(folder / "log", "a") as stream:
            stream.write(f"{{os.getpid()}} {{event}}\\n")
    log("start")
    kind, pause = source.read_text().split()
    if kind == "faceless":
        raise FaceError("there is no face in it; film one.")
    if kind == "broken":
        raise OSError("the disk\\nis full")
    if kind == "deadly":
        os.kill(os.getpid(), 9)
    chunks = [folder / f"{{k}}.chunk" for k in range({CHUNKS})]
    for chunk in chunks:
        if not chunk.exists():
            time.sleep(float(pause))
            write(chunk, f"{{kind}} {{chunk.stem}}")
            log(chunk.stem)
    write(folder / "result.json", json.dumps([chunk.read_text() for chunk in chunks]))
    return dict(ok=len(chunks) - 1, bridged=1, lost=0), ""

work.track_clip = job
sys.path.remove({str(EXPERIMENTS)!r})
app.run(reconstruct_dataset.main)
"""


def add(name: str, kind: str = "good", *, pause: float = 0.0) -> pathlib.Path:
    """A clip: what its job does, and for how many seconds it waits before each chunk."""
    path = pathlib.Path("clips") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{kind} {pause}")
    return path


def start(*options: str) -> subprocess.Popen:
    """The runner on all clips, results in `out`; the working folder holds DRIVER as driver.py."""
    command = [sys.executable, "driver.py", "--input_glob=clips/**/*.mp4", "--output_dir=out", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen, *, timeout: float = 180.0) -> tuple[int, str, list[str]]:
    """Exit code, what it printed, and its complaints line by line."""
    try:
        printed, complaints = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, printed, complaints.splitlines()


def table() -> dict[str, dict[str, str]]:
    """Lines of the summary by result folder."""
    with open("out/summary.csv", newline="") as stream:
        return {row["folder"]: row for row in csv.DictReader(stream)}


def log_of(name: str) -> list[list[str]]:
    """(process id, "start" or a chunk's number) for all that the jobs on one clip did."""
    path = pathlib.Path("out") / name / "log"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(condition: Callable[[], object], *, timeout: float = 90.0):
    """The first true value of `condition()`."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


def kill_workers(plan: dict[str, list[int]]) -> dict[str, list[int]]:
    """Kills the first worker on each clip once the first chunk named is there, the second at the second, and so on.

    Returns the ids of the killed.
    """
    killed = {name: [] for name in plan}

    def kill_due() -> bool:
        for name, chunks in plan.items():
            log, past = log_of(name), len(killed[name])
            tries = sum(event == "start" for _, event in log)
            if past < len(chunks) and tries == past + 1 and any(event == str(chunks[past]) for _, event in log):
                killed[name].append(int(log[-1][0]))
                os.kill(killed[name][-1], signal.SIGKILL)
        return all(len(killed[name]) == len(chunks) for name, chunks in plan.items())

    wait_for(kill_due)
    return killed


def assert_complete(name: str, kind: str = "good") -> None:
    """The result is that of a job which nobody disturbed, and no chunk was written twice."""
    folder = pathlib.Path("out") / name
    assert json.loads((folder / "result.json").read_text()) == [f"{kind} {k}" for k in range(CHUNKS)]
    assert sorted(file.name for file in folder.glob("*.chunk")) == [f"{k}.chunk" for k in range(CHUNKS)]
    written = collections.Counter(event for _, event in log_of(name) if event != "start")
    assert set(written.values()) <= {1}


def ray_processes() -> list[str]:
    """Command lines of processes that belong to this test's Ray."""
    place, found = os.environ["RAY_TMPDIR"].encode(), []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            if int(folder.name) != os.getpid() and (place in line or place in (folder / "environ").read_bytes()):
                found.append(line.decode())
    return found


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_cluster(port: int) -> Iterator[subprocess.Popen]:
    """A Ray cluster that was there before, with two CPUs, known by address and token."""
    ray = pathlib.Path(sys.executable).with_name("ray")
    options = [f"--port={port}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    options += ["--object-store-memory=100000000", f"--temp-dir={os.environ['RAY_TMPDIR']}"]
    with open("cluster.log", "w") as log:
        head = subprocess.Popen([ray, "start", "--head", *options], stdout=log, stderr=log)
        try:
            wait_for(lambda: "--block" in pathlib.Path("cluster.log").read_text())
            yield head
        finally:
            head.terminate()
            head.wait(timeout=60)
