"""What the detail term of Eq. 6 does to the albedo, and to the surface that follows from it.

    python experiments/albedo_ablation.py [PHOTO ...]

About 3 minutes for 4 rendered faces on 2 cores. After Fig. 8 of Jin et al. (2021). For each photo, with each preset:
the photo, then the albedo by the colour term alone, with a detail term made of Laplace's operator, and with relative
total variation, and the depth map that each leads to. Without photos, public-domain portraits are shown, and rendered
faces of known albedo and shape (those of accuracy.py's world "default", with true landmarks plus noise) tell which term
lowers the true error. The Laplacian's weight is that of the paper, 2.5 on grey levels; the paper does not say which it
took.

Expected: the colour term alone leaves much of the relief's shading in the albedo; a detail term removes some of it.

Writes albedo_ablation.md, .json (every case) and .png into --output_dir.
"""

from absl import app, flags
from accuracy_study import faces
from albedo_study import ablation, scenes
from figure_study import markdown, panels, portraits
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.models import store
from jaxface.presets import PRESETS
from jaxface.types import FaceError

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
SIZE = flags.DEFINE_integer("size", None, "side of photographs and crops, pixels; 256, or 128 with --smoke")
CASES = flags.DEFINE_integer("cases", None, "rendered faces; 6, or 1 with --smoke", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "of the rendered faces")
SMOKE = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")

_NOTE = (
    "Albedo error: rms over skin, of the true albedo's rms, each channel scaled to fit. Relief left: the share of the"
    " true relief's shading that is found in the albedo, 0 is best; texture kept: the same of the true texture, 1 is"
    f" best (both within {ablation.RELIEF_MM:g} mm, by regression). Normal error: mean angle over the skin that is"
    " seen. RMSE: of its points from the mesh after similarity ICP. Correlation: of what the fine stage changed with"
    f" the true relief, both less their Gaussian mean of {ablation.RELIEF_MM:g} mm. Each preset starts from a"
    " shape of its own, which all its terms share: the medium one, or the coarse one where the pipeline keeps that."
)


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    size = SIZE.value or (128 if SMOKE.value else 256)
    count = CASES.value or (1 if SMOKE.value else 6)
    photos, rows = portraits.load(arguments[1:]), {}
    if SMOKE.value:
        photos = dict([*photos.items()][:1])
    try:
        model = store.resolve(MODEL.value)
        for name, image in photos.items():
            landmarks = find_landmarks(image)[0]
            for preset in PRESETS:
                scene = scenes.fit_scene(image, landmarks, model, preset=preset, size=size)
                rows[f"{name}, {preset}"] = ablation.pictures(scene, preset=preset)
        settings, record, text = {"model": MODEL.value, "size": size, "photos": list(photos)}, {}, []
        if len(arguments) == 1:
            settings |= {"cases": count, "seed": SEED.value}
            named = faces.make_cases("default", count=count)
            worlds = (scenes.make_world(case, size=size, seed=SEED.value) for case in named)
            cases = [ablation.measure(world, model) for world in tqdm(worlds, total=count, unit="case")]
            summary = ablation.summarise(cases)
            record = {"summary": summary, "cases": {case.name: found for case, found in zip(named, cases, strict=True)}}
            text = [*ablation.table(summary), "", _NOTE]
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    lines = markdown.head("Detail terms of the albedo", settings)
    figure = panels.grid(rows)
    markdown.write(OUTPUT_DIR.value, "albedo_ablation", [*lines, *text], {"settings": settings, **record}, figure)


if __name__ == "__main__":
    app.run(main)
