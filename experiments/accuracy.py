"""Errors of every stage on rendered faces whose shape is known.

    python experiments/accuracy.py

About 20 minutes on 2 cores at 512 pixels. Writes experiments/results/accuracy.json (every case) and accuracy.md (the
tables that are printed). Expected: in normal error, fine below medium below coarse.

Two kinds of faces. "default": the embedded model, bent by smooth fields outside its basis, with creases, lumps and
pores (jaxface/synthetic.py). "ict": ICT-FaceKit's geometry with the same relief and paint; it needs the data set
(github.com/ICT-VGL/ICT-FaceKit, folder FaceXModel), named by --ict_dir, and is skipped where it is missing.
"""

import functools
import importlib.util
import json
import os
import pathlib

from absl import app, flags
from accuracy_study import compare, faces, ict, report
from tqdm import tqdm

from jaxface.pipeline import reconstruct
from jaxface.types import FaceError

IDENTITIES = flags.DEFINE_integer("identities", 8, "different faces of each kind", lower_bound=1)
CASES = flags.DEFINE_integer("cases", 24, "photographs of the default model's faces", lower_bound=0)
ICT_CASES = flags.DEFINE_integer("ict_cases", 8, "photographs of ICT-FaceKit faces", lower_bound=0)
ICT_DIR = flags.DEFINE_string(
    "ict_dir", None, "FaceXModel folder, or the tar that holds it; default: in $JAXFACE_TEST_DATA or ../shared/data"
)
SIZE = flags.DEFINE_integer("size", 512, "side of the photographs and of the fine stage's crop, pixels", lower_bound=64)
LANDMARKS = flags.DEFINE_enum(
    "landmarks", None, ["detected", "true"], "MediaPipe's, or true ones with noise; default: MediaPipe's if installed"
)
PAPER_CASES = flags.DEFINE_integer("paper_cases", 4, "cases that also run the (slow) paper preset", lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "of faces, poses and noise")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where accuracy.json and accuracy.md go")
VERBOSE = flags.DEFINE_bool("verbose", False, "print a line for each case")


def find_ict(path: str | None) -> pathlib.Path | None:
    """The ICT-FaceKit data, or None with a printed reason."""
    if path is not None:
        if not pathlib.Path(path).exists():
            raise app.UsageError(f"--ict_dir={path} does not exist; name the FaceXModel folder or the tar.")
        return pathlib.Path(path)
    beside = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("JAXFACE_TEST_DATA", beside))
    for candidate in (folder / "FaceXModel", folder / "ict-facekit.tar.xz"):
        if candidate.exists():
            return candidate
    print("ICT-FaceKit is left out: neither --ict_dir nor $JAXFACE_TEST_DATA leads to it.")
    return None


def measure(truth: faces.Truth, *, size: int, seed: int, detected: bool, with_paper: bool) -> dict[str, object]:
    """Metrics of all stages with the default preset, and with the paper's if wanted; or why there are none."""
    record = {}
    landmarks = None if detected else faces.noisy_landmarks(truth, seed=seed)
    try:
        for preset in ("default", "paper") if with_paper else ("default",):
            rec = reconstruct(truth.image, landmarks=landmarks, preset=preset, size=size)
            landmarks = rec.landmarks
            record[preset] = compare.evaluate(truth, rec, detected=detected)
            if preset == "default":
                record["left_out"] = "; ".join(f"{s.name}: {s.reason}" for s in rec.stages if s.status != "ok")
    except FaceError as error:
        record["failure"] = str(error)
    return record


def run(
    cases: list[faces.Case],
    *,
    ict_path: pathlib.Path | None,
    size: int,
    seed: int,
    detected: bool,
    paper_cases: int,
    verbose: bool,
) -> list[dict]:
    """One record a case."""
    worlds = {"default": faces.default_truth}
    if ict_path is not None:
        worlds["ict"] = functools.partial(ict.ict_truth, ict=ict.load(ict_path))
    # Evenly over the cases.
    with_paper = {round((k + 0.5) * len(cases) / paper_cases - 0.5) for k in range(min(paper_cases, len(cases)))}
    records = []
    for index, case in enumerate(tqdm(cases, unit="case")):
        truth = worlds[case.world](case, size=size, seed=seed)
        record = {"name": case.name, "world": case.world, "light": case.light, "yaw": case.yaw}
        noise_seed = seed + 1000 * index
        record |= measure(truth, size=size, seed=noise_seed, detected=detected, with_paper=index in with_paper)
        records.append(record)
        if verbose:
            tqdm.write(report.case_line(record))
    return records


def main(_) -> None:
    """Cases, records, table, files."""
    ict_path = find_ict(ICT_DIR.value) if ICT_CASES.value else None
    cases = faces.make_cases("default", identities=IDENTITIES.value, count=CASES.value)
    if ict_path is not None:
        cases += faces.make_cases("ict", identities=IDENTITIES.value, count=ICT_CASES.value)
    detected = LANDMARKS.value == "detected"
    if LANDMARKS.value is None:
        detected = importlib.util.find_spec("mediapipe") is not None
    records = run(
        cases, ict_path=ict_path, size=SIZE.value, seed=SEED.value, detected=detected,
        paper_cases=PAPER_CASES.value, verbose=VERBOSE.value,
    )  # fmt: skip
    settings = {
        "cases": len(records), "identities": IDENTITIES.value, "size": SIZE.value, "seed": SEED.value,
        "landmarks": "detected" if detected else "true + noise",
    }  # fmt: skip
    summary, around = report.summarise(records), report.environment()
    text = report.to_markdown(summary, settings, around)
    folder = pathlib.Path(OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accuracy.md").write_text(text)
    stored = {"settings": settings, **around, "summary": summary, "cases": records}
    (folder / "accuracy.json").write_text(json.dumps(stored, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    app.run(main)
