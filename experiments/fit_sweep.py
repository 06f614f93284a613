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

from absl import app, flags
from accuracy_study import sweep
from common import ict, report, runner

from jaxface.models import store

MODELS = flags.DEFINE_list("models", None, 'face models by name; default: "default", and "ict" if it is installed')
CASES = flags.DEFINE_integer("cases", 8, "photographs of each world, half of them turned", lower_bound=2)
ICT_DIR = ict.define_flag()
SIZE = flags.DEFINE_integer("size", 512, "side of the photographs, pixels", lower_bound=64)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where table, numbers and picture go")


def main(_) -> None:
    """Models with their worlds, rows, files."""
    names = MODELS.value or ict.usual_models()
    with runner.sentences():
        worlds = ict.worlds(ict.find(ICT_DIR.value) if set(names) != {"default"} else None)
        places = {name: "default" if name == "default" else "ict off" for name in names}
        places = {name: world for name, world in places.items() if world in worlds}
        models = {name: store.resolve(name) for name in places}
    rows = []
    for name, world in places.items():
        rows += sweep.sweep(name, models[name], world, worlds[world], count=CASES.value, size=SIZE.value)
    settings = {"models": names, "cases": CASES.value, "size": SIZE.value, "seed": sweep.SEED}
    lines = report.head("One weight of the coarse fit at a time", settings) + sweep.lines(rows)
    record = {"size": SIZE.value, "seed": sweep.SEED, "rows": rows}
    report.write(OUTPUT_DIR.value, "fit_sweep", lines, record, sweep.draw_curves(rows))


if __name__ == "__main__":
    app.run(main)
