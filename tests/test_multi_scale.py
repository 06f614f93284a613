"""The runner multi_scale.py from its command line, in smoke mode, and its parts."""

import json
import os
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

from jaxface.io.images import read_image

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
RUNNER = EXPERIMENTS / "multi_scale.py"
FILES = ["multi_scale.json", "multi_scale.md", "multi_scale.png"]
STAGES = ["medium", "fine, phase 1", "fine, phase 2"]


def run(*arguments):
    command = [sys.executable, str(RUNNER), *map(str, arguments)]
    around = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=around)


@pytest.mark.slow
def test_smoke(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES
    text = (tmp_path / FILES[1]).read_text()
    assert text in ended.stdout and "Command: `python experiments/multi_scale.py --smoke " in text
    stored = json.loads((tmp_path / FILES[0]).read_text())
    assert stored["failures"] == {} and [case["preset"] for case in stored["cases"]] == ["paper", "default"]
    rows = {(row["preset"], row["stage"]): row for row in stored["summary"]}
    assert list(rows) == [(preset, stage) for preset in ("paper", "default") for stage in STAGES]
    for row in rows.values():
        assert 2.0 < row["normal_degrees"] < 25.0 and 0.2 < row["rmse_mm"] < 5.0
        assert all(-1.0 <= row[f"height_hp{sigma}"] <= 1.0 for sigma in (2, 4))
    ours = [rows["default", stage]["normal_degrees"] for stage in STAGES]
    assert ours[0] > ours[1] and ours[0] > ours[2]
    assert rows["default", STAGES[2]]["relief_hp4"] > 0.0
    picture = read_image(tmp_path / FILES[2])
    assert picture.shape[0] > picture.shape[1] > 300 and np.std(picture) > 0.1


def test_a_photo_without_a_face_ends_in_one_sentence(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    from PIL import Image

    Image.new("RGB", (96, 96), (90, 120, 200)).save(tmp_path / "sky.png")
    ended = run(tmp_path / "sky.png", "--smoke", f"--output_dir={tmp_path / 'out'}")
    assert ended.returncode != 0
    assert "sky: " in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def scales(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from figure_study import scales

    return scales


def test_summary_compares_each_stage_with_the_one_before(scales):
    def record(*degrees):
        return {"preset": "default", "stages": {t: {"normal_degrees": d} for t, d in zip(STAGES, degrees, strict=True)}}

    rows = scales.summarise([record(8.0, 7.0, 7.5), record(6.0, 5.0, 4.5)])
    assert [row["stage"] for row in rows] == STAGES
    assert [row["normal_degrees"] for row in rows] == [7.0, 6.0, 6.0]
    assert "lower_share" not in rows[0] and [row["lower_share"] for row in rows[1:]] == [1.0, 0.5]
    lines = scales.table(rows)
    assert len(lines) == 5 and "100 %" in lines[3] and "50 %" in lines[4]


def test_close_ups_go_where_the_normals_turned(scales):
    size = 100
    y, x = np.mgrid[:size, :size]
    medium = np.zeros((size, size), np.float32)
    normals = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (size, size, 1))
    normals[(abs(y - 30) < 8) & (abs(x - 62) < 8)] = (0.6, 0.0, 0.8)
    hidden = (abs(y - 70) < 20) & (abs(x - 30) < 20)
    normals[hidden] = (0.0, 0.6, 0.8)
    maps = types.SimpleNamespace(medium_height_px=medium, normals_image=normals, confidence=1.0 - hidden)
    window = scales.busiest(types.SimpleNamespace(maps=maps))
    assert window.side == 30
    assert window.left <= 54 and window.left + 30 >= 70 and window.top <= 22 and window.top + 30 >= 38
    assert 0 <= window.left <= size - 30 and 0 <= window.top <= size - 30
