"""What the benchmark found, as figures and as Markdown."""

import os
import platform
from importlib.metadata import version

from common.report import every_column

MAX_RATIO, MAX_GROWTH = 0.5, 0.05
TARGETS = {"H100": 60.0}  # frames a second of 512 pixels, by what the device's name holds
_TARGET_SIZE = 512


def summarise(throughput: dict, clip: dict | None, *, command: str) -> dict:
    """Everything, with the wanted figures and whether they are reached. The clip is None where it was not run."""
    machine = dict(device=throughput["device"], backend=throughput["backend"], devices=throughput["local_devices"],
                   cpus=os.cpu_count(), architecture=platform.machine(), python=platform.python_version(),
                   jax=version("jax"), numpy=version("numpy"))  # fmt: skip
    wanted = _wanted_speed(machine["device"], throughput["rows"]) + (_wanted_of_clip(clip) if clip else [])
    return {"command": command, "machine": machine, "throughput": throughput["rows"], "clip": clip, "wanted": wanted}


def frame_seconds(run: dict) -> float:
    """Of a whole process, its start included."""
    return run["seconds"] / run["frames"]


def _wanted_speed(device: str, rows: list[dict]) -> list[dict]:
    found = [row["frames_per_second"] / row["devices"] for row in rows if _counts(row) and row["size"] == _TARGET_SIZE]
    return [
        _wish(f"frames/s on one {name}, {_TARGET_SIZE} px", max(found), least, max(found) >= least, "at least")
        for name, least in TARGETS.items()
        if name in device and found
    ]


def _wanted_of_clip(clip: dict) -> list[dict]:
    single = sum(clip["single_seconds"]) / len(clip["single_seconds"])
    ratio = frame_seconds(clip["warm"]) / single
    second = clip["retrace"]["second"]
    wishes = [
        _wish("seconds a frame over those of a single photo", ratio, MAX_RATIO, ratio <= MAX_RATIO, "at most"),
        _wish("programs compiled for a second clip", second, 0, second == 0, "exactly"),
    ]
    if "long" in clip:
        growth = clip["long"]["peak_mib"] / clip["warm"]["peak_mib"] - 1.0
        name = f"growth of the peak memory, {clip['long']['frames']} frames for {clip['warm']['frames']}"
        wishes.append(_wish(name, growth, MAX_GROWTH, growth <= MAX_GROWTH, "at most"))
    return wishes


def _wish(name: str, found: float, wanted: float, holds: bool, word: str) -> dict:
    return {"figure": name, "found": found, "wanted": f"{word} {wanted:g}", "holds": "yes" if holds else "no"}


def _counts(row: dict) -> bool:
    return "frames_per_second" in row


def lines(found: dict, *, why_no_clip: str = "", picture: str = "") -> list[str]:
    """The report; `picture` is the timeline's file name."""
    device = found["machine"]["device"]
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    clip = f"Not run: {why_no_clip}." if found["clip"] is None else _clip_text(found["clip"], device, picture)
    parts = {"The device's steps": _throughput_text(found["throughput"], device), "A clip from photos to files": clip}
    if found["wanted"]:
        parts["Wanted"] = table(found["wanted"])
    lines = [f"# Benchmark of tracking on {device}", "", f"Command: `{found['command']}`", "", facts]
    for title, text in parts.items():
        lines += ["", f"## {title}, {device}", "", text]
    return lines


def _throughput_text(rows: list[dict], device: str) -> str:
    shown = [
        {name: value for name, value in row.items() if name not in ("frame_ms", "shares", "clip_frames")}
        | {f"{name} %": 100.0 * share for name, share in row.get("shares", {}).items()}
        for row in rows
    ]
    counted = [row for row in rows if _counts(row)]
    if not counted:
        return table(shown)
    largest = max(row["size"] for row in counted)
    best = max((row for row in counted if row["size"] == largest), key=lambda row: row["frames_per_second"])
    step = max(best["shares"], key=best["shares"].get)
    opening = (
        "Frames a second with everything compiled, and each step's share of the time. The stage `medium` "
        f"counts for the few frames that it sees of a clip of {best['clip_frames']}; what happens once a clip "
        "(smoothing, the person's albedo) is left out."
    )
    share = 100.0 * best["shares"][step]
    sentence = (
        f"At {largest} pixels the fastest is {best['chunk']} frames a chunk on {best['devices']} x {device}: "
        f"{best['frames_per_second']:.3g} frames/s, bound by `{step}` with {share:.0f} % of the time."
    )
    return "\n\n".join([opening, table(shown), sentence])


def _clip_text(clip: dict, device: str, picture: str) -> str:
    names = {"cold": "nothing compiled before", "warm": "everything compiled before", "long": "the same, a long clip"}
    rows = []
    for key, name in names.items():
        if run := clip.get(key):
            rate = {"seconds": run["seconds"], "frames/s": 1.0 / frame_seconds(run)}
            memory = {"peak MiB": run["peak_mib"], "device peak MiB": run["device_peak_mib"]}
            busy = {f"{lane} busy %": 100.0 * share for lane, share in run["busy"].items()}
            rows.append({"run": name, "frames": run["frames"], "ok": run["ok"], **rate, **memory, **busy})
    warm, single = clip["warm"], clip["single_seconds"]
    busiest = max(warm["busy"], key=warm["busy"].get)
    again = clip["retrace"]
    return "\n\n".join(
        [
            "Seconds of the whole process; how long each of the four was busy while it tracked.",
            table(rows),
            f"Bound by `{busiest}`, busy {100.0 * warm['busy'][busiest]:.0f} % of the time on {device}.",
            f"![Who was busy when, {device}]({picture})",
            f"A single photo, a process each, everything compiled: {sum(single) / len(single):.3g} s on {device}.",
            f"{again['frames']} frames compile {again['first']} programs, the next {again['frames']} in the same "
            f"process {again['second']}.",
        ]
    )


def table(rows: list[dict]) -> str:
    """Markdown of everything in the rows."""
    return "\n".join(every_column(rows))
