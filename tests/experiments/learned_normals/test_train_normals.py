"""The whole way from nothing to weights, at a tiny size."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

RUNNER = pathlib.Path(__file__).resolve().parents[3] / "experiments" / "train_normals.py"


def train(cache, *flags):
    around = os.environ | {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"}
    command = [sys.executable, str(RUNNER), f"--cache={cache}", "--pictures=32", "--windows=1", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=around)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow  # 32 ray-traced pictures and their fits
def test_pictures_steps_and_page(tmp_path):
    cache = tmp_path / "cache"
    page = train(cache, "--steps=2")
    assert "degrees before" in page
    shards = sorted((cache / "pictures").glob("*.npz"))
    assert len(shards) == 4 and not list(cache.rglob("*.partial"))
    with np.load(shards[-1]) as stored:
        assert stored["image"].shape == (16, 320, 320, 3) and 0.05 < (stored["skin"] > 250).mean() < 0.8
    made = [path.stat().st_mtime_ns for path in shards]
    train(cache, "--steps=2", "--blind")  # on the same pictures
    assert made == [path.stat().st_mtime_ns for path in shards]
    for name in ("run", "run_blind"):
        found = json.loads((cache / name / "train_normals.json").read_text())
        assert found["recipe"]["blind"] == (name == "run_blind") and np.isfinite(found["held_out"]["after"])
        assert (cache / name / "train_normals.png").exists()
