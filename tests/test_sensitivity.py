"""The sweep of the presets' weights from its command line, at a tiny size, and its parts."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxface.io.images import read_image
from jaxface.presets import PRESETS

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
SIZE = 48


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from sensitivity_study import judge, report, sweep, weights

    return {"judge": judge, "report": report, "sweep": sweep, "weights": weights}


def _run(*flags):
    command = [sys.executable, str(EXPERIMENTS / "sensitivity.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_a_tiny_sweep_with_its_check_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    ended = _run("--smoke", "--check", "--presets=default", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sensitivity.json", "sensitivity.md", "sensitivity.png"]
    text = (tmp_path / "sensitivity.md").read_text()
    assert text.rstrip() in ended.stdout and "Command: `python experiments/sensitivity.py --smoke --check" in text
    record = json.loads((tmp_path / "sensitivity.json").read_text())
    rows = {(row["weight"], row["factor"]): row for row in record["rows"]}
    assert len(rows) == 2 * 13  # stiffness, two of Eq. 6, five in each phase of Eq. 9
    own = rows["stiffness", 1.0]
    for (_, factor), row in rows.items():
        assert 3.0 < row["normal_degrees"][0] < 40.0 and 0.3 < row["rmse_mm"][0] < 10.0
        if factor == 1.0:  # the preset is the preset, whatever the weight
            assert (row["normal_degrees"], row["rmse_mm"]) == (own["normal_degrees"], own["rmse_mm"])
    felt = {weight for (weight, factor), row in rows.items() if row["normal_degrees"] != own["normal_degrees"]}
    assert {"albedo.colour", "phase1.position", "phase1.data", "phase2.smoothness", "phase2.data"} <= felt
    gains = {best["weight"]: best["normal_gain"] for best in record["best"]}
    assert min(gains.values()) >= 0.0 and record["largest_gain"] == {"default": max(gains.values())}
    assert len(record["held_out"]) == sum(gain > 2.0 for gain in gains.values())
    assert f"seed {record['settings']['seed']}" in text and "chose nothing (seed 0)" in text
    picture = read_image(tmp_path / "sensitivity.png")
    assert picture.shape[1] > 1000 and np.std(picture) > 0.1


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (["--presets=best"], "There is no preset 'best'"),
        (["--check", "--seed=0"], "--check needs other faces"),
        (["--model=nobody"], "nobody"),
    ],
)
def test_a_wrong_argument_is_one_sentence(tmp_path, flags, sentence):
    ended = _run("--smoke", f"--output_dir={tmp_path}", *flags)
    assert ended.returncode != 0
    assert sentence in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", PRESETS)
def test_each_weight_is_changed_alone(study, name):
    weights, preset = study["weights"], PRESETS[name](size=SIZE)
    names = weights.names(preset)
    assert ("specular.prior" in names) == preset.schedule.literal
    before = {each: weights.value(preset, each) for each in names}
    assert all(value > 0.0 for value in before.values())
    for each in names:
        new = weights.changed(preset, each, 3.0)
        after = {other: weights.value(new, other) for other in names}
        assert after == before | {each: pytest.approx(3.0 * before[each])}
        assert new.schedule == preset.schedule  # static: nothing compiles anew


def _field(height_px, mask):
    from accuracy_study import compare

    dy, dx = np.gradient(height_px)
    normals = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    view = compare.View(mask, height_px, normals, np.zeros_like(height_px))
    return compare.Field(view, view, mask, mask, 2.0)


def _dome():
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2.0
    squares = x**2 + y**2
    return np.sqrt(np.maximum(40.0**2 - 2.0 * x**2 - y**2, 1.0)), squares < 20.0**2, x, y


def test_small_similarities_are_no_error(study):
    height_px, mask, x, y = _dome()
    field, dy, dx = _field(height_px, mask), *np.gradient(height_px)
    assert study["judge"].distances_mm(field, height_px).max() < 1e-9
    step = 1e-3
    moved = height_px + 5.0  # away from the camera
    moved = moved - 20.0 * step * dx + 30.0 * step * dy  # aside
    turned = moved + 2.0 * step * (y - height_px * -dy)  # about x, to first order: z += y, y -= z
    grown = turned + step * (height_px - x * dx - y * dy)
    for other in (moved, turned, grown):
        assert study["judge"].distances_mm(field, other).max() < 1e-3


def test_a_bump_is_as_high_as_it_is(study):
    height_px, mask, x, y = _dome()
    bump = 3.0 * np.exp(-0.5 * ((x - 4.0) ** 2 + y**2) / 2.0**2)
    distances = study["judge"].distances_mm(_field(height_px, mask), height_px + bump)
    assert distances.max() == pytest.approx(3.0 / 2.0, rel=0.15)  # 2 pixels a millimetre
    assert np.median(distances) < 0.05


def _row(study, factor, errors, weight="phase1.data"):
    value = weight and factor * study["weights"].value(PRESETS["default"](size=SIZE), weight)
    return study["sweep"].Row("default", weight, factor, value, 1, errors, [0.1 * error for error in errors])


def _curve(study, means, weight="phase1.data"):
    factors = (0.1, 0.333, 1.0, 3.0, 10.0)
    return [_row(study, *pair, weight) for pair in zip(factors, ([m - 1.0, m + 1.0] for m in means), strict=True)]


@pytest.mark.parametrize(
    "means, beginning, factor, gain",
    [
        ((10.0, 10.1, 10.0, 10.05, 10.15), "Flat: from 0.1 to 10", 0.1, 0.0),
        ((12.0, 11.0, 10.0, 10.1, 12.0), "Flat about the preset: within 2 % of the best at 1, 3 times", 1.0, 0.0),
        ((12.0, 11.0, 10.0, 11.0, 12.0), "Sharp", 1.0, 0.0),
        ((12.0, 11.0, 10.0, 9.5, 9.8), "Not at the optimum: 5.0 % less at 3 times the preset's value.", 3.0, 5.0),
        ((8.0, 9.0, 10.0, 11.0, 12.0), "Not at the optimum: 20.0 % less at 0.1 times", 0.1, 20.0),
    ],
)
def test_what_a_curve_says(study, means, beginning, factor, gain):
    report, curve = study["report"], _curve(study, means)
    found = report.best(curve)
    assert report.sentence(curve).startswith(beginning)
    assert ("the end of the sweep" in report.sentence(curve)) == (gain == 20.0)
    assert (found.factor, found.faces) == (factor, 2)
    assert found.normal_gain == pytest.approx(gain) and found.rmse_gain == pytest.approx(gain)
    assert found.faces_better == (2 if gain else 0)
    assert len(report.candidates(curve)) == (gain > 2.0)


def test_a_value_that_breaks_down_is_not_chosen(study):
    report, curve = study["report"], _curve(study, (float("nan"), 11.0, 10.0, 9.0, 12.0))
    assert report.best(curve).factor == 3.0
    broken = _curve(study, (9.0, 9.0, float("nan"), 9.0, 9.0))
    assert not report.candidates(broken) and "breaks down" in report.sentence(broken)


def test_table_check_and_curves_show_every_weight(study):
    report, weights = study["report"], study["weights"]
    rows = []
    for name in weights.names(PRESETS["default"](size=SIZE)):
        rows += _curve(study, (12.0, 11.0, 10.0, 9.0, 12.0), name)
    text = "\n".join(report.table(rows, "default"))
    assert text.count("| 12.00 / 1.200 ") == 2 * 13 and text.count("- Eq.") == 13 and "x 0.333" in text
    tuned = report.candidates(rows)
    assert "+10.0" in "\n".join(report.check_table(tuned, tuned, seed=0))
    assert "none was tried" in "\n".join(report.check_table([], [], seed=0))
    figure = report.draw(rows)
    shown = [panel for panel in figure.axes if panel.get_title()]
    assert [panel.get_title() for panel in shown] == [weights.label(row.weight) for row in rows[::5]]
    for panel in shown:
        normal, _, star = panel.lines
        assert len(normal.get_xdata()) == 5 and min(normal.get_ydata()) == pytest.approx(-10.0)
        assert star.get_xdata() == normal.get_xdata()[2]
