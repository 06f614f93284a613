"""The runner medium_vs_coarse.py from its command line, in smoke mode, and its summary."""

import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxface.io.images import read_image

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
RUNNER = EXPERIMENTS / "medium_vs_coarse.py"
FILES = ["medium_vs_coarse.json", "medium_vs_coarse.md", "medium_vs_coarse.png"]


def run(*arguments):
    command = [sys.executable, str(RUNNER), *map(str, arguments)]
    around = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=around)


def test_smoke(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES
    text = (tmp_path / FILES[1]).read_text()
    assert text in ended.stdout and text.startswith("# ")
    assert "Command: `python experiments/medium_vs_coarse.py --smoke " in text
    stored = json.loads((tmp_path / FILES[0]).read_text())
    assert stored["failures"] == {} and len(stored["cases"]) == 8
    rows = {(row["landmarks"], row["preset"]): row for row in stored["summary"]}
    assert set(rows) == {(kind, preset) for kind in ("true", "detected") for preset in ("paper", "default")}
    for kind, preset in rows:
        assert f"| {kind} " in text and f"| {preset} " in text
    for preset in ("paper", "default"):  # with true landmarks the medium stage helps
        errors = rows["true", preset]["normal_degrees"]
        assert 2.0 < errors["medium"] < errors["coarse"] < 15.0
    assert all(0.2 < row["rmse_mm"][stage] < 5.0 for row in rows.values() for stage in ("coarse", "medium"))
    for shown in stored["landmarks_off_mm"]:
        focus = shown["landmarks_off_mm"][shown["focus"]]
        assert 0.0 < focus["medium"] < focus["coarse"] and math.isfinite(focus["coarse"])
    picture = read_image(tmp_path / FILES[2])
    assert picture.shape[1] > picture.shape[0] > 300 and np.std(picture) > 0.1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["nowhere.jpg"], "nowhere.jpg: it does not exist"), (["--model=nobody"], "nobody")],
)
def test_mistakes_end_in_one_sentence(tmp_path, arguments, sentence):
    ended = run(*arguments, "--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode != 0
    assert sentence in ended.stderr and "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_summary_counts_the_cases_in_which_medium_is_lower(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from figure_study import two_shapes

    def record(preset, coarse, medium, kept):
        stages = {"coarse": coarse, "medium": medium}
        metrics = {stage: {"normal_degrees": value, "rmse_mm": 0.1 * value} for stage, value in stages.items()}
        return {"case": "", "landmarks": "true", "preset": preset, "kept": kept, **metrics}

    records = [record("paper", 4.0, 6.0, False), record("default", 4.0, 3.0, True), record("default", 6.0, 7.0, False)]
    paper, default = two_shapes.summarise(records)
    assert (paper["cases"], paper["kept_share"], paper["normal_degrees"]["lower_share"]) == (1, 0.0, 0.0)
    assert (default["cases"], default["kept_share"]) == (2, 0.5)
    assert default["normal_degrees"] == {"coarse": 5.0, "medium": 5.0, "lower_share": 0.5}
    assert default["rmse_mm"]["coarse"] == pytest.approx(0.5)
    lines = two_shapes.table([paper, default])
    assert len(lines) == 4 and "50 %" in lines[3]
