"""From records of single cases to a summary, and the summary as text."""

import numpy as np
from common import report

WORLDS = {
    "default": "default model + fields off its basis",
    "ict": "ICT-FaceKit",
    "ict off": "ICT-FaceKit + fields off its basis",
}
STAGES = {"landmarks": "coarse, landmarks", "coarse": "coarse", "medium": "medium", "fine": "fine"}
COMPARED = ("landmarks", "coarse", "fine")  # between models
EMBEDDED = "default"  # the model that others are compared with
VIEWS = {"all": lambda yaw: True, "frontal": lambda yaw: yaw == 0, "yaw 30": lambda yaw: yaw != 0}
COLUMNS = {
    "stage": ("stage", ""),
    "cases": ("cases", ""),
    "normal error (deg)": ("normal_degrees", ".2f"),
    "RMSE (mm)": ("rmse_mm", ".3f"),
    "hp relief, 2 mm": ("relief_hp2", ".3f"),
    "hp relief, 4 mm": ("relief_hp4", ".3f"),
    "hp correction, 2 mm": ("correction_hp2", ".3f"),
    "hp correction, 4 mm": ("correction_hp4", ".3f"),
    "hp height, 2 mm": ("height_hp2", ".3f"),
    "hp height, 4 mm": ("height_hp4", ".3f"),
}


def summarise(records: list[dict], models: list[str]) -> dict[str, object]:
    """Means per world, stage and model, how often a stage helped, how models compare, failures and stages left out."""
    worlds = {world: [r for r in records if r["world"] == world] for world in WORLDS}
    worlds = {world: found for world, found in worlds.items() if found}
    return {
        "tables": {world: _rows(found, models) for world, found in worlds.items()},
        "comparisons": {world: {m: _compare(found, m) for m in models} for world, found in worlds.items()},
        "models": [row for world, found in worlds.items() for row in _compare_models(world, found, models)],
        "failures": _reasons(records, "failures"),
        "left_out": _reasons(records, "left_out"),
    }


def _reasons(records: list[dict], key: str) -> dict[str, str]:
    return {f"{r['name']}, {what}": reason for r in records for what, reason in r[key].items()}


def _of(records: list[dict], model: str, preset: str) -> list[dict]:
    """Metrics by stage, of the cases that have such a run."""
    return [r["runs"][model][preset] for r in records if preset in r["runs"].get(model, {})]


def _rows(records: list[dict], models: list[str]) -> dict[str, dict]:
    references = [r["references"] for r in records]
    rows = {"MediaPipe mesh": _means(references, "mediapipe")}
    rows |= {f"{label}, {m}": _means(_of(records, m, "default"), key) for key, label in STAGES.items() for m in models}
    rows["true shape without relief"] = _means(references, "smooth truth")
    for m in models:
        with_paper = [r for r in records if "paper" in r["runs"].get(m, {})]
        rows[f"fine, {m}, on the paper preset's cases"] = _means(_of(with_paper, m, "default"), "fine")
        rows[f"fine, {m}, paper preset"] = _means(_of(with_paper, m, "paper"), "fine")
    return {name: row for name, row in rows.items() if row["cases"]}


def _means(results: list[dict], stage: str) -> dict[str, float]:
    found = [metrics[stage] for metrics in results if stage in metrics]
    keys = [key for key, style in COLUMNS.values() if style and found and key in found[0]]
    return {"cases": len(found)} | {key: float(np.mean([metrics[key] for metrics in found])) for key in keys}


def _compare(records: list[dict], model: str) -> dict[str, float]:
    """The stages of one model with each other."""
    done = _of(records, model, "default")
    if not done:
        return {}
    normals = {stage: _column(done, stage, "normal_degrees") for stage in STAGES}
    change = 100.0 * (_column(done, "fine", "rmse_mm") / _column(done, "medium", "rmse_mm") - 1.0)
    frontal = _of([r for r in records if r["yaw"] == 0], model, "default")
    return {
        "coarse_beats_landmarks": float(np.mean(normals["coarse"] < normals["landmarks"])),
        "medium_beats_coarse": float(np.mean(normals["medium"] < normals["coarse"])),
        "fine_beats_medium": float(np.mean(normals["fine"] < normals["medium"])),
        "worst_rmse_change_percent": float(np.max(change)),
        "frontal_cases": len(frontal),
        "frontal_relief_hp2": float(np.mean(_column(frontal, "fine", "relief_hp2"))) if frontal else 0.0,
        "frontal_relief_hp4": float(np.mean(_column(frontal, "fine", "relief_hp4"))) if frontal else 0.0,
    }


def _compare_models(world: str, records: list[dict], models: list[str]) -> list[dict]:
    """Mean RMSE of each model, all and by view, over the cases that every model has."""
    shared = [r for r in records if all("default" in r["runs"].get(m, {}) for m in models)]
    rows = {}
    for model in models:
        for view, belongs in VIEWS.items():
            seen = _of([r for r in shared if belongs(r["yaw"])], model, "default")
            if seen:
                row = {stage: float(np.mean(_column(seen, stage, "rmse_mm"))) for stage in COMPARED}
                rows[model, view] = {"world": world, "model": model, "view": view, "cases": len(seen)} | row
    for (model, view), row in rows.items():
        for stage in COMPARED:
            if (EMBEDDED, view) in rows:
                row[f"{stage}_to_embedded"] = row[stage] / rows[EMBEDDED, view][stage]
            if (model, "frontal") in rows:
                row[f"{stage}_to_frontal"] = row[stage] / rows[model, "frontal"][stage]
    return list(rows.values())


def _column(results: list[dict], stage: str, key: str) -> np.ndarray:
    return np.array([metrics[stage][key] for metrics in results])


def case_lines(record: dict) -> str:
    """One case, a line a model."""
    lines = [f"{record['name']}: failed: {what}: {reason}" for what, reason in record["failures"].items()]
    for model, presets in record["runs"].items():
        stages = presets["default"]
        found = {label: stages[key] for key, label in STAGES.items()}
        parts = [f"{label} {each['normal_degrees']:.2f} deg {each['rmse_mm']:.3f} mm" for label, each in found.items()]
        hp = f"hp {stages['fine']['relief_hp2']:.2f} {stages['fine']['relief_hp4']:.2f}"
        lines.append(f"{record['name']}, {model}: {', '.join(parts)}, {hp}")
    return "\n".join(lines)


def lines(summary: dict) -> list[str]:
    """Tables and sentences."""
    lines = []
    for world, rows in summary["tables"].items():
        named = [{"stage": name} | row for name, row in rows.items()]
        sentences = [line for m, figures in summary["comparisons"][world].items() for line in _sentences(m, figures)]
        lines += [f"## {WORLDS[world]}", "", *report.table(named, COLUMNS), "", *sentences, ""]
    lines += ["## Models: mean RMSE (mm)", "", *_model_table(summary["models"]), ""]
    lines += report.listed("Failures", summary["failures"]) + report.listed("Stages left out", summary["left_out"])
    return lines + [
        "Coarse, landmarks: the coarse fit before it goes on with the skin's shading; the medium stage gets coarse.",
        "All models are judged on the same pixels of a case. Normal error: mean angle over the pixels where the true"
        " face and all of ours are seen, without eyes, mouth, ears, neck and rim. RMSE: distance of the true points"
        " seen there from the mesh after similarity ICP, each mesh its own.",
        "hp: correlation of maps less their Gaussian mean (sigma as given), where the true face is turned from the"
        " viewer by at most 60 degrees. Relief is how far, along the normal, a surface lies above the smooth one"
        " under it (truth without wrinkles; our medium mesh); correction compares our relief with all that our medium"
        " mesh lacks.",
    ]


def _model_table(rows: list[dict]) -> list[str]:
    columns = {name: (name, "") for name in ("world", "model", "view", "cases")}
    cells = [list(columns), *([report.cell(row[name]) for name in columns] for row in rows)]
    for stage in COMPARED:
        cells[0] += [STAGES[stage], "/ embedded's", "/ frontal"]
        for line, row in zip(cells[1:], rows, strict=True):
            line += [report.cell(row.get(f"{stage}{of}"), ".3f") for of in ("", "_to_embedded", "_to_frontal")]
    return report.format_table(cells)


def _sentences(model: str, figures: dict[str, float]) -> list[str]:
    if not figures:
        return [f"With the model {model} no case ended with a face."]
    return [
        f"Model {model}, normal error: coarse below coarse by landmarks in"
        f" {100 * figures['coarse_beats_landmarks']:.0f} % of cases, medium below coarse in"
        f" {100 * figures['medium_beats_coarse']:.0f} %, fine below medium in"
        f" {100 * figures['fine_beats_medium']:.0f} %. Largest change of RMSE from medium to fine:"
        f" {figures['worst_rmse_change_percent']:+.2f} %. hp relief on the {figures['frontal_cases']} frontal cases:"
        f" {figures['frontal_relief_hp2']:.3f} (2 mm), {figures['frontal_relief_hp4']:.3f} (4 mm).",
        "",
    ]
