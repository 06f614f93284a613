"""One person from a rendered video, and how steady: identity, jitter, frames and blinks against the known truth.

    python experiments/accuracy_video.py

About 20 minutes on 2 cores with both worlds. Writes experiments/results/accuracy_video.md (the tables that are
printed), .json (all figures) and .png (frames and curves). Expected: the person of the clip at least 15 % nearer to the
truth than single frames are on average, and nearer than the mean of frames; jitter at least 3 times lower with the
temporal term where nothing moves, and 2 to 3 times in the moving clip's error, at no more than 2 % loss of the frames'
RMSE.

The head turns from -25 to 25 degrees of yaw with some pitch and roll, blinks twice and speaks at 3 to 5 syllables a
second; the light comes round from the side and rises; the camera has noise. Two worlds: "default", the embedded model
bent by smooth fields outside its basis; "ict", ICT-FaceKit's geometry with 0.5 mm of such fields, which needs the data
set (github.com/ICT-VGL/ICT-FaceKit, folder FaceXModel), named by --ict_dir, and is skipped where it is missing. A
second, still clip shows what noise alone does.
"""

import pathlib
import tempfile

from absl import app, flags
from common import ict, runner
from common.report import head, write
from video_study import report, study

from jaxface.models import store
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.track import track

FRAMES = flags.DEFINE_integer(
    "frames", 48, "frames of the video; below 48 the head turns faster than heads do", lower_bound=4
)
SIZE = flags.DEFINE_integer("size", 256, "side of the video and of the fine stage's crop, pixels", lower_bound=64)
WORLDS = flags.DEFINE_list("worlds", list(report.WORLDS), "worlds to play in")
MODEL = flags.DEFINE_string(
    "model", None, 'name of an installed face model, which is fitted; default: "ict" for ICT\'s faces if installed'
)
ICT_DIR = ict.define_flag()
SEED = flags.DEFINE_integer("seed", 0, "of the person and of the noise")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where accuracy_video.md, .json and .png go")


def usual_model(world: str) -> str:
    """The model that is fitted in a world where none is named."""
    return "ict" if world == "ict" and ict.is_installed() else "default"


def main(_) -> None:
    """Worlds, tables, files."""
    unknown = set(WORLDS.value) - set(report.WORLDS)
    if unknown:
        raise app.UsageError(f"--worlds={','.join(unknown)}: there are {' and '.join(report.WORLDS)}.")
    with runner.sentences():
        actors, left_out = study.cast(WORLDS.value, ict_dir=ICT_DIR.value, seed=SEED.value)
        models = {name: MODEL.value or usual_model(name) for name in actors}
        shared = dict(tracker=track, num_frames=FRAMES.value, size=SIZE.value)
        worlds = []
        with tempfile.TemporaryDirectory() as folder:
            for name, actor in actors.items():
                settings, model = TrackSettings(model=models[name], size=SIZE.value), store.resolve(models[name])
                place = pathlib.Path(folder) / name
                worlds.append(study.play_world(actor, model, place, settings=settings, **shared))
            picture = report.draw(worlds) if worlds else None
    records = [report.record(world) for world in worlds]
    chosen = {"model": ", ".join(models.values()), "frames": FRAMES.value, "size": SIZE.value, "seed": SEED.value}
    lines = head("Accuracy on a rendered video", chosen) + report.lines(records, left_out)
    record = {"settings": chosen, "left_out": left_out, "worlds": records}
    write(OUTPUT_DIR.value, "accuracy_video", lines, record, picture)


if __name__ == "__main__":
    app.run(main)
