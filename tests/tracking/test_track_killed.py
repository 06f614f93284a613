"""The real tracker killed at random moments: run again, it ends with the same bytes."""

import os
import shutil
import subprocess
import sys

import pytest
from tracking import killing
from tracking.clips import everything

pytest.importorskip("mediapipe", reason="the tracker needs landmarks")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Compiled code is kept between processes, or every run would be mostly compilation."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("xla")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PLATFORMS": "cpu",
    }


def kill_often(clip, environment, folder, *, moments):
    """Tracks once without a break, then with `moments` kills, and compares all bytes."""
    command = [sys.executable, "-m", "jaxface", "track", str(clip), "--size=128", "--chunk=2", "--quiet"]
    subprocess.run([*command, f"--output_dir={folder / 'warm'}", "--max_frames=2"], env=environment, check=True)
    duration_s = killing.run([*command, f"--output_dir={folder / 'whole'}"], env=environment)
    whole, broken = folder / "whole" / clip.name, folder / "broken" / clip.name

    def finished():
        return broken.is_dir() and everything(broken) == everything(whole)

    killing.kill_at_random_moments(
        [*command, f"--output_dir={folder / 'broken'}"], moments=moments, seed=0, duration_s=duration_s,
        finished=finished, start_anew=lambda: shutil.rmtree(broken), env=environment,
    )  # fmt: skip


@pytest.mark.slow
def test_ten_kills(clip, environment, tmp_path):
    kill_often(clip, environment, tmp_path, moments=10)
