"""The sweep of the coarse weights from its command line, on one small pair of cases, and its parts."""

import json
import pathlib
import subprocess
import sys

import pytest

from jaxface.stages.coarse import CoarseWeights

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
METRICS = {"rmse_mm": 1.0, "normal_degrees": 9.0}


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from accuracy_study import sweep

    return sweep


@pytest.mark.slow
def test_one_pair_from_the_command_line(tmp_path):
    pytest.importorskip("mediapipe")
    settings = ["--models=default", "--cases=2", "--size=256", f"--output_dir={tmp_path}"]
    command = [sys.executable, str(EXPERIMENTS / "fit_sweep.py"), *settings]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fit_sweep.json", "fit_sweep.md", "fit_sweep.png"]
    assert (tmp_path / "fit_sweep.md").read_text() in ended.stdout
    rows = json.loads((tmp_path / "fit_sweep.json").read_text())["rows"]
    assert [row["field"] for row in rows[:2]] == ["defaults", "without shading"]
    assert {row["cases"] for row in rows} == {2}
    for row in rows:
        assert all(0.3 < errors["rmse_mm"] < 6.0 for errors in row["errors"].values())
        assert all(2.0 < errors["normal_degrees"] < 30.0 for errors in row["errors"].values())
    felt = {row["field"] for row in rows if row["errors"] != rows[0]["errors"]}
    assert {"without shading", "landmark_mm", "border", "blendshape", "skin_spread", "skin_outlier"} <= felt


def test_every_positive_weight_is_swept_about_its_default(sweep):
    settings = sweep.settings()
    assert settings[:2] == [sweep.DEFAULTS, sweep.LANDMARKS_ALONE]
    assert len(settings) == 2 + 4 * len(sweep.defaults())
    for name in sweep.defaults():
        values = [setting.value / CoarseWeights._field_defaults[name] for setting in settings if setting.field == name]
        assert values == pytest.approx([0.25, 0.5, 2.0, 4.0])
    assert set(sweep.defaults()) == {name for name, value in CoarseWeights._field_defaults.items() if value > 0.0}


def test_table_and_curves_show_every_setting(sweep):
    rows = [
        setting._asdict() | dict(model=model, world="default", cases=2, errors=dict.fromkeys(sweep.VIEWS, METRICS))
        for model in ("default", "ict")
        for setting in sweep.settings()
    ]
    text = sweep.to_markdown(rows)
    for name in ("defaults", "without shading"):
        assert sum(line.startswith(f"| {name} ") for line in text.splitlines()) == 2
    assert sum(line.endswith("| 9.000                      |") for line in text.splitlines()) == len(rows)
    figure = sweep.draw_curves(rows)
    panels = len(sweep.defaults()) * 2 * len(METRICS)
    assert len(figure.axes) == panels
    for panel in figure.axes:
        curves, levels = panel.lines[::2], panel.lines[1::2]
        assert len(curves) == len(levels) == len(sweep.VIEWS)
        assert all(len(line.get_xdata()) == 5 for line in curves)
        assert {line.get_linestyle() for line in levels} == {":"}
