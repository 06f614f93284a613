"""Who does the work: this process, one clip after another, or the machines of a Ray cluster, a clip each."""

import contextlib
import logging
import os
import pathlib
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator

from dataset import work
from dataset.clips import Clip
from jaxface.commands import UsageError, one_line

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
# Connecting waits for minutes inside Ray, deaf to signals: another process tries first.
_PROBE = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False, logging_level='ERROR'); ray.shutdown()"
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def work_here(clips: list[Clip], job: work.Job, *, retries: int, progress: work.Progress) -> Iterator[tuple]:
    """(clip, answer) for each in turn; an unexpected error is tried again up to `retries` times."""
    for clip in clips:
        yield clip, _persist(clip, job, retries=retries, progress=progress)


def _persist(clip: Clip, job: work.Job, *, retries: int, progress: work.Progress) -> dict:
    try:
        return work.attempt(job, str(clip.source), str(clip.folder), progress=progress)
    except RuntimeError as error:
        return _persist(clip, job, retries=retries - 1, progress=progress) if retries else work.failure(one_line(error))


def work_on_ray(
    clips: list[Clip], job: work.Job, *, address: str | None, cpus: int, gpus: int, retries: int, log: pathlib.Path
) -> Iterator[tuple]:
    """(clip, answer) as they finish; a dead worker or an unexpected error is tried again up to `retries` times.

    Without an address a cluster is started on this machine and stopped at the end. Meanwhile sys.stdout is the file
    `log`: Ray tells there of every try. Raises UsageError where Ray is missing, does not answer, or could never start
    a task.
    """
    with log.open("a") as stream, contextlib.redirect_stdout(stream), _connected(address, retries=retries) as ray:
        _check_resources(ray, cpus=cpus, gpus=gpus, is_own=address is None)
        ray.cloudpickle.register_pickle_by_value(work)
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=retries, retry_exceptions=True)(work.attempt)
        waiting = {task.remote(job, str(c.source), str(c.folder), on_cpu=gpus == 0): c for c in clips}
        while waiting:
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(ready), _answer(ray, ready)


def _answer(ray, reference) -> dict:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return work.failure(one_line(error.cause))
    except ray.exceptions.RayError as error:
        why = type(error).__name__
        return work.failure(
            f"its worker died once too often ({why}: killed, out of memory or a crash); run again to go on from there."
        )


@contextlib.contextmanager
def _connected(address: str | None, *, retries: int) -> Iterator:
    """Ray, connected, and disconnected whatever happens."""
    environment = _QUIET | {"RAY_task_oom_retries": str(retries)}  # by default there is no limit to these
    for name, value in environment.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise UsageError('--cluster=ray needs Ray: install it with pip install "jaxface[cluster]".') from None
    where = {"address": "local", "include_dashboard": False, "object_store_memory": 100 * 2**20}
    if address is not None:
        _check_answers(address)
        where = {"address": address}
    try:
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
        except Exception as error:  # it has many ways to say no
            raise UsageError(f"Ray does not start: {one_line(error)}") from None
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises UsageError unless a Ray cluster answers there in time."""
    advice = "check --ray_address, and that `ray start` has run there."
    if address != "auto":
        _check_open(address, advice)
    try:
        subprocess.run(
            [sys.executable, "-c", _PROBE, address],
            capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UsageError(f"no Ray answers at {address} within {ANSWER_SECONDS:.0f} s; {advice}") from None
    except subprocess.CalledProcessError as error:
        if "authentication" in error.stderr.lower():
            advice = "it asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as where it was started."
        said = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        raise UsageError(f"no Ray at {address} ({one_line(said).rstrip('.')}); {advice}") from None


def _check_open(address: str, advice: str) -> None:
    """A port that nobody listens at is known at once."""
    try:
        place = urllib.parse.urlsplit(address if "//" in address else f"//{address}")
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise UsageError(f'--ray_address must be like "10.0.0.1:6379", or "auto", not {address!r}.')
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UsageError(f"nothing answers at {address} ({error.strerror or error}); {advice}") from None


def _check_resources(ray, *, cpus: int, gpus: int, is_own: bool) -> None:
    """A task that no machine can hold would wait for ever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus for has in machines):
        return
    sentence = f"no machine has {cpus} CPUs and {gpus} GPUs; lower --cpus_per_task or --gpus_per_task"
    if is_own:
        raise UsageError(f"{sentence}.")
    print(f"jaxface: {sentence}, or add one: the clips wait.", file=sys.stderr)  # a cluster may grow when asked
