"""From tracks and their truth to a record a world, and records as text and picture."""

from typing import NamedTuple

import imageio.v3 as iio
import numpy as np
from common.report import cell, format_table, table
from matplotlib.figure import Figure

from jaxface.tracking.records import Track
from video_study.film import Film
from video_study.judge import Figures, blink_depth, ok_frames

WORLDS = {
    "default": "default model + a field off its basis",
    "ict": "ICT-FaceKit + a field off its basis",
}
TRACKS = {"on": "with the temporal term", "off": "without it", "mean": "mean of frames"}
PEOPLE = {
    "clip": "person of the clip", "clip_coefficients": "the same, coefficients alone",
    "mean_of_frames": "mean of frames, as printed", "single_frames_mean": "single frames, mean",
    "single_frames_best": "single frames, best", "single_frames_worst": "single frames, worst",
}  # fmt: skip
_STILL = ("spread_mm", "jitter_mm_per_frame2")
_WANTED = {"wanted": ("what", ""), "found": ("value", ".3f"), "limit": ("limit", ".3f"), "met": ("met", "")}
BETTER_BY, STEADIER_BY, MAY_LOSE = 0.15, 3.0, 0.02  # what is wanted
_SHOWN = 8  # frames of the video in the picture


class World(NamedTuple):
    """All that was measured in one world: the film, figures by track, RMSE of neutral faces by name (as
    `judge.people`, and "mean of frames"), figures of a still clip by track, and the detector's blinks."""

    film: Film
    tracks: dict[str, Track]
    figures: dict[str, Figures]
    people: dict[str, float]
    still: dict[str, dict[str, float]]
    detected_blink_mm: float | None


def record(world: World) -> dict:
    """The plain figures (JSON-able) and how they stand to what is wanted."""
    moving = {name: _track_record(each) for name, each in world.figures.items()}
    found = {
        "world": world.film.actor.name,
        "frames": world.film.num_frames,
        "ok_frames": {name: len(ok_frames(track)) for name, track in world.tracks.items()},
        "identity_rmse_mm": _identity(world.people),
        "tracks": moving,
        "still": world.still,
        "detected_blink_mm": world.detected_blink_mm,
    }
    return found | {"wanted": _wanted(found)}


def _identity(people: dict[str, float]) -> dict[str, float]:
    singles = [error for name, error in people.items() if name.startswith("frame")]
    return {
        "clip": people["clip"],
        "clip_coefficients": people["coefficients"],
        "mean_of_frames": people["mean of frames"],
        "single_frames_mean": float(np.mean(singles)),
        "single_frames_best": float(np.min(singles)),
        "single_frames_worst": float(np.max(singles)),
    }


def _track_record(figures: Figures) -> dict[str, float]:
    return {
        "jitter_mm_per_frame2": figures.acceleration_mm,
        "error_jitter_mm_per_frame2": figures.error_acceleration_mm,
        "frame_rmse_mm": float(np.nanmean(figures.rmse_mm)) if np.isfinite(figures.rmse_mm).any() else float("nan"),
        "landmark_error_mm": figures.landmark_mm,
        "blink_mm": blink_depth(figures.lids_mm),
    }


def _wanted(found: dict) -> list[dict]:
    """One entry a wish: what, the figure, its limit, and whether it is met."""
    identity, moving, still = found["identity_rmse_mm"], found["tracks"], found["still"]
    truth, on, off = (moving[name] for name in ("truth", "on", "off"))
    single = identity["single_frames_mean"]
    seen = found["detected_blink_mm"]
    excess = [each["jitter_mm_per_frame2"] - truth["jitter_mm_per_frame2"] for each in (off, on)]
    rows = [
        ("identity RMSE below the mean single frame's, share", 1.0 - identity["clip"] / single, BETTER_BY, True),
        ("identity RMSE below the mean of frames', mm", identity["mean_of_frames"] - identity["clip"], 0.0, True),
        (
            "jitter of the still clip off / on",
            _ratio(still["off"], still["on"], "jitter_mm_per_frame2"),
            STEADIER_BY,
            True,
        ),
        ("jitter of the error off / on", _ratio(off, on, "error_jitter_mm_per_frame2"), STEADIER_BY, True),
        ("frame RMSE lost by the term, share", 1.0 / _ratio(off, on, "frame_rmse_mm") - 1.0, MAY_LOSE, False),
    ]
    entries = [
        {"what": what, "value": value, "limit": limit, "met": bool(value > limit if at_least else value <= limit)}
        for what, value, limit, at_least in rows
    ]
    # Steadier than the truth by any amount is not wanted: no limit for what remains above it.
    plain = [
        ("jitter off / on", _ratio(off, on, "jitter_mm_per_frame2")),
        ("jitter above the truth's off / on", excess[0] / excess[1] if excess[1] > 0.0 else None),
        ("blink kept with the term, share of the true depth", on["blink_mm"] / truth["blink_mm"]),
        ("blink kept without it", off["blink_mm"] / truth["blink_mm"]),
        ("blink in the detector's landmarks", seen / truth["blink_mm"] if seen is not None else None),
    ]
    return entries + [{"what": what, "value": value, "limit": None, "met": None} for what, value in plain]


def _ratio(over: dict, under: dict, key: str) -> float:
    return over[key] / under[key] if under[key] else float("nan")


def lines(records: list[dict], left_out: dict[str, str]) -> list[str]:
    """Tables and sentences."""
    lines = []
    for found in records:
        counts = ", ".join(f"{count} {TRACKS[name]}" for name, count in found["ok_frames"].items())
        people = [{"who": title, "rmse_mm": found["identity_rmse_mm"][key]} for key, title in PEOPLE.items()]
        wanted = [row | {"met": {True: "yes", False: "NO", None: None}[row["met"]]} for row in found["wanted"]]
        lines += [f"## {WORLDS[found['world']]}", "", f"{found['frames']} frames; tracked: {counts}.", ""]
        lines += [*table(people, {"neutral face": ("who", ""), "RMSE (mm)": ("rmse_mm", ".3f")}), ""]
        lines += [*_track_table(found), "", *table(wanted, _WANTED), ""]
    lines += [f"World {name} is left out: {reason}" for name, reason in left_out.items()]
    return lines + [
        "RMSE: distance of true points seen in the frame (or, for the person, from the front) from the mesh after"
        " similarity ICP, mm. Jitter: mean vertex acceleration in the camera frame, mm/frame^2; of the error: that of"
        " the tracked less the true landmarks. Landmark error: rms distance of these at the true scale, mean depth"
        " apart. Blink: how far the lids close, against the upper quartile of their opening. Still clip: nothing"
        " moves but the camera's noise; the standard deviation of the vertices over time.",
    ]


def _track_table(found: dict) -> list[str]:
    columns = {
        "jitter_mm_per_frame2": "jitter", "error_jitter_mm_per_frame2": "jitter of the error",
        "frame_rmse_mm": "frame RMSE (mm)", "landmark_error_mm": "landmark error (mm)", "blink_mm": "blink (mm)",
    }  # fmt: skip
    cells = [["track", *columns.values(), "still clip: spread (mm)", "jitter"]]
    for name, title in ({"truth": "truth"} | TRACKS).items():
        still = found["still"].get(name)
        figures = [f"{found['tracks'][name][key]:.3f}" for key in columns]
        cells.append([title, *figures, *(cell(still and still[key], ".4f") for key in _STILL)])
    return format_table(cells)


def draw(worlds: list[World]) -> Figure:
    """For each world a strip of the video, then yaw, lids and RMSE over time."""
    figure = Figure(figsize=(14.0, 5.0 * len(worlds)), layout="constrained")
    for part, world in zip(figure.subfigures(len(worlds), 1, squeeze=False)[:, 0], worlds, strict=True):
        part.suptitle(WORLDS[world.film.actor.name])
        strip, curves = part.subfigures(2, 1, height_ratios=[1.0, 1.6])
        panel = strip.subplots()
        panel.imshow(_strip(world.film))
        panel.set(xticks=[], yticks=[])
        _draw_curves(curves.subplots(1, 3), world)
    return figure


def _strip(film: Film) -> np.ndarray:
    count = min(_SHOWN, film.num_frames)
    chosen = np.linspace(0, film.num_frames - 1, count).round().astype(int)
    return np.concatenate([iio.imread(film.path(frame), plugin="pillow") for frame in chosen], axis=1)


def _draw_curves(panels, world: World) -> None:
    titles = ("yaw less the true one (degrees)", "opening of the eyes (mm)", "RMSE (mm)")
    true_yaw = world.figures["truth"].yaw_degrees
    for name, colour in (("off", "C1"), ("on", "C0"), ("truth", "k")):
        each = world.figures[name]
        curves = (each.yaw_degrees - true_yaw, each.lids_mm, each.rmse_mm if name != "truth" else None)
        for panel, title, curve in zip(panels, titles, curves, strict=True):
            panel.set(title=title, xlabel="frame")
            panel.grid(alpha=0.3)
            if curve is not None:
                panel.plot(curve, color=colour, label=TRACKS.get(name, name), linewidth=1.0)
    panels[1].legend(fontsize=8)
