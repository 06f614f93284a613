"""What each stage, way of fusing and preset does: shares of cases in which one is no worse than the other."""

import numpy as np
from common.report import format_table

from micc import table
from micc.dataset import CONDITIONS
from micc.people import Variant
from micc.study import Case, Study

FIGURES = {"headline_mm": "error (mm)", "normal_degrees": "normal error (degrees)"}
STEPS = (("fine", "medium"), ("medium", "coarse"), ("fine", "coarse"))


def stage_rows(cases: list[Case], label: str) -> list[dict]:
    """By variant, figure and step: in which share of cases, of all and by condition, the later stage is no worse, and
    the mean change."""
    found = []
    for variant in table.variants(cases):
        own = [case for case in cases if case.variant == variant]
        for figure in FIGURES:
            for after, before in STEPS:
                pairs = [(case.errors[label][after][figure], case.errors[label][before][figure]) for case in own]
                found.append(
                    {**variant._asdict(), "figure": figure, "after": after, "before": before}
                    | _compare(pairs, [case.condition for case in own])
                )
    return found


def variant_rows(cases: list[Case], label: str) -> list[dict]:
    """The fine mesh of each further variant against that of the first, video by video."""
    first, *others = table.variants(cases)
    by_video = {(case.variant, case.subject, case.condition): case for case in cases}
    found = []
    for other in others:
        videos = [(case.subject, case.condition) for case in cases if case.variant == other]
        for figure in FIGURES:
            pairs = [
                tuple(by_video[(variant, *video)].errors[label]["fine"][figure] for variant in (first, other))
                for video in videos
            ]
            found.append(
                {"variant": first.name, "other": other.name, "figure": figure}
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
        variant = Variant(*(row[field] for field in Variant._fields))
        cells.append([f"{row['after']} <= {row['before']}", variant.name, FIGURES[row["figure"]], *_shares(row)])
    for row in variant_rows(study.cases, label):
        names = f"{row['variant']} <= {row['other']}"
        cells.append([names, "fine meshes", FIGURES[row["figure"]], *_shares(row)])
    return [
        f"### Normal errors, {label}", "", *format_table([head, *normals]), "",
        f"### What each part does, {label}", "", *format_table(cells), "",
    ]  # fmt: skip


def _shares(row: dict) -> list[str]:
    shares = [row["share"], row["equal"], *(row["shares"].get(name) for name in CONDITIONS)]
    return ["-" if share is None else f"{100.0 * share:.0f} %" for share in shares] + [f"{row['change']:+.3f}"]
