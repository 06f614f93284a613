"""From records of single cases to a summary, and the summary as text."""

import importlib.metadata
import os

import jax
import numpy as np

WORLDS = {"default": "default model + fields off its basis", "ict": "ICT-FaceKit"}
# Name of the row: preset and stage it is taken from.
ROWS = {
    "MediaPipe mesh": ("default", "mediapipe"),
    "coarse": ("default", "coarse"),
    "medium": ("default", "medium"),
    "fine": ("default", "fine"),
    "true shape without relief": ("default", "smooth truth"),
}
COLUMNS = {
    "normal error (deg)": ("normal_degrees", ".2f"),
    "RMSE (mm)": ("rmse_mm", ".3f"),
    "hp relief, 2 mm": ("relief_hp2", ".3f"),
    "hp relief, 4 mm": ("relief_hp4", ".3f"),
    "hp correction, 2 mm": ("correction_hp2", ".3f"),
    "hp correction, 4 mm": ("correction_hp4", ".3f"),
    "hp height, 2 mm": ("height_hp2", ".3f"),
    "hp height, 4 mm": ("height_hp4", ".3f"),
}


def environment() -> dict[str, object]:
    """Versions and kind of machine; nothing that names it."""
    versions = {}
    for name in ("jaxface", "jax", "numpy", "scipy", "mediapipe"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return {"machine": f"{os.cpu_count()}-core CPU, JAX on {jax.default_backend()}", "versions": versions}


def summarise(records: list[dict]) -> dict[str, object]:
    """Means per world and stage, how often a stage helped, failures and stages left out."""
    worlds = [world for world in WORLDS if any(r["world"] == world for r in records)]
    return {
        "tables": {world: _rows([r for r in records if r["world"] == world]) for world in worlds},
        "comparisons": {world: _compare([r for r in records if r["world"] == world]) for world in worlds},
        "failures": {r["name"]: r["failure"] for r in records if "failure" in r},
        "left_out": {r["name"]: r["left_out"] for r in records if r.get("left_out")},
    }


def _rows(records: list[dict]) -> dict[str, dict]:
    rows = {name: _means(records, *source) for name, source in ROWS.items()}
    with_paper = [r for r in records if "paper" in r]
    rows["fine, on the paper preset's cases"] = _means(with_paper, "default", "fine")
    rows["fine, paper preset"] = _means(with_paper, "paper", "fine")
    return {name: row for name, row in rows.items() if row["cases"]}


def _means(records: list[dict], preset: str, stage: str) -> dict[str, float]:
    found = [r[preset][stage] for r in records if stage in r.get(preset, {})]
    keys = [key for key, _ in COLUMNS.values() if found and key in found[0]]
    return {"cases": len(found)} | {key: float(np.mean([metrics[key] for metrics in found])) for key in keys}


def _compare(records: list[dict]) -> dict[str, float]:
    done = [r for r in records if "default" in r]
    if not done:
        return {}
    normals = {stage: _column(done, stage, "normal_degrees") for stage in ("coarse", "medium", "fine")}
    change = 100.0 * (_column(done, "fine", "rmse_mm") / _column(done, "medium", "rmse_mm") - 1.0)
    frontal = [r for r in done if r["yaw"] == 0]
    return {
        "medium_beats_coarse": float(np.mean(normals["medium"] < normals["coarse"])),
        "fine_beats_medium": float(np.mean(normals["fine"] < normals["medium"])),
        "worst_rmse_change_percent": float(np.max(change)),
        "frontal_cases": len(frontal),
        "frontal_relief_hp2": float(np.mean(_column(frontal, "fine", "relief_hp2"))) if frontal else 0.0,
        "frontal_relief_hp4": float(np.mean(_column(frontal, "fine", "relief_hp4"))) if frontal else 0.0,
    }


def _column(records: list[dict], stage: str, key: str) -> np.ndarray:
    return np.array([r["default"][stage][key] for r in records])


def case_line(record: dict) -> str:
    """One case in one line."""
    if "failure" in record:
        return f"{record['name']}: failed: {record['failure']}"
    parts = []
    for stage in ("coarse", "medium", "fine"):
        metrics = record["default"][stage]
        parts.append(f"{stage} {metrics['normal_degrees']:.2f} deg {metrics['rmse_mm']:.3f} mm")
    fine = record["default"]["fine"]
    return f"{record['name']}: {', '.join(parts)}, hp {fine['relief_hp2']:.2f} {fine['relief_hp4']:.2f}"


def to_markdown(summary: dict, settings: dict, around: dict) -> str:
    """Tables and sentences, the same for the console and for the file."""
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    chosen = ", ".join(f"{name} {value}" for name, value in settings.items())
    lines = ["# Accuracy on rendered faces", "", f"Settings: {chosen}.", f"On a {around['machine']}; {versions}.", ""]
    for world, rows in summary["tables"].items():
        lines += [f"## {WORLDS[world]}", "", *_table(rows), "", *_sentences(summary["comparisons"][world]), ""]
    for title, entries in (("Failures", summary["failures"]), ("Stages left out", summary["left_out"])):
        lines += [f"{title}: {len(entries)}.", *(f"- {name}: {reason}" for name, reason in entries.items()), ""]
    lines += [
        "Normal error: mean angle over the pixels where the true face and all of ours are seen, without eyes, mouth and"
        " rim. RMSE: distance of the true points seen there from the mesh after similarity ICP, each mesh its own.",
        "hp: correlation of maps less their Gaussian mean (sigma as given), where the true face is turned from the"
        " viewer by at most 60 degrees. Relief is how far, along the normal, a surface lies above the smooth one"
        " under it (truth without wrinkles; our medium mesh); correction compares our relief with all that our medium"
        " mesh lacks.",
    ]
    return "\n".join(lines) + "\n"


def _table(rows: dict[str, dict]) -> list[str]:
    cells = [["stage", "cases", *COLUMNS]]
    for name, row in rows.items():
        values = [format(row[key], style) if key in row else "-" for key, style in COLUMNS.values()]
        cells.append([name, str(row["cases"]), *values])
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return [text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]]


def _sentences(figures: dict[str, float]) -> list[str]:
    if not figures:
        return ["No case ended with a face."]
    return [
        f"Normal error: medium below coarse in {100 * figures['medium_beats_coarse']:.0f} % of cases, fine below medium"
        f" in {100 * figures['fine_beats_medium']:.0f} %. Largest change of RMSE from medium to fine:"
        f" {figures['worst_rmse_change_percent']:+.2f} %.",
        f"hp relief on the {figures['frontal_cases']} frontal cases: {figures['frontal_relief_hp2']:.3f} (2 mm),"
        f" {figures['frontal_relief_hp4']:.3f} (4 mm).",
    ]
