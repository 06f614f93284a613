"""Skin, brows and lips of a face, as the colour term of Eq. 6 takes them, and the mean colours that it draws to.

    python experiments/segmentation.py [PHOTO ...]

About a minute for 4 rendered faces at 256 pixels on 2 cores. After Fig. 4 of Jin et al. (2021). For each photo, preset
and parser: the crop, the regions (skin in orange, brows in blue, lips in red), and gamma_avg of Eq. 6. Parsers: the
fitted mesh, whose regions are known; and the network bisenet, which the paper uses, where its weights are installed.
Without photos, public-domain portraits are shown, and rendered faces whose regions are known (those of accuracy.py's
world "default") tell the overlap with the truth, with MediaPipe's landmarks.

Expected: by the mesh, skin overlaps nearly wholly; thin regions, brows above all, less. Brows lie outside the mask in
which Eq. 6 counts here, as their hair is no relief; their mean colour is that of their fringe.

Writes segmentation.md, .json (every case) and .png into --output_dir.
"""

from absl import app, flags
from accuracy_study import faces
from albedo_study import regions
from figure_study import markdown, panels, portraits
from tqdm import tqdm

from jaxface.models import store
from jaxface.types import FaceError, MorphableModel

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
SIZE = flags.DEFINE_integer("size", None, "side of photographs and crops, pixels; 512, or 128 with --smoke")
CASES = flags.DEFINE_integer("cases", None, "rendered faces; 12, or 2 with --smoke", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the rendered faces")
SMOKE = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")

_NOTE = (
    "IoU: intersection over union with the true region, mean over rendered faces with MediaPipe's landmarks; eyes and"
    " open mouths, which Eq. 6 gives no region, do not count."
)


def measure(model: MorphableModel, parsers: regions.Parsers, *, count: int, size: int, seed: int) -> tuple[dict, dict]:
    """Figures and failures by case."""
    found, failures = {}, {}
    for case in tqdm(faces.make_cases("default", count=count), unit="case"):
        try:
            found[case.name] = regions.measure(case, model, parsers, size=size, seed=seed)
        except FaceError as error:
            failures[case.name] = str(error)
    return found, failures


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    size = SIZE.value or (128 if SMOKE.value else 512)
    count = CASES.value or (2 if SMOKE.value else 12)
    photos, rows = portraits.load(arguments[1:]), {}
    if SMOKE.value:
        photos = dict([*photos.items()][:1])
    parsers = regions.find_parsers()
    text = [f"Without the network bisenet: {parsers.reason}", ""] if parsers.reason else []
    try:
        model = store.resolve(MODEL.value)
        for name, image in photos.items():
            for (preset, parser), inputs in regions.observe_all(image, model, parsers, size=size).items():
                rows[f"{name}, {preset}, {parser}"] = regions.pictures(inputs, preset=preset)
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    settings, record = {"model": MODEL.value, "size": size, "photos": list(photos), "parsers": list(parsers.found)}, {}
    if len(arguments) == 1:
        settings |= {"cases": count, "seed": SEED.value}
        found, failures = measure(model, parsers, count=count, size=size, seed=SEED.value)
        summary = regions.summarise(list(found.values()))
        cases = {name: {", ".join(key): each for key, each in figures.items()} for name, figures in found.items()}
        record = {"summary": summary, "failures": failures, "cases": cases}
        text += [*regions.table(summary), "", f"Failures: {len(failures)}."]
        text += [*(f"- {name}: {why}" for name, why in failures.items()), "", _NOTE]
    lines = markdown.head("Regions of the colour term", settings)
    record = {"settings": settings, "bisenet": parsers.reason or "used", **record}
    markdown.write(OUTPUT_DIR.value, "segmentation", [*lines, *text], record, panels.grid(rows))


if __name__ == "__main__":
    app.run(main)
