"""Tracks the face in many videos, here or on many machines, a task a video.

    python experiments/reconstruct_dataset.py --input_glob='clips/*.mp4' --output_dir=out
    python experiments/reconstruct_dataset.py --input_glob='clips/*.mp4' --output_dir=out --cluster=ray \\
        --ray_address=10.0.0.1:6379 --cpus_per_task=8 --gpus_per_task=1

Time: that of `jaxface track` on each video, divided by how many fit on the machines at once. Expected: a folder a video
in --output_dir, as `jaxface track` writes it, and summary.csv and summary.md with a line for each; what Ray says is in
ray.log; exit code 1 if any failed. Run again after whatever interruption: finished videos are skipped, half-done ones
go on where they stopped.

Ray comes with `pip install "jaxface[cluster]"`; without --ray_address it starts on this machine and ends with the run.
On several machines all of them need jaxface, and see the videos and --output_dir under the same paths; where their
memory differs give --chunk too, for a video goes on elsewhere only with chunks of the same length.
"""

import contextlib
import dataclasses
import functools
import json
import pathlib
import sys

from absl import app, flags
from dataset import clips as clip_files
from dataset import cluster, summary, work
from tqdm import tqdm

from jaxface import commands
from jaxface.tracking.records import TrackSettings
from jaxface.types import FaceError

INPUT_GLOB = flags.DEFINE_string("input_glob", None, "videos, or folders of pictures; ** goes into subfolders")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "out", "where the results go, a folder a video")
CLUSTER = flags.DEFINE_enum(
    "cluster", "local", ["local", "ray"], "this process, one after another; or Ray, side by side"
)
RAY_ADDRESS = flags.DEFINE_string("ray_address", None, 'head of a running cluster, host:port or "auto"')
CPUS_PER_TASK = flags.DEFINE_integer("cpus_per_task", 1, "with Ray: CPU cores kept for a video", lower_bound=1)
GPUS_PER_TASK = flags.DEFINE_integer("gpus_per_task", 0, "with Ray: GPUs kept for a video; 0: the CPU", lower_bound=0)
RETRIES = flags.DEFINE_integer("retries", 2, "more tries after a dead worker or an unexpected error", lower_bound=0)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "start anew where there are results")
SETTINGS = {
    "model": flags.DEFINE_string("model", None, "face model, see `jaxface models list`"),
    "preset": flags.DEFINE_enum(
        "preset", "default", ["default", "paper"], "our measured settings, or the printed ones"
    ),
    "size": flags.DEFINE_integer("size", 512, "side of the crop, pixels", lower_bound=128, upper_bound=2048),
    "smooth": flags.DEFINE_float("smooth", 1.0, "strength of the temporal terms; 0: none", lower_bound=0.0),
    "stride": flags.DEFINE_integer("stride", 1, "take every so manieth frame", lower_bound=1),
    "max_frames": flags.DEFINE_integer("max_frames", None, "at most so many frames a video", lower_bound=1),
    "chunk": flags.DEFINE_integer("chunk", None, "frames at a time; default: what memory holds", lower_bound=1),
    "meshes": flags.DEFINE_enum("meshes", "", ["", "ply", "obj"], "also a detailed mesh a frame"),
    "landmarker_task": flags.DEFINE_string("landmarker_task", None, "face_landmarker.task, for MediaPipe from 0.10.30"),
}


def main(_) -> int:
    """Clips, answers, summary; 0, or 1 if any clip failed, 2 for what cannot be, 130 when stopped."""
    try:
        rows = run(read_settings())
    except commands.UsageError as error:
        print(f"reconstruct_dataset: {commands.one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nreconstruct_dataset: stopped; run again to go on from there.", file=sys.stderr)
        return 130
    return 1 if any(row.status == "failed" for row in rows) else 0


def read_settings() -> dict:
    """The tracker's settings, JSON-able. Raises UsageError."""
    chosen = {name: flag.value for name, flag in SETTINGS.items()}
    task = chosen.pop("landmarker_task")
    if task is not None:
        if not pathlib.Path(task).is_file():
            raise commands.UsageError(f"--landmarker_task: there is no file {task}.")
        task = str(pathlib.Path(task).resolve())  # workers have another working directory
    try:
        return json.loads(json.dumps(dataclasses.asdict(TrackSettings(**chosen)) | {"landmarker_task": task}))
    except FaceError as error:
        raise commands.UsageError(str(error)) from None


def run(settings: dict) -> list[summary.Row]:
    """Does what is not done yet, and writes and prints the summary. Raises UsageError before any work."""
    if not INPUT_GLOB.value:
        raise commands.UsageError("name the videos, as in --input_glob='clips/*.mp4'.")
    output_dir = commands.writable_folder(OUTPUT_DIR.value)
    clips = clip_files.find_clips(INPUT_GLOB.value, output_dir)
    if not clips:
        raise commands.UsageError(
            f"nothing matches --input_glob={INPUT_GLOB.value}; check it, and quote its wildcards."
        )
    answers = {}
    for clip in clips:
        known = None if OVERWRITE.value else clip_files.finished(clip, settings)
        if known is not None:
            answers[clip] = known | {"status": "skipped"}
    answers |= work_through([clip for clip in clips if clip not in answers], settings)
    rows = [summary.to_row(clip.shown, clip.folder.name, answers[clip]) for clip in clips]
    print(summary.write(rows, output_dir), end="")
    return rows


def work_through(clips: list[clip_files.Clip], settings: dict) -> dict[clip_files.Clip, dict]:
    """Each clip's answer; finished ones are noted and shown as they come."""
    answers, stamps, terminal = {}, {clip: clip_files.stamp(clip) for clip in clips}, sys.stdout
    if not clips:
        return answers
    with tqdm(total=len(clips), disable=not sys.stderr.isatty(), unit="clip", dynamic_ncols=True) as bar:
        with contextlib.closing(_worker(clips, settings, bar)) as worker:
            for clip, answer in worker:
                answers[clip] = answer
                if answer["status"] == "done":
                    clip_files.note_finished(clip, settings, stamped=stamps[clip], result=answer)
                    tqdm.write(f"{clip.shown} -> {clip.folder} ({answer['seconds']:.1f} s)", file=terminal)
                if answer["reason"]:
                    commands.complain(clip.shown, answer["reason"])
                bar.update()
    return answers


def _worker(clips: list[clip_files.Clip], settings: dict, bar: tqdm):
    job = functools.partial(work.track_clip, settings=settings, overwrite=OVERWRITE.value)
    if CLUSTER.value == "ray":
        return cluster.work_on_ray(
            clips, job, address=RAY_ADDRESS.value, cpus=CPUS_PER_TASK.value, gpus=GPUS_PER_TASK.value,
            retries=RETRIES.value, log=pathlib.Path(OUTPUT_DIR.value) / "ray.log",
        )  # fmt: skip

    def show(step: str, done: int, total: int | None) -> None:
        bar.set_postfix_str(f"{step} {done}/{total or '?'}")

    return cluster.work_here(clips, job, retries=RETRIES.value, progress=show)


if __name__ == "__main__":
    app.run(main)
