"""Runs a command that can be resumed, and kills it over and over."""

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping

LONGEST_RUN_S = 600.0


def run(command: list[str], *, env: Mapping[str, str] | None = None) -> float:
    """Runs the command to its end, which must be a good one; returns the seconds it took."""
    start = time.perf_counter()
    assert not _killed_after(LONGEST_RUN_S, command, env), f"{command} takes too long"
    return time.perf_counter() - start


def kill_at_random_moments(
    command: list[str],
    *,
    moments: int,
    seed: int,
    duration_s: float,
    finished: Callable[[], bool],
    start_anew: Callable[[], None],
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs the command again and again, `moments` times ended by kill -9 (children too), until it ends by itself.

    `duration_s` is what a whole run takes, as `run` measured it; one moment is drawn from each of `moments` equal
    parts of it, counted from the start of the process, in random order. A run that resumes may end before its moment:
    then `finished` must say that all is there and right, `start_anew` clears it away, and the moment, an earlier one
    now, still comes. At the end `finished` must hold too.
    """
    chance = random.Random(seed)
    delays = [duration_s * (part + chance.random()) / moments for part in range(moments)]
    chance.shuffle(delays)
    for delay in delays:
        while not _killed_after(delay, command, env):
            assert finished(), f"{command} ended, but its work is not done"
            start_anew()
            delay *= 0.8  # faster than thought
    run(command, env=env)
    assert finished(), f"{command} ended, but its work is not done"


def _killed_after(delay_s: float, command: list[str], env: Mapping[str, str] | None) -> bool:
    """Whether the command had to be killed; False if it ended well before."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        assert process.returncode in (0, -signal.SIGKILL), output.read()
    return process.returncode != 0
