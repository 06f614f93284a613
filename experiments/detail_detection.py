"""Laplace's operator and relative total variation as detectors of detail: which tells it from contours?

    python experiments/detail_detection.py [PHOTO ...]

About a minute for 6 rendered faces at 256 pixels on 2 cores. After Fig. 5 of Jin et al. (2021). For each photo: the
crop, the absolute value of Laplace's operator, and RTV with the settings of both presets. Without photos, public-domain
portraits are shown, and rendered faces (those of accuracy.py's world "default") tell the numbers: as they can be
rendered with relief alone, with texture alone and with neither, it is known which pixels change by which. There a mean
of Laplace's operator over RTV's window is judged too.

Expected: Laplace's operator answers to contours more than to detail; RTV answers to contours least.

Writes detail_detection.md, .json (every case) and .png into --output_dir.
"""

from absl import app, flags
from accuracy_study import faces
from albedo_study import detectors, scenes
from figure_study import markdown, panels, portraits
from tqdm import tqdm

from jaxface.models import store
from jaxface.types import FaceError

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model, which finds the crop of a photo")
SIZE = flags.DEFINE_integer("size", None, "side of photographs and crops, pixels; 512, or 128 with --smoke")
CASES = flags.DEFINE_integer("cases", None, "rendered faces; 12, or 2 with --smoke", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the rendered faces")
SMOKE = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")

_TRUTH = "red relief, green texture,\nblue contours"
_NOTE = (
    "Probability that a detector is larger at a pixel of the first kind than at one of the second (area under the ROC"
    f" curve): 0.5 tells nothing, 1 all, below 0.5 the reverse. Relief, texture, contours: the"
    f" {100 * detectors.STRONGEST:.0f} % of the face where the picture changes most steeply by creases and pores, by"
    " spots and mottling, or by neither (outlines of face, brows, lips and eyes, and shading's edges), each where it is"
    " the steepest of the three. Flat skin: half of the face where all are least. Detectors see the photograph with its"
    " noise. Laplace: absolute value; averaged: its Gaussian mean over the window of the default preset's RTV. RTV"
    " without a mask, mean over channels where a preset takes these one by one."
)


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    size = SIZE.value or (128 if SMOKE.value else 512)
    count = CASES.value or (2 if SMOKE.value else 12)
    photos, rows = portraits.load(arguments[1:]), {}
    try:
        model = store.resolve(MODEL.value)
        for name, image in photos.items():
            rows[name] = detectors.pictures(scenes.crop_photo(image, model, size=size))
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    settings, record, text = {"model": MODEL.value, "size": size, "photos": list(photos)}, {}, []
    if len(arguments) == 1:
        settings |= {"cases": count, "seed": SEED.value}
        named = faces.make_cases("default", count=count)
        judged = [detectors.judge(case, size=size, seed=SEED.value) for case in tqdm(named, unit="case")]
        summary = detectors.summarise([each.figures for each in judged])
        found = {case.name: each.figures for case, each in zip(named, judged, strict=True)}
        record, text = {"summary": summary, "cases": found}, [*detectors.table(summary), "", _NOTE]
        first = judged[0]
        rows["rendered"] = detectors.pictures(first.image) | {"truth": detectors.marked_picture(first.labels)}
    figure = panels.grid(rows, captions={"rendered": {"truth": _TRUTH}})
    lines = markdown.head("Detectors of detail", settings)
    markdown.write(OUTPUT_DIR.value, "detail_detection", [*lines, *text], {"settings": settings, **record}, figure)


if __name__ == "__main__":
    app.run(main)
