"""From cases to tables, a CSV row for each mesh, and box plots. Two protocols never share a column."""

import collections
import os

import numpy as np
from common.report import format_table, write_csv
from matplotlib.figure import Figure

from jaxface.evaluation.protocols import Protocol
from micc.dataset import CONDITIONS
from micc.people import STAGES, Variant
from micc.study import Case, Study

# Jin et al. (2021) Table 1: mean and standard deviation by condition, mm; the first three are Deng et al.'s (2019).
PAPER_PROTOCOL = "micc-deng2019"
PAPER = {
    "Tran et al. 2017, as cited there": ((1.97, 0.49), (2.03, 0.45), (1.93, 0.49)),
    "Genova et al. 2018, as cited there": ((1.78, 0.54), (1.78, 0.52), (1.76, 0.54)),
    "Deng et al. 2019, as cited there": ((1.66, 0.52), (1.66, 0.46), (1.69, 0.53)),
    "Jin et al. 2021, as printed": ((1.59, 0.37), (1.55, 0.43), (1.61, 0.28)),
}
_COLOURS = {"coarse": "#9ecae1", "medium": "#4292c6", "fine": "#08519c"}


def rows(cases: list[Case], label: str, *, figure: str = "headline_mm") -> list[dict]:
    """Mean, standard deviation (over the meshes, not an estimate of the population's) and number of meshes under one
    protocol, by variant, stage and condition."""
    return [
        {**variant._asdict(), "stage": stage}
        | {condition: _statistics(values(cases, label, variant, stage, condition, figure)) for condition in CONDITIONS}
        for variant in variants(cases)
        for stage in STAGES
    ]


def variants(cases: list[Case]) -> list[Variant]:
    """Those that there are, in order."""
    return list(dict.fromkeys(case.variant for case in cases))


def values(
    cases: list[Case], label: str, variant: Variant, stage: str, condition: str, figure: str = "headline_mm"
) -> np.ndarray:
    """A figure of every mesh of one kind."""
    chosen = [case for case in cases if (case.variant, case.condition) == (variant, condition)]
    return np.array([case.errors[label][stage][figure] for case in chosen], np.float64)


def _statistics(found: np.ndarray) -> dict[str, float]:
    if not len(found):
        return {"meshes": 0}
    return {"mean": float(found.mean()), "std": float(found.std()), "meshes": len(found)}


def row_name(row: dict) -> str:
    """Stage and variant in words."""
    variant = Variant(*(row[field] for field in Variant._fields))
    fused = {"bundle": "one identity fitted to all frames", "mean": "mean of the frames"}[variant.fuse]
    return f"ours, {row['stage']}, {fused}{variant.differences}"


def protocol_lines(study: Study, protocol: Protocol, *, beside_paper: bool) -> list[str]:
    """A section with one protocol's table; the paper's rows only under the very protocol that is said to be theirs."""
    found = rows(study.cases, protocol.label)
    cells = [["mm, mean ± std", *(f"{condition} ({count(study, condition)})" for condition in CONDITIONS)]]
    if beside_paper and protocol.label == PAPER_PROTOCOL:
        cells += [[name, *(f"{mean:.2f} ± {std:.2f}" for mean, std in line)] for name, line in PAPER.items()]
    cells += [[row_name(row), *(cell(row[condition]) for condition in CONDITIONS)] for row in found]
    return [f"## Protocol {protocol.label}", "", *format_table(cells), "", f"In full: {protocol.text}.", ""]


def cell(statistics: dict[str, float], digits: int = 2) -> str:
    """Mean and spread; of one mesh there is no spread."""
    if not statistics["meshes"]:
        return "-"
    mean = f"{statistics['mean']:.{digits}f}"
    return mean if statistics["meshes"] == 1 else f"{mean} ± {statistics['std']:.{digits}f}"


def count(study: Study, condition: str) -> str:
    """How many videos of a condition count."""
    number = len({case.subject for case in study.cases if case.condition == condition})
    return f"{number} video" + ("" if number == 1 else "s")


def used(study: Study) -> dict[str, int]:
    """Subjects, videos and frames that count, of how many subjects; frames are those of a video's first variant."""
    by_video = {(case.subject, case.condition): case.frames for case in reversed(study.cases)}
    return {
        "subjects": len({subject for subject, _ in by_video}),
        "of_subjects": study.num_subjects,
        "videos": len(by_video),
        "frames": sum(frames["ok"] for frames in by_video.values()),
        "of_frames": sum(sum(frames.values()) for frames in by_video.values()),
    }


def used_lines(study: Study, *, smoke: bool) -> list[str]:
    """What was used and what was not, in sentences."""
    used_here = used(study)
    counts = collections.Counter(note for case in study.cases for note in case.notes)
    notes = [f"{note} ({number} of {len(study.cases)} runs)" for note, number in counts.items()]
    lines = ["A smoke run: its figures mean nothing.", ""] if smoke else []
    lines += [
        f"Used: {used_here['subjects']} of {used_here['of_subjects']} subjects, {used_here['videos']} videos,"
        f" {used_here['frames']} of {used_here['of_frames']} sampled frames.",
        "",
    ]
    for title, sentences in (("Left out", study.complaints), ("To know", notes)):
        if sentences:
            lines += [f"{title}:", "", *(f"- {sentence}" for sentence in sentences), ""]
    return lines


def to_record(study: Study, protocols: tuple[Protocol, ...]) -> dict:
    """All figures, JSON-able."""
    return {
        "used": used(study),
        "left_out": study.complaints,
        "protocols": {each.label: {"text": each.text, "rows": rows(study.cases, each.label)} for each in protocols},
        "cases": [case._asdict() | {"variant": case.variant._asdict()} for case in study.cases],
    }


def write_meshes(path: str | os.PathLike, study: Study) -> None:
    """A CSV row for each mesh and protocol."""
    lines = [
        {"subject": case.subject, "condition": case.condition, "protocol": label}
        | case.variant._asdict()
        | {"stage": stage, "frames": case.frames["ok"]}
        | figures
        for case in study.cases
        for label, stages in case.errors.items()
        for stage, figures in stages.items()
    ]
    write_csv(path, lines, names=("subject",))


def draw(study: Study, protocols: tuple[Protocol, ...], *, title: str) -> Figure:
    """A panel for each protocol and condition: a box for each stage and variant, with the meshes as dots."""
    places = [(variant, stage) for variant in variants(study.cases) for stage in STAGES]
    names = ["\n".join([stage, *variant.name.replace(",", "").split()]) for variant, stage in places]
    size = (3.0 + 0.5 * len(CONDITIONS) * max(len(places), 3), 0.7 + 2.9 * len(protocols))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(len(protocols), len(CONDITIONS), squeeze=False, sharey="row")
    for line, protocol in zip(panels, protocols, strict=True):
        for panel, condition in zip(line, CONDITIONS, strict=True):
            columns = [values(study.cases, protocol.label, *place, condition) for place in places]
            _boxes(panel, columns, [stage for *_, stage in places])
            panel.set_title(f"{condition}, {count(study, condition)}", fontsize=9)
            panel.set_xticks(range(len(places)), names, fontsize=7)
            panel.set_xlim(-0.7, max(len(places), 1) - 0.3)
            panel.grid(axis="y", alpha=0.3)
        line[0].set_ylabel(f"{protocol.label}\nerror (mm)", fontsize=9)
    return figure


def _boxes(panel, columns: list[np.ndarray], stages: list[str]) -> None:
    for place, (column, stage) in enumerate(zip(columns, stages, strict=True)):
        if len(column):
            box = panel.boxplot(
                [column], positions=[place], widths=0.6, patch_artist=True, showfliers=False, manage_ticks=False,
                medianprops={"color": "black"},
            )  # fmt: skip
            box["boxes"][0].set_facecolor(_COLOURS[stage])
            panel.plot(np.full(len(column), place), column, "o", color="black", markersize=2.5, alpha=0.6)
