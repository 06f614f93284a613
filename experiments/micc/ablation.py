"""What each stage, way of fusing and preset does: shares of cases in which one is no worse than the other."""

import numpy as np
from accuracy_study.report import format_table

from micc import table
from micc.dataset import CONDITIONS
from micc.study import Case, Study

FIGURES = {"headline_mm": "error (mm)", "normal_degrees": "normal error (degrees)"}
STEPS = (("fine", "medium"), ("medium", "coarse"), ("fine", "coarse"))


def stage_rows(cases: list[Case], label: str) -> list[dict]:
    """By variant, figure and step: in which share of cases, of all and by condition, the later stage is no worse, and
    the mean change."""
    found = []
    for preset, fuse in dict.fromkeys((case.preset, case.fuse) for case in cases):
        own = [case for case in cases if (case.preset, case.fuse) == (preset, fuse)]
        for figure in FIGURES:
            for after, before in STEPS:
                pairs = [(case.errors[label][after][figure], case.errors[label][before][figure]) for case in own]
                found.append(
                    {"preset": preset, "fuse": fuse, "figure": figure, "after": after, "before": before}
                    | _compare(pairs, [case.condition for case in own])
                )
    return found


def variant_rows(cases: list[Case], label: str) -> list[dict]:
    """The fine mesh of each further variant against that of the first, video by video."""
    variants = list(dict.fromkeys((case.preset, case.fuse) for case in cases))
    by_video = {(case.preset, case.fuse, case.subject, case.condition): case for case in cases}
    found = []
    for other in variants[1:]:
        videos = [(case.subject, case.condition) for case in cases if (case.preset, case.fuse) == other]
        for figure in FIGURES:
            pairs = [
                tuple(by_video[(*variant, *video)].errors[label]["fine"][figure] for variant in (variants[0], other))
                for video in videos
            ]
            found.append(
                {"variant": variants[0], "other": other, "figure": figure}
                | _compare(pairs, [condition for _, condition in videos])
            )
    return found


def _compare(pairs: list[tuple[float, float]], conditions: list[str]) -> dict:
    """Shares of pairs whose first is at most the second, or equal to it (as where a stage was left out), and the mean
    of their difference."""
    first, second = np.array(pairs, np.float64).T
    holds = first <= second
    shares = {name: holds[np.array(conditions) == name] for name in CONDITIONS}
    return {
        "cases": len(pairs),
        "share": float(holds.mean()),
        "equal": float((first == second).mean()),
        "shares": {name: float(each.mean()) for name, each in shares.items() if len(each)},
        "change": float(np.mean(first - second)),
    }


def to_record(study: Study, label: str) -> dict:
    """All of it under one protocol, JSON-able; a study without cases has nothing."""
    if not study.cases:
        return {}
    normals = table.rows(study.cases, label, figure="normal_degrees")
    return {"normals": normals, "stages": stage_rows(study.cases, label), "variants": variant_rows(study.cases, label)}


def lines(study: Study, label: str) -> list[str]:
    """Normal errors, the shares and the comparison of variants, under one protocol; a study without cases has none."""
    if not study.cases:
        return []
    head = ["degrees, mean ± std", *(f"{name} ({table.count(study, name)})" for name in CONDITIONS)]
    normals = [
        [table.row_name(row), *(table.cell(row[name]) for name in CONDITIONS)]
        for row in table.rows(study.cases, label, figure="normal_degrees")
    ]
    cells = [["share of cases", "variant", "figure", "all", "equal in", *CONDITIONS, "mean change"]]
    for row in stage_rows(study.cases, label):
        variant = _variant_name((row["preset"], row["fuse"]))
        cells.append([f"{row['after']} <= {row['before']}", variant, FIGURES[row["figure"]], *_shares(row)])
    for row in variant_rows(study.cases, label):
        names = [_variant_name(row[key]) for key in ("variant", "other")]
        cells.append([" <= ".join(names), "fine meshes", FIGURES[row["figure"]], *_shares(row)])
    return [
        f"### Normal errors, {label}", "", *format_table([head, *normals]), "",
        f"### What each part does, {label}", "", *format_table(cells), "",
    ]  # fmt: skip


def _variant_name(variant: tuple[str, str]) -> str:
    preset, fuse = variant
    return fuse if preset == "default" else f"{fuse}, {preset} preset"


def _shares(row: dict) -> list[str]:
    shares = [row["share"], row["equal"], *(row["shares"].get(name) for name in CONDITIONS)]
    return ["-" if share is None else f"{100.0 * share:.0f} %" for share in shares] + [f"{row['change']:+.3f}"]
