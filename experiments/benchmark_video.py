"""Speed and memory of tracking a clip: the device's steps alone, and whole runs from photos to files.

    python experiments/benchmark_video.py

With --frames=24 --size=128 --sizes=128,256 --chunks=1,8 --repeats=1 --singles=1 --long_factor=5 about 25 minutes on 2
busy cores; the whole was not timed. --long_factor=0 leaves the long clip out. Prints the report and writes
experiments/results/benchmark_video_<device>.md and .json, and timeline_video_<device>.png: who of decoding, detection,
device and writing was busy when. Expected: a frame of the clip costs at most half of a single photo's seconds; the
peak memory of ten times as many frames is the same within 5 %; a second clip of the same length compiles nothing. On
one H100 wanted: 60 frames/s of 512 pixels in the device's steps.

Everything is measured in processes of their own, one after the other, so that nobody else's memory counts. The device's
steps see synthetic photos whose landmarks are known. "compile_seconds" has tracing, compiling and the first start.
--smoke tries all of it at tiny sizes.
"""

import pathlib

from absl import app, flags
from common.report import command, slug, write
from video_bench import report, sections

SIZES = flags.DEFINE_list("sizes", ["256", "512"], "sides of the fine stage's crop in pixels, for the device's steps")
CHUNKS = flags.DEFINE_list("chunks", [], "frames a chunk; without it 1,4,8 on CPUs and 1,8,32,64 on accelerators")
REPEATS = flags.DEFINE_integer("repeats", 3, "runs, of which the median counts, after one to warm up", lower_bound=1)
FRAMES = flags.DEFINE_integer("frames", 48, "frames of the clip", lower_bound=4)
SIZE = flags.DEFINE_integer("size", 256, "side of the clip and of its fine stage in pixels", lower_bound=128)
LONG_FACTOR = flags.DEFINE_integer("long_factor", 10, "how many times longer the long clip is; 0: none", lower_bound=0)
SINGLES = flags.DEFINE_integer("singles", 2, "single photos, of whose seconds the mean counts", lower_bound=1)
SMOKE = flags.DEFINE_boolean("smoke", False, "tiny sizes, to see that everything runs; its figures mean nothing")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where report, numbers and timeline are written")


def main(_) -> None:
    """All sections, then the files."""
    sizes, chunks = _numbers(SIZES), _numbers(CHUNKS)
    if not sizes:
        raise app.UsageError("--sizes needs at least one number.")
    target = pathlib.Path(OUTPUT_DIR.value)
    target.mkdir(parents=True, exist_ok=True)
    plan, repeats = sections.Plan(FRAMES.value, SIZE.value, LONG_FACTOR.value, SINGLES.value), REPEATS.value
    if SMOKE.value:
        sizes, chunks, repeats, plan = [sections.SMOKE.size], [sections.SMOKE.chunk], 1, sections.SMOKE
    reason, clip = sections.why_no_clip(), None
    try:
        steps = sections.throughput(sizes=sizes, chunks=chunks, repeats=repeats, num_frames=plan.frames)
        device = slug(steps["device"])
        picture = (target / f"timeline_video_{device}.png").resolve()
        if not reason:
            clip = sections.whole_clip(plan, picture)
    except sections.Failed as error:
        raise app.Error(str(error)) from None
    found = report.summarise(steps, clip, command=command())
    lines = report.lines(found, why_no_clip=reason, picture=picture.name)
    write(target, f"benchmark_video_{device}", lines, found)


def _numbers(flag: flags.FlagHolder) -> list[int]:
    """A list of positive numbers. Raises UsageError."""
    if not all(word.isdigit() and int(word) > 0 for word in flag.value):
        raise app.UsageError(f"--{flag.name}={','.join(flag.value)}: name positive numbers, like 256,512.")
    return [int(word) for word in flag.value]


if __name__ == "__main__":
    app.run(main)
