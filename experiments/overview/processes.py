"""Runners as processes, some at a time."""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from overview.runners import Runner

LIMIT_SECONDS = 900.0  # for one runner


def run_all(
    runners: list[Runner], *, scripts: pathlib.Path, out: pathlib.Path, at_once: int, tell: Callable[[str], None]
) -> list[str]:
    """Runs all of them in smoke mode, whatever becomes of each, and returns the names of those that failed.

    Results go to `out`, what a runner prints to `out`/NAME.log; they work in a folder that is gone afterwards, so that
    none goes on from what an older one left. `tell` gets a line as each one ends.
    """
    out.mkdir(parents=True, exist_ok=True)
    failed, done = [], {}
    slots = threading.Semaphore(at_once)  # one that waits for another's files takes none
    with (
        tempfile.TemporaryDirectory(prefix="jaxface_smoke_") as work,
        concurrent.futures.ThreadPoolExecutor(len(runners)) as pool,
    ):
        for runner in runners:
            folders = {"scripts": scripts, "out": out, "work": pathlib.Path(work)}
            done[runner.name] = pool.submit(_run_in_turn, runner, done.get(runner.after), slots, folders)
        names = {future: name for name, future in done.items()}
        for count, future in enumerate(concurrent.futures.as_completed(names), start=1):
            reason, seconds = future.result()
            tell(f"[{count}/{len(runners)}] {names[future]}: {reason or 'ok'}, {seconds:.0f} s")
            failed += [names[future]] if reason else []
    return [runner.name for runner in runners if runner.name in failed]


def _run_in_turn(
    runner: Runner,
    before: concurrent.futures.Future | None,
    slots: threading.Semaphore,
    folders: dict[str, pathlib.Path],
) -> tuple[str, float]:
    """Why it failed, or nothing, and its seconds."""
    if before is not None and before.result()[0]:
        return f"needs the files of {runner.after}, which failed", 0.0
    with slots:
        start = time.perf_counter()
        return _run(runner, **folders), time.perf_counter() - start


def _run(runner: Runner, *, scripts: pathlib.Path, out: pathlib.Path, work: pathlib.Path) -> str:
    flags = [] if runner.notebook else [f"--output_dir={out}", *(flag.format(work=work) for flag in runner.smoke)]
    command = [sys.executable, str(scripts / runner.script), *flags]
    surroundings = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(out / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAXFACE_SMOKE": "1",
        "MPLBACKEND": "agg",
    }
    with open(out / f"{runner.name}.log", "wb") as log:
        try:
            ended = subprocess.run(
                command, stdout=log, stderr=subprocess.STDOUT, env=surroundings, cwd=work, timeout=LIMIT_SECONDS
            )
        except subprocess.TimeoutExpired:
            return f"stopped after {LIMIT_SECONDS:.0f} s"
    return f"failed with exit code {ended.returncode}" if ended.returncode else ""
