"""What the medium stage adds to the coarse shape: close-ups with the landmarks, and errors on faces of known shape.

    python experiments/medium_vs_coarse.py [PHOTO ...]

About 2 minutes for 6 rendered faces at 256 pixels on 2 cores. After Fig. 6 of Jin et al. (2021). For each photo, with
each preset: the photo with a box about the feature that the coarse shape misses most, both shapes, and both from near
with the landmarks, green where they were detected and orange where the mesh has them. Without photos, public-domain
portraits are shown, and rendered faces of known shape (those of accuracy.py's world "default") tell whether the medium
stage lowers the error, with MediaPipe's landmarks and with true ones. The medium shape is judged even where the
pipeline would fall back to the coarse one.

Expected: orange meets green closer in the medium shape than in the coarse one; with true landmarks the medium stage
lowers the errors; with detected ones it copies their noise into the surface, and the pipeline mostly falls back.

Writes medium_vs_coarse.md, .json (every case) and .png into --output_dir.
"""

import numpy as np
from absl import app, flags
from accuracy_study import faces
from figure_study import closeups, markdown, panels, portraits, two_shapes
from matplotlib.figure import Figure
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.models import store
from jaxface.presets import PRESETS
from jaxface.types import FaceError, MorphableModel

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
SIZE = flags.DEFINE_integer(
    "size", None, "side of photographs and crops, pixels; 512, or 128 with --smoke", lower_bound=64
)
CASES = flags.DEFINE_integer("cases", None, "rendered faces; 12, or 2 with --smoke", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the rendered faces")
SMOKE = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")

_NOTE = (
    "Means over rendered faces of known shape. Normal error: mean angle over the skin that is seen. RMSE: of its points"
    " from the mesh after similarity ICP, each mesh its own. Kept: in how many cases the pipeline's own check, which"
    " knows no truth, goes on with the medium shape; in the others it falls back to the coarse one."
)


def draw(photos: dict[str, np.ndarray], model: MorphableModel, *, size: int) -> tuple[Figure, list[dict]]:
    """A row for each photo and preset; how far the landmarks are off. Raises FaceError without a face."""
    rows, captions, distances = {}, {}, []
    for name, image in photos.items():
        with portraits.named(name):
            landmarks = find_landmarks(image)[0]
            fits = {
                preset: two_shapes.fit_shapes(image, landmarks, model, preset=preset, size=size) for preset in PRESETS
            }
        window = None
        for preset, shapes in fits.items():
            found = two_shapes.points(shapes, landmarks, model)
            apart = two_shapes.distances_mm(found, shapes, model)
            if window is None:  # one for all presets
                focus = max(apart, key=lambda feature: apart[feature]["coarse"])
                inside = found.detected_px[two_shapes.features(found, model)[focus]]
                window = closeups.around(two_shapes.to_crop(inside, shapes.face.crop), margin=1.2)
            row = f"{name}, {preset}"
            rows[row] = two_shapes.pictures(shapes, found, window, model, size=size)
            texts = {f"{stage}, close-up": f"{off_mm:.2f} mm off" for stage, off_mm in apart[focus].items()}
            captions[row] = texts | {"photo": focus}
            distances.append({"photo": name, "preset": preset, "focus": focus, "landmarks_off_mm": apart})
    return panels.grid(rows, captions=captions), distances


def measure(model: MorphableModel, *, count: int, size: int, seed: int) -> tuple[list[dict], dict[str, str]]:
    """One record for each case, kind of landmarks and preset; and why cases are missing."""
    records, failures = [], {}
    for case in tqdm(faces.make_cases("default", count=count), unit="case"):
        truth = faces.default_truth(case, size=size, seed=seed)
        try:
            kinds = {"true": truth.landmarks, "detected": find_landmarks(truth.image)[0]}
            fits = {
                (kind, preset): two_shapes.fit_shapes(truth.image, landmarks, model, preset=preset, size=size)
                for kind, landmarks in kinds.items()
                for preset in PRESETS
            }
        except FaceError as error:
            failures[case.name] = str(error)
            continue
        for (kind, preset), stages in two_shapes.errors(truth, fits, model).items():
            records.append({"case": case.name, "landmarks": kind, "preset": preset} | stages)
            records[-1]["kept"] = fits[kind, preset].kept
    return records, failures


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    size = SIZE.value or (128 if SMOKE.value else 512)
    count = CASES.value or (2 if SMOKE.value else 12)
    photos = portraits.load(arguments[1:])
    photos = dict(list(photos.items())[:1]) if SMOKE.value else photos
    try:
        model = store.resolve(MODEL.value)
        figure, distances = draw(photos, model, size=size)
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    settings = {"model": MODEL.value, "size": size, "photos": list(photos)}
    record, text = {"landmarks_off_mm": distances}, []
    if len(arguments) == 1:
        settings |= {"cases": count, "seed": SEED.value}
        cases, failures = measure(model, count=count, size=size, seed=SEED.value)
        rows = two_shapes.summarise(cases)
        record |= {"summary": rows, "failures": failures, "cases": cases}
        text = [
            *two_shapes.table(rows),
            "",
            f"Failures: {len(failures)}.",
            *(f"- {k}: {why}" for k, why in failures.items()),
            "",
        ]
        text += [_NOTE]
    lines = markdown.head("Medium stage against coarse stage", settings)
    markdown.write(OUTPUT_DIR.value, "medium_vs_coarse", [*lines, *text], {"settings": settings, **record}, figure)


if __name__ == "__main__":
    app.run(main)
