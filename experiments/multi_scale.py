"""Detail of two scales: the medium shape, then phase 1 and phase 2 of the fine stage, from near and in numbers.

    python experiments/multi_scale.py [PHOTO ...]

About 4 minutes for 4 rendered faces at 256 pixels on 2 cores. After Fig. 7 of Jin et al. (2021). For each photo, with
each preset: the photo, the medium shape and the shapes after both phases, whole and, below, the window in which the
fine stage of the default preset changes most. Without photos, public-domain portraits are shown, and rendered faces of
known shape (those of accuracy.py's world "default") tell the error of each stage on MediaPipe's landmarks. A stage that
fails the pipeline's checks gives way to the one before, as for any user; the table tells how often.

Expected: with the default preset the normal error falls from medium to phase 1, and the relief correlates with the true
one; with the paper's weights errors rise, most in phase 2.

Writes multi_scale.md, .json (every case) and .png into --output_dir.
"""

import numpy as np
from absl import app, flags
from accuracy_study import faces
from figure_study import markdown, panels, portraits, scales
from matplotlib.figure import Figure
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.models import store
from jaxface.pipeline import reconstruct
from jaxface.presets import PRESETS
from jaxface.types import FaceError, MorphableModel, Reconstruction

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
SIZE = flags.DEFINE_integer(
    "size", None, "side of photographs and crops, pixels; 512, or 128 with --smoke", lower_bound=64
)
CASES = flags.DEFINE_integer("cases", None, "rendered faces; 6, or 1 with --smoke", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the rendered faces")
SMOKE = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")

_NOTE = (
    "Means over rendered faces of known shape. Normal error: mean angle over the skin that is seen. RMSE: of its points"
    " from the mesh after similarity ICP, each mesh its own. hp: correlation with the true map, both less their"
    " Gaussian mean (sigma as given); height: of the whole shape; relief: of what the fine stage added to the medium"
    " shape with the wrinkles, lumps and pores of the truth."
)


def left_out(rec: Reconstruction) -> dict[str, str]:
    """Stages that gave way, and why."""
    return {stage.name: stage.reason for stage in rec.stages if stage.status != "ok"}


def both_presets(image: np.ndarray, model: MorphableModel, *, size: int) -> dict[str, Reconstruction]:
    """A reconstruction with each preset, on the same landmarks. Raises FaceError without a face."""
    landmarks = find_landmarks(image)[0]
    return {
        preset: reconstruct(image, model=model, landmarks=landmarks, preset=preset, size=size) for preset in PRESETS
    }


def draw(photos: dict[str, np.ndarray], model: MorphableModel, *, size: int) -> tuple[Figure, dict]:
    """Two rows for each photo and preset; stages that gave way, by row."""
    rows, gone = {}, {}
    for name, image in photos.items():
        with portraits.named(name):
            recs = both_presets(image, model, size=size)
        window = scales.busiest(recs["default"])
        for preset, rec in recs.items():
            row = f"{name}, {preset}"
            rows[row], rows[f"{row}, close"] = scales.pictures(rec, window)
            gone[row] = left_out(rec)
    return panels.grid(rows), gone


def measure(model: MorphableModel, *, count: int, size: int, seed: int) -> tuple[list[dict], dict[str, str]]:
    """One record for each case and preset; and why cases are missing."""
    records, failures = [], {}
    for case in tqdm(faces.make_cases("default", count=count), unit="case"):
        truth = faces.default_truth(case, size=size, seed=seed)
        try:
            recs = both_presets(truth.image, model, size=size)
        except FaceError as error:
            failures[case.name] = str(error)
            continue
        for preset, stages in scales.stage_errors(truth, recs, model).items():
            record = {"case": case.name, "preset": preset, "left_out": left_out(recs[preset])}
            records.append(record | {"stages": stages})
    return records, failures


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    size = SIZE.value or (128 if SMOKE.value else 512)
    count = CASES.value or (1 if SMOKE.value else 6)
    photos = portraits.load(arguments[1:])
    photos = dict(list(photos.items())[:1]) if SMOKE.value else photos
    try:
        model = store.resolve(MODEL.value)
        figure, gone = draw(photos, model, size=size)
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    settings = {"model": MODEL.value, "size": size, "photos": list(photos)}
    record, text = {"photos_left_out": gone}, []
    if len(arguments) == 1:
        settings |= {"cases": count, "seed": SEED.value}
        cases, failures = measure(model, count=count, size=size, seed=SEED.value)
        rows = scales.summarise(cases)
        record |= {"summary": rows, "failures": failures, "cases": cases}
        gone = gone | {f"{case['case']}, {case['preset']}": case["left_out"] for case in cases}
        text = [*scales.table(rows), "", _NOTE, "", f"Failures: {len(failures)}."]
        text += [f"- {name}: {reason}" for name, reason in failures.items()] + [""]
    entries = [f"- {name}: {stage}: {reason}" for name, of in gone.items() for stage, reason in of.items()]
    text += [f"Stages left out: {len(entries)}.", *entries]
    lines = markdown.head("Medium shape and the two phases of the fine stage", settings)
    markdown.write(OUTPUT_DIR.value, "multi_scale", [*lines, *text], {"settings": settings, **record}, figure)


if __name__ == "__main__":
    app.run(main)
