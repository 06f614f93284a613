"""Parts of accuracy.py, fit_sweep.py and sensitivity.py."""

import jax
import numpy as np
import pytest
from accuracy_study import summary, sweep
from common import truth
from sensitivity_study import judge, report, weights
from sensitivity_study.sweep import Row

from jaxface.presets import COARSE, PRESETS

METRICS = {"rmse_mm": 1.0, "normal_degrees": 9.0}
SIZE = 48


def _record(yaw, coarse_mm):
    """A case whose metrics are all 1 but for the coarse RMSE of each model, twice that without shading."""
    keys = ("normal_degrees", "rmse_mm", "relief_hp2", "relief_hp4")
    stage = dict.fromkeys(keys, 1.0)
    runs = {}
    for model, error in coarse_mm:
        found = {"landmarks": stage | {"rmse_mm": 2.0 * error}, "coarse": stage | {"rmse_mm": error}}
        runs[model] = {"default": found | {"medium": stage, "fine": stage}}
    return dict(name="a", world="ict", yaw=yaw, runs=runs, references={}, left_out={}, failures={})


def test_models_are_compared_on_the_cases_that_all_have():
    records = [
        _record(0, [("default", 2.0), ("ict", 1.0)]),
        _record(30, [("default", 2.0), ("ict", 1.2)]),
        _record(0, [("default", 9.0)]),  # the other model failed
    ]
    records[2]["failures"] = {"ict": "no face"}
    found = summary.summarise(records, ["default", "ict"])
    rows = {(row["model"], row["view"]): row for row in found["models"]}
    assert rows["default", "frontal"]["coarse"] == 2.0 and rows["default", "frontal"]["cases"] == 1
    assert rows["ict", "all"]["coarse_to_embedded"] == pytest.approx(0.55)
    assert rows["ict", "yaw 30"]["coarse_to_embedded"] == pytest.approx(0.6)
    assert rows["ict", "yaw 30"]["coarse_to_frontal"] == pytest.approx(1.2)
    text = summary.lines(found)
    assert text[text.index("Failures: 1.") + 1] == "- a, ict: no face"
    (line,) = (line for line in text if "| ict   | ict     | yaw 30 " in line)
    cells = [cell.strip() for cell in line.split("|")][5:-1]
    assert cells == ["2.400", "0.600", "1.200", "1.200", "0.600", "1.200", "1.000", "1.000", "1.000"]


def test_every_positive_weight_is_swept_about_its_default():
    settings = sweep.settings()
    assert settings[:2] == [sweep.DEFAULTS, sweep.LANDMARKS_ALONE]
    assert len(settings) == 2 + 4 * len(sweep.defaults())
    usual = COARSE._asdict() | {"border": COARSE.trust.border}
    for name in sweep.defaults():
        values = [setting.value / usual[name] for setting in settings if setting.field == name]
        assert values == pytest.approx([0.25, 0.5, 2.0, 4.0])
    assert set(sweep.defaults()) == usual.keys() - {"trust"}


@pytest.mark.parametrize("name", PRESETS)
def test_each_weight_is_changed_alone(name):
    preset = PRESETS[name](size=SIZE)
    names = weights.names(preset)
    assert ("specular.prior" in names) == (name == "paper")
    before = {each: weights.value(preset, each) for each in names}
    assert all(value > 0.0 for value in before.values())
    for each in names:
        new = weights.changed(preset, each, 3.0)
        after = {other: weights.value(new, other) for other in names}
        assert after == before | {each: pytest.approx(3.0 * before[each])}
        assert jax.tree.structure(new) == jax.tree.structure(preset)  # nothing compiles anew


def _field(height_px, mask):
    dy, dx = np.gradient(height_px)
    normals = np.stack([-dx, -dy, np.ones_like(dx)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    view = truth.View(mask, height_px, normals, np.zeros_like(height_px))
    return truth.Field(view, view, mask, mask, 2.0)


def _dome():
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2.0
    squares = x**2 + y**2
    return np.sqrt(np.maximum(40.0**2 - 2.0 * x**2 - y**2, 1.0)), squares < 20.0**2, x, y


def test_small_similarities_are_no_error():
    height_px, mask, x, y = _dome()
    field, dy, dx = _field(height_px, mask), *np.gradient(height_px)
    assert judge.distances_mm(field, height_px).max() < 1e-9
    step = 1e-3
    moved = height_px + 5.0  # away from the camera
    moved = moved - 20.0 * step * dx + 30.0 * step * dy  # aside
    turned = moved + 2.0 * step * (y - height_px * -dy)  # about x, to first order: z += y, y -= z
    grown = turned + step * (height_px - x * dx - y * dy)
    for other in (moved, turned, grown):
        assert judge.distances_mm(field, other).max() < 1e-3


def test_a_bump_is_as_high_as_it_is():
    height_px, mask, x, y = _dome()
    bump = 3.0 * np.exp(-0.5 * ((x - 4.0) ** 2 + y**2) / 2.0**2)
    distances = judge.distances_mm(_field(height_px, mask), height_px + bump)
    assert distances.max() == pytest.approx(3.0 / 2.0, rel=0.15)  # 2 pixels a millimetre
    assert np.median(distances) < 0.05


def _row(factor, errors, weight="phase1.data"):
    value = weight and factor * weights.value(PRESETS["default"](size=SIZE), weight)
    return Row("default", weight, factor, value, 1, errors, [0.1 * error for error in errors])


def _curve(means, weight="phase1.data"):
    factors = (0.1, 0.333, 1.0, 3.0, 10.0)
    return [_row(*pair, weight) for pair in zip(factors, ([m - 1.0, m + 1.0] for m in means), strict=True)]


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
def test_what_a_curve_says(means, beginning, factor, gain):
    curve = _curve(means)
    found = report.best(curve)
    assert report.sentence(curve).startswith(beginning)
    assert ("the end of the sweep" in report.sentence(curve)) == (gain == 20.0)
    assert (found.factor, found.faces) == (factor, 2)
    assert found.normal_gain == pytest.approx(gain) and found.rmse_gain == pytest.approx(gain)
    assert found.faces_better == (2 if gain else 0)
    assert len(report.candidates(curve)) == (gain > 2.0)


def test_a_value_that_breaks_down_is_not_chosen():
    curve = _curve((float("nan"), 11.0, 10.0, 9.0, 12.0))
    assert report.best(curve).factor == 3.0
    broken = _curve((9.0, 9.0, float("nan"), 9.0, 9.0))
    assert not report.candidates(broken) and "breaks down" in report.sentence(broken)
