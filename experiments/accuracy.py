"""Errors of every stage, with every face model at hand, on rendered faces whose shape is known.

    python experiments/accuracy.py

About 25 minutes on 2 cores at 512 pixels with two models. Writes experiments/results/accuracy.json (every case) and
accuracy.md (the tables that are printed). Expected: in normal error, fine below medium below coarse, and that below the
fit to landmarks without the skin's shading; on ICT's faces the ICT model's coarse RMSE at most 0.8 of the embedded
one's, and at most 15 % more of it at 30 degrees of yaw.

Three worlds of faces. "default": the embedded model, bent by smooth fields outside its basis, with creases, lumps and
pores (jaxface/synthetic.py). "ict": ICT-FaceKit's geometry with the same relief and paint; "ict off": the same bent by
smooth fields outside ICT's basis. The two need the data set (github.com/ICT-VGL/ICT-FaceKit, folder FaceXModel), named
by --ict_dir, and are skipped where it is missing. Half of each world's photographs are frontal.

With --bench=FOLDER also on ray-traced pictures that share nothing with our lighting model, by their own judge, model by
model (10 minutes a model): accuracy_bench.md and .json, and what counts as accuracy is said there. --cases=0
--ict_cases=0 --ict_off_cases=0 leave the rest out.

With --landmarks=true ICT's faces show all MediaPipe points if the model ict is installed, else 51 of them.

All models get the same landmarks and are judged on the same pixels, those where the faces of all of them are seen.
"""

import importlib.util
import pathlib
import tempfile

from absl import app, flags
from accuracy_study import bench, compare, summary
from common import faces, ict, report, runner
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.models import store
from jaxface.pipeline import reconstruct
from jaxface.types import FaceError, MorphableModel

MODELS = flags.DEFINE_list("models", None, 'face models by name; default: "default", and "ict" if it is installed')
CASES = flags.DEFINE_integer("cases", 12, "photographs of the default model's faces", lower_bound=0)
ICT_CASES = flags.DEFINE_integer("ict_cases", 8, "photographs of ICT-FaceKit faces", lower_bound=0)
ICT_OFF_CASES = flags.DEFINE_integer("ict_off_cases", 8, "the same with fields outside ICT's basis", lower_bound=0)
ICT_DIR = ict.define_flag()
SIZE = flags.DEFINE_integer("size", 512, "side of the photographs and of the fine stage's crop, pixels", lower_bound=64)
LANDMARKS = flags.DEFINE_enum(
    "landmarks", None, ["detected", "true"], "MediaPipe's, or true ones with noise; default: MediaPipe's if installed"
)
PAPER_CASES = flags.DEFINE_integer("paper_cases", 2, "cases that also run the (slow) paper preset", lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "of faces, poses and noise")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where accuracy.json and accuracy.md go")
BENCH = flags.DEFINE_string("bench", None, "folder of ray-traced pictures with exact truth and their judge.py")
BENCH_CASES = flags.DEFINE_string("bench_cases", "*", "names of such pictures, with wildcards, between commas")
VERBOSE = flags.DEFINE_bool("verbose", False, "print a line for each case")


def measure(
    truth: faces.Truth, models: dict[str, MorphableModel], *, size: int, seed: int, detected: bool, with_paper: bool
) -> dict[str, dict]:
    """Metrics of all stages of every model with the default preset, and with the paper's if wanted; what was left out,
    and why there are none."""
    record = {"runs": {}, "references": {}, "left_out": {}, "failures": {}}
    try:
        landmarks = find_landmarks(truth.image)[0] if detected else faces.noisy_landmarks(truth, seed=seed)
    except FaceError as error:
        return record | {"failures": {"landmarks": str(error)}}
    runs = {}
    for name, model in models.items():
        try:
            for preset in ("default", "paper") if with_paper else ("default",):
                rec = reconstruct(truth.image, model=model, landmarks=landmarks, preset=preset, size=size)
                runs[name, preset] = rec
        except FaceError as error:
            record["failures"][name] = str(error)
    for name in {name for name, preset in runs}:
        reasons = [f"{stage.name}: {stage.reason}" for stage in runs[name, "default"].stages if stage.status != "ok"]
        record["left_out"] |= {name: "; ".join(reasons)} if reasons else {}
    results = compare.evaluate(truth, runs, models=models, detected=landmarks if detected else None)
    record["references"] = results.pop(("", ""))
    for (name, preset), metrics in results.items():
        record["runs"].setdefault(name, {})[preset] = metrics
    return record


def on_bench(folder: str, names: list[str]) -> tuple[dict[str, list[dict]], list[str]]:
    """The judge's records of each face model, and their tables."""
    records, lines = {}, []
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            records[name] = bench.judge(
                pathlib.Path(folder), pathlib.Path(work), model=name, pictures=BENCH_CASES.value
            )
        rows = [{"": group} | bench.row(rows) for group, rows in bench.groups(records[name]).items()]
        lines += [f"Model `{name}`:", "", *report.every_column(rows), ""]
    return records, lines


def main(_) -> None:
    """Cases, records, tables, files."""
    counts = {"default": CASES.value, "ict": ICT_CASES.value, "ict off": ICT_OFF_CASES.value}
    with runner.sentences():
        models = {name: store.resolve(name) for name in MODELS.value or ict.usual_models()}
        worlds = ict.worlds(ict.find(ICT_DIR.value) if counts["ict"] + counts["ict off"] else None)
    cases = [case for world in worlds for case in faces.make_cases(world, count=counts[world])]
    detected = LANDMARKS.value == "detected"
    if LANDMARKS.value is None:
        detected = importlib.util.find_spec("mediapipe") is not None
    chosen, records = dict(size=SIZE.value, detected=detected), []
    # Evenly over the cases.
    paper_cases = min(PAPER_CASES.value, len(cases))
    with_paper = {round((k + 0.5) * len(cases) / PAPER_CASES.value - 0.5) for k in range(paper_cases)}
    for index, case in enumerate(tqdm(cases, unit="case")):
        truth, seed = worlds[case.world](case, size=SIZE.value, seed=SEED.value), SEED.value + 1000 * index
        record = {"name": case.name, "world": case.world, "light": case.light, "yaw": case.yaw}
        records.append(record | measure(truth, models, seed=seed, with_paper=index in with_paper, **chosen))
        if VERBOSE.value:
            tqdm.write(summary.case_lines(records[-1]))
    if BENCH.value is not None:
        with runner.sentences():
            found, lines = on_bench(BENCH.value, list(models))
        shown = {"models": list(models), "pictures": BENCH_CASES.value}
        lines = report.head("Accuracy on ray-traced pictures that no model of ours made", shown) + lines
        report.write(OUTPUT_DIR.value, "accuracy_bench", lines, found)
    if not cases:
        return
    settings = {
        "models": list(models), "cases": len(records), "size": SIZE.value, "seed": SEED.value,
        "landmarks": "detected" if detected else "true + noise",
    }  # fmt: skip
    found = summary.summarise(records, list(models))
    lines = report.head("Accuracy on rendered faces", settings) + summary.lines(found)
    record = {"settings": settings, "summary": found, "cases": records}
    report.write(OUTPUT_DIR.value, "accuracy", lines, record)


if __name__ == "__main__":
    app.run(main)
