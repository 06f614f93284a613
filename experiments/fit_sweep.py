"""What shading does for the coarse fit, and what each weight does, one at a time, from a quarter to four times its
default.

    python experiments/fit_sweep.py

About 12 minutes on 2 cores with two models. Writes experiments/results/fit_sweep.md, .json (every setting) and
.png (small multiples). Expected: no setting beats the defaults by more than a few percent with both models.

The embedded model is fitted to the faces of accuracy.py's world "default", any other to those of "ict off", as no model
should be judged by faces that it holds; the faces are others than there. The coarse stage only: on MediaPipe's
landmarks, detected once a photograph, then on the shading of the whole picture's skin. The row "without shading" is
the fit to landmarks alone. A case is judged on the same pixels whatever the setting.
"""

import functools
import json
import pathlib

from absl import app, flags
from accuracy_study import faces, ict, sweep

from jaxface.models import catalogue, store
from jaxface.types import FaceError

MODELS = flags.DEFINE_list("models", None, 'face models by name; default: "default", and "ict" if it is installed')
CASES = flags.DEFINE_integer("cases", 8, "photographs of each world, half of them turned", lower_bound=2)
ICT_DIR = flags.DEFINE_string(
    "ict_dir", None, "FaceXModel folder, or the tar that holds it; default: in $JAXFACE_TEST_DATA or ../shared/data"
)
SIZE = flags.DEFINE_integer("size", 512, "side of the photographs, pixels", lower_bound=64)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")


def main(_) -> None:
    """Models with their worlds, rows, files."""
    names = MODELS.value
    if names is None:
        names = ["default", "ict"] if catalogue.is_installed(catalogue.find("ict")) else ["default"]
    ict_path = ict.find(ICT_DIR.value) if set(names) != {"default"} else None
    rows = []
    try:
        models = {name: store.resolve(name) for name in names if name == "default" or ict_path is not None}
        prepared = ict.load(ict_path) if ict_path is not None else None
    except FaceError as error:
        raise app.UsageError(str(error)) from None
    for name, model in models.items():
        world, photograph = "default", faces.default_truth
        if name != "default":
            world, photograph = "ict off", functools.partial(ict.ict_truth, ict=prepared)
        rows += sweep.sweep(name, model, world, photograph, count=CASES.value, size=SIZE.value)
    text, folder = sweep.to_markdown(rows), pathlib.Path(OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit_sweep.md").write_text(text)
    stored = {"size": SIZE.value, "seed": sweep.SEED, "rows": rows}
    (folder / "fit_sweep.json").write_text(json.dumps(stored, indent=1) + "\n")
    sweep.draw_curves(rows).savefig(folder / "fit_sweep.png", dpi=110)
    print(text)


if __name__ == "__main__":
    app.run(main)
