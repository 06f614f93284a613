"""The accuracy runner from its command line, on one small pair of cases, and its parts."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxface.frame import prepare
from jaxface.morphable.default import load_default
from jaxface.types import Region

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from accuracy_study import compare, faces, report

    return dict(compare=compare, faces=faces, report=report)


@pytest.mark.slow
def test_one_pair_from_the_command_line(tmp_path):
    worlds = ["--models=default", "--cases=2", "--ict_cases=0", "--ict_off_cases=0"]
    settings = [*worlds, "--size=192", "--landmarks=true", "--paper_cases=1", "--verbose"]
    command = [sys.executable, str(EXPERIMENTS / "accuracy.py"), *settings, f"--output_dir={tmp_path}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["accuracy.json", "accuracy.md"]
    text = (tmp_path / "accuracy.md").read_text()
    assert text in ended.stdout
    assert all(row in text for row in ("| coarse, landmarks, default ", "| fine, default, paper preset", "| yaw 30 "))
    stored = json.loads((tmp_path / "accuracy.json").read_text())
    assert stored["summary"]["failures"] == {} and len(stored["cases"]) == 2
    for record in stored["cases"]:
        for stage in ("landmarks", "coarse", "medium", "fine"):
            assert 0.5 < record["runs"]["default"]["default"][stage]["normal_degrees"] < 25.0
            assert 0.05 < record["runs"]["default"]["default"][stage]["rmse_mm"] < 6.0
        assert "mediapipe" not in record["references"]  # true landmarks are not MediaPipe's
    assert sum("paper" in record["runs"]["default"] for record in stored["cases"]) == 1


def test_pairs_differ_in_yaw_alone_and_lights_take_turns(study):
    cases = study["faces"].make_cases("default", count=12)
    assert len(set(cases)) == 12
    for frontal, turned in zip(cases[::2], cases[1::2], strict=True):
        assert frontal.yaw == 0 and abs(turned.yaw) == 30
        assert dataclasses.replace(turned, yaw=0) == frontal
    assert len({(case.light, case.yaw) for case in cases[1::2]}) == 6


def _record(yaw, coarse_mm):
    """A case whose metrics are all 1 but for the coarse RMSE of each model, twice that without shading."""
    keys = ("normal_degrees", "rmse_mm", "relief_hp2", "relief_hp4")
    stage = dict.fromkeys(keys, 1.0)
    runs = {}
    for model, error in coarse_mm:
        found = {"landmarks": stage | {"rmse_mm": 2.0 * error}, "coarse": stage | {"rmse_mm": error}}
        runs[model] = {"default": found | {"medium": stage, "fine": stage}}
    return dict(name="a", world="ict", yaw=yaw, runs=runs, references={}, left_out={}, failures={})


def test_models_are_compared_on_the_cases_that_all_have(study):
    records = [
        _record(0, [("default", 2.0), ("ict", 1.0)]),
        _record(30, [("default", 2.0), ("ict", 1.2)]),
        _record(0, [("default", 9.0)]),  # the other model failed
    ]
    records[2]["failures"] = {"ict": "no face"}
    summary = study["report"].summarise(records, ["default", "ict"])
    rows = {(row["model"], row["view"]): row for row in summary["models"]}
    assert rows["default", "frontal"]["coarse"] == 2.0 and rows["default", "frontal"]["cases"] == 1
    assert rows["ict", "all"]["coarse_to_embedded"] == pytest.approx(0.55)
    assert rows["ict", "yaw 30"]["coarse_to_embedded"] == pytest.approx(0.6)
    assert rows["ict", "yaw 30"]["coarse_to_frontal"] == pytest.approx(1.2)
    text = study["report"].to_markdown(summary, {}, {"machine": "machine", "versions": {}})
    assert "Failures: 1.\n- a, ict: no face" in text
    (line,) = (line for line in text.splitlines() if "| ict   | ict     | yaw 30 " in line)
    cells = [cell.strip() for cell in line.split("|")][5:-1]
    assert cells == ["2.400", "0.600", "1.200", "1.200", "0.600", "1.200", "1.000", "1.000", "1.000"]


@pytest.mark.slow
def test_what_is_outside_the_face_is_not_judged(study):
    model = load_default()
    outside = np.asarray(model.mean_mm)[:, 1] < -50.0  # the chin
    labels = np.where(outside, Region.OUTSIDE, np.asarray(model.vertex_regions)).astype(np.int32)
    model = dataclasses.replace(model, vertex_regions=labels)
    kept = study["compare"].face_triangles(model)
    assert not outside[kept].any() and 0 < len(kept) < len(model.triangles)
    subdivision = prepare(model).detail.subdivision
    fine = study["compare"].fine_face_triangles(model)
    heights = np.sum(np.asarray(subdivision.weights) * np.asarray(model.mean_mm)[:, 1][subdivision.indices], axis=1)
    dropped = np.setdiff1d(np.arange(len(heights)), fine)
    assert 0 < len(fine) < len(subdivision.triangles)
    assert heights[dropped].max() < heights[fine].min() + 15.0 and heights[fine].min() > -60.0
