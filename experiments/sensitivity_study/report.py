"""From rows to verdicts, tables and curves."""

from typing import NamedTuple

import numpy as np
from common import truth
from common.report import format_table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from sensitivity_study import weights
from sensitivity_study.sweep import Row

FLAT = 2.0  # percent of normal error that are not worth a change
COLUMNS = 4  # of panels
CUT = 50.0  # percent: curves leave the picture there
COLOURS = {"default": "C0", "paper": "C1"}
STARS = {"default": 18, "paper": 9}  # points: both are seen where the presets agree


class Gain(NamedTuple):
    """What a value of a weight does against the preset's own: falls of the mean errors, in percent."""

    preset: str
    weight: str
    factor: float
    normal_gain: float
    rmse_gain: float
    faces_better: int
    faces: int


def curves(rows: list[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each preset and weight, by factor."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.preset, row.weight), []).append(row)
    return {key: sorted(each, key=lambda row: row.factor) for key, each in found.items()}


def changes(curve: list[Row], metric: str) -> np.ndarray:
    """Mean error of each row against the preset's, in percent; NaN where the stage broke down on any face."""
    means = np.array([np.mean(getattr(row, metric)) for row in curve])
    return 100.0 * (means / means[_own(curve)] - 1.0)


def _own(curve: list[Row]) -> int:
    return next(k for k, row in enumerate(curve) if row.factor == 1.0)


def compare(own: Row, other: Row) -> Gain:
    """Another value of a weight against the preset's own, on the same faces."""
    normal, rmse = (float(0.0 - changes([own, other], metric)[1]) for metric in truth.METRICS)
    better = np.array(other.normal_degrees) < np.array(own.normal_degrees)
    return Gain(own.preset, own.weight, other.factor, normal, rmse, int(better.sum()), len(better))


def best(curve: list[Row]) -> Gain:
    """The value with the least normal error; the preset's own where that breaks down."""
    own, normal = curve[_own(curve)], changes(curve, "normal_degrees")
    return compare(own, own if np.isnan(normal).all() else curve[int(np.nanargmin(normal))])


def sentence(curve: list[Row]) -> str:
    """Whether the optimum is flat: where the normal error lies within `FLAT` of the least."""
    normal, factors = changes(curve, "normal_degrees"), [row.factor for row in curve]
    if np.isnan(normal).all():
        return "The stage breaks down at the preset's own value."
    least = int(np.nanargmin(normal))
    near = [factor for factor, change in zip(factors, normal, strict=True) if change - normal[least] <= FLAT]
    if len(near) == len(factors):
        return f"Flat: from {near[0]:g} to {near[-1]:g} times the preset's value the error stays within {FLAT:g} %."
    if near == [1.0]:
        return f"Sharp: every other factor costs more than {FLAT:g} %."
    if 1.0 in near:
        return f"Flat about the preset: within {FLAT:g} % of the best at {', '.join(f'{f:g}' for f in near)} times it."
    edge = ", the end of the sweep" if least in (0, len(factors) - 1) else ""
    return f"Not at the optimum: {-normal[least]:.1f} % less at {factors[least]:g} times the preset's value{edge}."


def candidates(rows: list[Row]) -> list[Gain]:
    """The best value of each weight that gains enough to be tried on other faces."""
    gains = [best(curve) for curve in curves(rows).values()]
    return [gain for gain in gains if gain.normal_gain > FLAT]


def table(rows: list[Row], preset: str) -> list[str]:
    """Lines on one preset: the errors at each factor, then a sentence a weight."""
    mine = {weight: curve for (name, weight), curve in curves(rows).items() if name == preset}
    factors = sorted({row.factor for row in rows if row.preset == preset})
    cells = [["weight", "value", *(f"x {factor:g}" for factor in factors), "best", "gain (%)", "RMSE gain (%)"]]
    sentences = []
    for weight, curve in mine.items():
        own, gain = curve[_own(curve)], best(curve)
        errors = [f"{np.mean(row.normal_degrees):.2f} / {np.mean(row.rmse_mm):.3f}" for row in curve]
        gains = [f"{gain.normal_gain:+.1f}", f"{gain.rmse_gain:+.1f}"]
        cells.append([weights.label(weight), f"{own.value:.3g}", *errors, f"x {gain.factor:g}", *gains])
        sentences.append(f"- {weights.label(weight)}: {sentence(curve)}")
        if weight == weights.STIFFNESS:
            kept = ", ".join(f"{row.medium_kept} at {row.factor:g}" for row in curve)
            sentences[-1] += f" Of {gain.faces} photographs the medium shape is kept in {kept} times it."
    count = len(next(iter(mine.values()))[0].normal_degrees)
    title = f"## Preset {preset}: normal error (deg) / RMSE (mm), means; photographs: {count}"
    return [title, "", *format_table(cells), "", *sentences, ""]


def check_table(tuned: list[Gain], held_out: list[Gain], *, seed: int) -> list[str]:
    """Lines on what the best values gain on faces that did not choose them."""
    title = [f"## On faces that chose nothing (seed {seed})", ""]
    if not tuned:
        return [*title, f"No value gained more than {FLAT:g} % on the faces of the sweep, so none was tried.", ""]
    cells = [["preset", "weight", "factor", "gain there (%)", "gain here (%)", "RMSE gain here (%)", "faces better"]]
    for chosen, found in zip(tuned, held_out, strict=True):
        cells.append([
            chosen.preset, weights.label(chosen.weight), f"{chosen.factor:g}", f"{chosen.normal_gain:+.1f}",
            f"{found.normal_gain:+.1f}", f"{found.rmse_gain:+.1f}", f"{found.faces_better} of {found.faces}",
        ])  # fmt: skip
    return [*title, *format_table(cells), ""]


def draw(rows: list[Row]) -> Figure:
    """A panel a weight: change of the errors against its value, a colour a preset, whose own value is the star."""
    found = curves(rows)
    names = list(dict.fromkeys(weight for _, weight in found))
    lines = -(-(len(names) + 1) // COLUMNS)
    figure = Figure(figsize=(3.0 * COLUMNS, 2.3 * lines + 0.4), layout="constrained")
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for panel, weight in zip(panels, names, strict=False):
        for curve in (curve for (_, name), curve in sorted(found.items()) if name == weight):
            _draw_curve(panel, curve)
        panel.set_xscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_title(weights.label(weight), fontsize=10)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        low, high = panel.get_ylim()
        panel.set_ylim(min(low, -FLAT), min(max(high, 2.0 * FLAT), CUT))
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    _draw_legend(panels[-1], [preset for preset in COLOURS if any(key[0] == preset for key in found)])
    figure.supxlabel("value of the weight", fontsize=10)
    figure.supylabel(f"change of the error (%), up to {CUT:g}", fontsize=10)
    return figure


def _draw_curve(panel: Axes, curve: list[Row]) -> None:
    own = curve[_own(curve)]
    colour, values = COLOURS[own.preset], [row.value for row in curve]
    for metric, style in zip(truth.METRICS, ("o-", ".:"), strict=True):
        panel.plot(values, changes(curve, metric), style, color=colour, markersize=4)
    panel.plot(own.value, 0.0, "*", color=colour, markersize=STARS[own.preset], mec="black", mew=0.5, zorder=3)


def _draw_legend(panel: Axes, presets: list[str]) -> None:
    for preset in presets:
        panel.plot(
            [], [], "*-", color=COLOURS[preset], markersize=STARS[preset], label=f"preset {preset}; star: its value"
        )
    for metric, style in zip(truth.METRICS, ("o-", ".:"), strict=True):
        panel.plot([], [], style, color="grey", label=truth.METRICS[metric].split(" (")[0])
    panel.legend(loc="center", fontsize=9, frameon=False)
