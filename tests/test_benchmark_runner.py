"""The benchmark from its command line, at a size that takes seconds."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"


@pytest.mark.slow
def test_small_run_from_the_command_line(tmp_path):
    settings = ["--sizes=128", "--batches=2,100000", "--repeats=1", "--nophoto"]
    command = [sys.executable, str(EXPERIMENTS / "benchmark.py"), *settings, f"--output_dir={tmp_path}"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=900, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["benchmark_cpu.json", "benchmark_cpu.md"]
    text = (tmp_path / "benchmark_cpu.md").read_text()
    assert text in ended.stdout and str(tmp_path) not in text and "name --torch_python" in text
    rows = json.loads((tmp_path / "benchmark_cpu.json").read_text())["stages"]
    timed = [row for row in rows if "seconds" in row]
    stages = {"coarse", "coarse shading", "medium", "observe", "fine", "detail", "bake", "export"}
    assert stages <= {row["stage"] for row in timed}
    assert all(row["seconds"] > 0.0 for row in timed)
    assert [row["seconds"] / row["frame_seconds"] for row in timed if "vmap" in row["stage"]] == pytest.approx(4 * [2])
    assert [row["batch"] for row in rows if "too large" in row.get("note", "")] == 4 * [100000]


@pytest.mark.slow
def test_compared_schedule_improves_a_scene():
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        import torch_comparison
    finally:
        sys.path.remove(str(EXPERIMENTS))
    scene = torch_comparison.make_scene(size=96)
    albedo, specular, depth = torch_comparison.solve(**scene, steps=(20, 10, 10))
    inside, outside = scene["mask"] > 0, scene["mask"] == 0
    change = np.abs(np.asarray(depth) - scene["depth0"])
    assert 0.05 < change[inside].max() < 5.0 and change[outside].max() == 0.0
    assert np.all(np.isfinite(albedo)) and np.abs(np.asarray(specular)[outside]).max() == 0.0
