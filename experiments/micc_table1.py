"""Errors on the MICC Florence set, by its protocol: the paper's Table 1, for whoever owns the data.

    python experiments/micc_table1.py --micc_dir=MICC --landmarks_dir=landmarks

Time: that of `jaxface track` on each of the 53 x 3 videos, twice: one to two minutes a video with 6 frames on 2 busy
cores. Expected: not known to us, as we do not own the set; the table shows the paper's rows beside ours. Writes
micc_table1.md (tables, a section for each protocol), .json (all figures), .csv (a row for each mesh) and .png (box
plots) to experiments/results.
--smoke takes 3 frames a video; choose a subject or two with it.

Each video gives one person: by default one identity fitted to all its frames ("bundle"), and, as in the paper, the mean
of the frames' own ("mean"); each as coarse, medium and fine mesh. The paper tells neither which frames it takes, nor
which of the two frontal scans, nor where the forehead is cut: here they are flags, or fields of the protocol. Files are
found as experiments/micc/dataset.py says; what is missing or broken is told and left out, and the table says how much
was used. Landmarks of the scans come from --landmarks_dir (subject_01_frontal1.npy, .txt, .pp or .json: 68, 51 or 7
points), else MediaPipe finds them on the scan. Run again after an interruption: what --work_dir holds is kept.
"""

import pathlib

from absl import app, flags
from common import runner
from micc import build, dataset, study, table
from micc.command import Flags

from jaxface.types import FaceError

FLAGS = Flags(max_frames=30)
MICC_DIR = flags.DEFINE_string("micc_dir", None, "folder that holds subject_01, subject_02 and so on")
SUBJECTS = flags.DEFINE_list("subjects", [], "numbers or ranges, as in 1,4,7-12; default: all that are there")
SCAN = flags.DEFINE_enum("scan", "frontal1", [*dataset.SCANS, "best"], "which scan; best: for each mesh the nearer one")
LANDMARKS_DIR = flags.DEFINE_string("landmarks_dir", None, "landmarks of the scans; without them they are detected")
PRESET = flags.DEFINE_enum("preset", "default", ["default", "paper"], "our measured settings, or the printed ones")
MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
STRIDE = flags.DEFINE_integer("stride", None, "every so manieth frame; default: spread over the video", lower_bound=1)
WORK_DIR = flags.DEFINE_string("work_dir", "out/micc_table1", "what was done, for the next run to go on")


def main(_) -> None:
    """Subjects, study, files. Raises UsageError."""
    with runner.sentences():
        landmarks_dir = LANDMARKS_DIR.value and pathlib.Path(LANDMARKS_DIR.value)
        if landmarks_dir is not None and not landmarks_dir.is_dir():
            raise FaceError(f"--landmarks_dir={landmarks_dir} is not a folder.")
        plan = FLAGS.plan(
            models=[MODEL.value], presets=[PRESET.value], work_dir=WORK_DIR.value, landmarks_dir=landmarks_dir,
            stride=STRIDE.value,
        )  # fmt: skip
        micc_dir = _micc_dir()
        scans = dataset.SCANS if SCAN.value == "best" else (SCAN.value,)
        subjects = dataset.find_subjects(micc_dir, chosen=SUBJECTS.value, scans=scans)
    found = study.run(subjects, plan)
    chosen = {
        "model": MODEL.value, "preset": PRESET.value, "size": plan.size, "scan": SCAN.value,
        "max_frames": plan.sampling.max_frames, "stride": plan.sampling.stride or "spread over the video",
    }  # fmt: skip
    is_synthetic = (micc_dir / build.MANIFEST).exists()  # then the paper's figures have no place beside ours
    title = build.TITLE if is_synthetic else "Errors on the MICC Florence set"

    def section(found, protocol):
        return table.protocol_lines(found, protocol, beside_paper=not is_synthetic), {}

    FLAGS.write("micc_table1", title, chosen, found, plan, section)


def _micc_dir() -> pathlib.Path:
    if not MICC_DIR.value:
        raise FaceError("Name the folder of the data set by --micc_dir; the MICC group of Florence gives access to it.")
    return pathlib.Path(MICC_DIR.value)


if __name__ == "__main__":
    app.run(main)
