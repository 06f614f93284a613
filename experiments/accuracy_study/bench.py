"""Errors on ray-traced pictures with exact truth, by the judge that comes with them: a program of its own, in a folder
that is no part of this repository. It runs the product, and what it wrote is grouped here."""

import json
import pathlib
import shlex
import subprocess
import sys

import numpy as np

from jaxface.types import FaceError

STAGES = ("coarse", "medium", "fine")
_SAME = 1.0005  # so much more counts as no worse: rounding


def judge(folder: pathlib.Path, work: pathlib.Path, *, model: str, pictures: str, flags: str = "") -> list[dict]:
    """Runs the judge for one face model; a record a picture, with the stages' RMSE in the face (mm) and normals
    (degrees) against the scan, and the normals and relief of visible skin.

    Raises FaceError where there is no judge, or it ends badly.
    """
    program = folder / "judge.py"
    if not program.exists():
        raise FaceError(f"There is no judge.py in {folder}: give the folder of the ray-traced pictures.")
    product = shlex.join([sys.executable, "-m", "jaxface"])
    command = [sys.executable, str(program.resolve()), "--jaxface", product, "--work", str(work.resolve())]
    command += ["--cases", pictures, f"--flags=--model={model} {flags}".rstrip()]
    if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode:
        raise FaceError('The judge ended badly; it needs `pip install -e ".[train]"`, and says why above.')
    return read(folder, work)


def read(folder: pathlib.Path, work: pathlib.Path) -> list[dict]:
    """The records of a run that is over."""
    stages = {stage: json.loads((work / f"{stage}.json").read_text()) for stage in STAGES}
    relief = json.loads((work / "relief.json").read_text())
    records = []
    for name in stages["coarse"]:
        case = json.loads((folder / "cases" / name / "case.json").read_text())
        record = {key: case.get(key) for key in ("case", "head", "light", "yaw_deg", "occluder")}
        for stage, found in stages.items():
            record |= {f"{stage}_{key}": found[name].get(key) for key in ("rmse_face", "normal_deg")}
        keys = ("skin_normal_deg_before", "skin_normal_deg_after", "relief_corr_3", "false_relief_px", "detail_valid")
        records.append(record | {key: relief[name].get(key) for key in keys})
    return records


def groups(records: list[dict]) -> dict[str, list[dict]]:
    """All, then by what is in front, yaw, light, and head."""
    bare = [record for record in records if not record["occluder"]]
    found = {"all": records, "bare": bare, "something in front": [r for r in records if r["occluder"]]}
    for degrees in (0, 15, 30):
        found[f"bare, yaw {degrees}"] = [r for r in bare if abs(round(r["yaw_deg"])) == degrees]
    for key, label in (("light", "bare, {} light"), ("head", "bare, head {}")):
        for value in sorted({record[key] for record in bare}):
            found[label.format(value)] = [record for record in bare if record[key] == value]
    return {name: rows for name, rows in found.items() if rows}


def row(records: list[dict]) -> dict[str, float | int]:
    """Means of a group; shares are of its pictures on which a stage is no worse than the one before."""
    found: dict[str, float | int] = {"pictures": len(records)}
    for key in ("rmse_face", "normal_deg"):
        for stage in STAGES:
            found[f"{stage} {key}"] = _mean([record[f"{stage}_{key}"] for record in records])
        for before, after in zip(STAGES, STAGES[1:], strict=False):
            pairs = [(r[f"{before}_{key}"], r[f"{after}_{key}"]) for r in records]
            kept = [b <= _SAME * a for a, b in pairs if a is not None and b is not None]
            found[f"{after} no worse, {key}"] = _mean([float(each) for each in kept])
    for key in ("skin_normal_deg_before", "skin_normal_deg_after", "false_relief_px"):
        found[key] = _mean([record[key] for record in records])
    found["relief_corr_3"] = _mean([record["relief_corr_3"] for record in records if record["detail_valid"]])
    return found


def _mean(values: list[float | None]) -> float:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")
