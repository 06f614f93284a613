"""What a tracked clip is told in: `tracking.csv`, a row a frame; `report.png`, curves; `result.json` (host side).

Nothing here differs between two identical runs: no clock times, no absolute paths.
"""

import csv
import dataclasses
import json
import math
import os
import textwrap
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from jaxface.export.report import plain, versions
from jaxface.io.atomic import new_file
from jaxface.tracking.records import FRAME_STATES, Track
from jaxface.types import Pose

ANGLES = {"yaw": "#2f6fb5", "pitch": "#d9791e", "roll": "#2b8f6b"}
STATE_COLOURS = {"ok": "#a9cfa6", "bridged": "#e8b234", "lost": "#c0392b"}
MEASURES = {
    "confidence": "confidence",
    "residual_px": "landmark\nresidual, px",
    "shading_residual": "shading\nresidual",
}

_INK, _FAINT = "#333333", 0.45
_DIGITS = {
    "time_s": 4, "confidence": 4, "residual_px": 3, "shading_residual": 5,
    "yaw_degrees": 3, "pitch_degrees": 3, "roll_degrees": 3,
    "rotation_x": 6, "rotation_y": 6, "rotation_z": 6,
    "translation_x_px": 3, "translation_y_px": 3, "px_per_mm": 5,
}  # fmt: skip
_UNITS = {"_mm_per_frame2": "mm/frame^2", "_mm": "mm"}
_FEW_FRAMES = 80  # up to here every frame gets a dot of its own
_WIDTH, _DPI = 12.0, 100  # of the picture: inches, dots an inch
_LINE_LETTERS, _NOTES = 150, 3


def write_tracking_csv(path: str | os.PathLike, track: Track) -> None:
    """A row a frame: number, name, time, status, reason, quality, and the smoothed pose.

    Angles as in `export.report.pose_json` (degrees), and `rotation_x, _y, _z` as rotation vector (radians). What is not
    finite is empty.
    """
    columns = _columns(track)
    with new_file(path) as fresh, open(fresh, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_report(path: str | os.PathLike, track: Track) -> None:
    """A PNG: head angles raw and smoothed, confidence, residuals, status of the frames, and the figures in words."""
    with new_file(path) as fresh, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name in letters that the font lacks
        draw_report(track).savefig(fresh, format="png", dpi=_DPI, metadata={"Software": None})


def write_track_result(path: str | os.PathLike, track: Track) -> None:
    """Writes `track_json(track)` to `path`."""
    with new_file(path) as fresh:
        fresh.write_text(json.dumps(track_json(track), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def track_json(track: Track) -> dict:
    """The clip as plain JSON values: frames counted by status, jitter, the person's identity, the model and its
    licence, the detector, settings, notes, versions; what is not finite is null."""
    counts = count_states(track)
    found = versions()
    return plain(
        {
            "status": "ok" if counts["ok"] == len(track.status) else "partial",
            "name": track.name,
            "frames": {"total": len(track.status), **counts},
            "frames_per_second": track.frames_per_second,
            "jitter": track.jitter,
            "identity": np.asarray(track.identity),
            "model": {"name": track.model_name, "licence": track.model_licence},
            "detector": track.detector,
            "settings": dataclasses.asdict(track.settings),
            "notes": track.notes,
            "versions": {name: found[name] for name in ("jaxface", "jax")},
        }
    )


def count_states(track: Track) -> dict[str, int]:
    """How many frames are in each of FRAME_STATES."""
    return {state: track.status.count(state) for state in FRAME_STATES}


def jitter_text(track: Track) -> str:
    """The jitter figures in words, without those that are not finite."""
    figures = {name: float(value) for name, value in track.jitter.items() if math.isfinite(value)}
    return ", ".join(_with_unit(name, value) for name, value in figures.items())


def angles_degrees(pose: Pose) -> Float[np.ndarray, "frames 3"]:
    """Yaw, pitch and roll of poses with a row a frame, turned as in `export.report.pose_json`."""
    return Rotation.from_rotvec(np.asarray(pose.rotation_vector, np.float64)).as_euler("YXZ", degrees=True)


def draw_report(track: Track) -> Figure:
    """The picture that `write_report` writes."""
    words = _words(track)
    heights = [2.6, *[1.2] * len(MEASURES), 0.28, 0.2 * (words.count("\n") + 1)]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 1.8), dpi=_DPI, layout="constrained", facecolor="white")
    figure.suptitle(_printable(track.name), parse_math=False, color=_INK)
    axes = figure.subplots(len(heights), 1, height_ratios=heights)
    for each in axes[1:-1]:
        each.sharex(axes[0])
    _draw_angles(axes[0], track)
    for each, (name, label) in zip(axes[1:], MEASURES.items(), strict=False):
        _draw_curve(each, getattr(track, name), track, color=_INK)
        each.set_ylabel(label)
        each.set_ylim(0.0, 1.0 if name == "confidence" else _top(getattr(track, name)))
    _draw_states(axes[-2], track)
    for each in axes[:-2]:
        each.tick_params(labelbottom=False)
        each.grid(alpha=0.25)
        each.spines[["top", "right"]].set_visible(False)
    axes[-1].axis("off")
    axes[-1].text(0.0, 1.0, words, va="top", fontsize=9, color=_INK, parse_math=False, transform=axes[-1].transAxes)
    figure.align_ylabels(axes[:-1])
    return figure


def _columns(track: Track) -> dict[str, list]:
    pose = track.pose
    angles, vectors, places = angles_degrees(pose), np.asarray(pose.rotation_vector), np.asarray(pose.translation_px)
    numbers = {"time_s": track.times_s, **{name: getattr(track, name) for name in MEASURES}}
    numbers |= {f"{name}_degrees": angles[:, place] for place, name in enumerate(ANGLES)}
    numbers |= {f"rotation_{axis}": vectors[:, place] for place, axis in enumerate("xyz")}
    numbers |= {f"translation_{axis}_px": places[:, place] for place, axis in enumerate("xy")}
    numbers["px_per_mm"] = np.exp(np.asarray(pose.log_scale, np.float64))
    texts = {name: [_fixed(value, digits) for value in numbers[name]] for name, digits in _DIGITS.items()}
    first: dict[str, list] = {"frame": list(range(len(track.status))), "name": list(track.frame_names)}
    first["time_s"] = texts.pop("time_s")
    return first | {"status": list(track.status), "reason": [" ".join(each.split()) for each in track.reason]} | texts


def _fixed(value: float, digits: int) -> str:
    return f"{float(value):z.{digits}f}" if math.isfinite(value) else ""


def _with_unit(name: str, value: float) -> str:
    """The unit that a name ends in stands behind the number."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {value:.3g} {unit}"
    return f"{name.replace('_', ' ')} {value:.3g}"


def _draw_angles(axes: Axes, track: Track) -> None:
    """Each frame's own angles, where it has any, faint under the smoothed ones."""
    is_ok = np.array(track.status) == "ok"
    raw = np.where(is_ok[:, None], angles_degrees(track.raw_pose), np.nan)
    smoothed = angles_degrees(track.pose)
    for place, (name, colour) in enumerate(ANGLES.items()):
        _draw_curve(axes, raw[:, place], track, color=colour, alpha=_FAINT, linewidth=0.8)
        _draw_curve(axes, smoothed[:, place], track, dots=False, color=colour, label=name)
    axes.set_ylabel("head angles, degrees")
    axes.set_title("faint: each frame's own; full: the result", fontsize=9, loc="left", color=_INK)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(ANGLES), frameon=False, fontsize=9)


def _top(values: np.ndarray) -> float:
    """The upper end of an axis from 0 that holds what is finite of `values`, with some air."""
    return 1.1 * float(np.max(values, initial=0.0, where=np.isfinite(values))) or 1.0


def _draw_curve(axes: Axes, values: np.ndarray, track: Track, *, dots: bool = True, **style) -> None:
    """A line over the frames of a video; photos in no order have dots only."""
    line = {"linewidth": 1.2} if track.settings.ordered else {"linestyle": "none"}
    size = 4.0 if len(values) <= _FEW_FRAMES else 1.5
    marker = "o" if dots or not track.settings.ordered or len(values) == 1 else ""
    axes.plot(np.arange(len(values)), values, marker=marker, markersize=size, markeredgewidth=0.0, **(line | style))


def _draw_states(axes: Axes, track: Track) -> None:
    """A strip with an interval for each run of frames; bad ones have an edge, so that a single one of many shows."""
    counts = count_states(track)
    for state, colour in STATE_COLOURS.items():
        runs = _runs(np.array(track.status) == state)
        edge: dict[str, Any] = {"linewidth": 0.0 if state == "ok" else 0.8, "edgecolor": colour}
        axes.broken_barh(runs, (0.0, 1.0), facecolor=colour, label=f"{state}: {counts[state]}", **edge)
    axes.set(yticks=[], ylim=(0.0, 1.0), xlim=(-0.5, len(track.status) - 0.5), xlabel="frame")
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.set_ylabel("status", rotation=0, ha="right", va="center")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, -0.9), ncols=3, frameon=False, fontsize=9)


def _runs(flags: np.ndarray) -> list[tuple[float, int]]:
    """(left end, length) of each run of true entries; frame k fills k - 1/2 to k + 1/2."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return [(first - 0.5, int(end - first)) for first, end in zip(steps[::2], steps[1::2], strict=True)]


def _words(track: Track) -> str:
    settings = track.settings
    facts = [
        f"{len(track.status)} frames, {track.frames_per_second:.4g} a second",
        f"model {track.model_name} ({track.model_licence.partition(' (')[0]})",
        f"identity: {settings.fuse}",
        f"smoothing {settings.smooth:g}" if settings.ordered else "unordered",
    ]
    more = len(track.notes) - _NOTES
    notes = [*track.notes[:_NOTES], *([f"{more} more in result.json"] if more > 0 else [])]
    lines = ["; ".join(facts) + ".", jitter_text(track), *(f"Note: {note}" for note in notes)]
    return "\n".join(textwrap.fill(_printable(line), _LINE_LETTERS) for line in lines if line)


def _printable(text: str) -> str:
    """Without the halves of letters that stand for bytes of a file's name that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")
