"""The verb `track` of the command line: videos in, a person and an animation each out."""

import glob
import pathlib
import sys
import time
from typing import Any

from absl import flags, logging
from tqdm import tqdm

from jaxface import commands
from jaxface.commands import UsageError

_SETTINGS = (
    "model", "coarse", "parsing", "preset", "size", "fuse", "smooth", "start", "stop", "stride", "max_frames", "chunk",
    "focal_px",
)  # fmt: skip


def define_track_flags(values: flags.FlagValues) -> None:
    """Adds the flags of `jaxface track`."""
    commands.define_common_flags(values, unit="clip")
    where: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_integer("start", 0, "First frame to take, counted from 0.", lower_bound=0, **where)
    flags.DEFINE_integer("stop", None, "Frame to stop before; without it the end of the clip.", lower_bound=1, **where)
    flags.DEFINE_integer("stride", 1, "Take every so manieth frame.", lower_bound=1, **where)
    flags.DEFINE_integer("max_frames", None, "Take at most so many frames.", lower_bound=1, **where)
    flags.DEFINE_boolean("unordered", False, "The pictures are photos of one person, not neighbours in time.", **where)
    flags.DEFINE_enum(
        "fuse", "bundle", ["bundle", "mean"], "One shape fitted to all frames, or the mean of the frames' own.", **where
    )
    flags.DEFINE_float("smooth", 1.0, "Strength of the temporal terms; 0: none.", lower_bound=0.0, **where)
    flags.DEFINE_enum("meshes", None, ["ply", "obj"], "Write a detailed mesh a frame as well.", **where)
    flags.DEFINE_integer(
        "chunk", None, "Frames at a time; without it what the device's memory holds.", lower_bound=1, **where
    )
    flags.DEFINE_boolean("overwrite", False, "Start anew where an earlier run left its work.", **where)


def track(arguments: list[str], values: flags.FlagValues) -> int:
    """Tracks every clip named; returns 0, or 1 if any failed. Raises UsageError before any work."""
    logging.set_verbosity(values.verbosity)
    clips = _clips(arguments)
    if not clips:
        raise UsageError("name at least one video or folder of pictures.")
    _check_expanded(clips)
    commands.check_flags(values, files=("landmarker_task",))
    settings = _settings(values)
    output_dir = commands.writable_folder(values.output_dir)
    chosen = commands.choose_tools(model=values.model, coarse=values.coarse, parsing=values.parsing)
    if not values.quiet:
        print(chosen)
    plan = zip(clips, commands.result_folders([_name(clip) for clip in clips], output_dir), strict=True)
    quiet = values.quiet or not sys.stderr.isatty()
    with tqdm(disable=quiet, unit="frame", dynamic_ncols=True, leave=False) as bar:
        num_failed = commands.attempt_all(plan, lambda clip, folder: _track_one(clip, folder, settings, values, bar))
    return 1 if num_failed else 0


def _clips(arguments: list[str]) -> list[str]:
    """The arguments, each place once."""
    clips: dict[pathlib.Path, str] = {}
    for argument in arguments:
        clips.setdefault(pathlib.Path(argument).resolve(), argument)
    return list(clips.values())


def _check_expanded(clips: list[str]) -> None:
    """A glob that the shell has taken apart would make every picture a clip."""
    from jaxface.io.images import SUFFIXES

    if sum(clip.lower().endswith(SUFFIXES) and pathlib.Path(clip).is_file() for clip in clips) > 1:
        raise UsageError("several pictures are named, each a clip of its own: name their folder, or quote the pattern.")


def _name(source: str) -> str:
    """A video's stem, or the name of the folder whose pictures are meant: the last part without a wildcard."""
    path = pathlib.Path(source).resolve()
    if glob.has_magic(source) and not path.exists():
        return next((parent.name for parent in path.parents if not glob.has_magic(str(parent))), "") or "clip"
    return (path.name if path.is_dir() else path.stem) or "clip"


def _settings(values: flags.FlagValues):
    """The flags as `TrackSettings`."""
    from jaxface.tracking.records import TrackSettings
    from jaxface.types import FaceError

    if values.stop is not None and values.stop <= values.start:
        raise UsageError(f"--stop={values.stop} leaves no frame after --start={values.start}.")
    if values.unordered and values["smooth"].present and values.smooth > 0.0:
        raise UsageError("--smooth needs neighbours in time, which --unordered denies: leave one of them out.")
    chosen = {name: getattr(values, name) for name in _SETTINGS}
    try:
        return TrackSettings(ordered=not values.unordered, meshes=values.meshes or "", **chosen)
    except FaceError as error:
        raise UsageError(str(error)) from None


def _track_one(clip: str, folder: pathlib.Path, settings, values: flags.FlagValues, bar: tqdm) -> None:
    from jaxface.tracking.track import track

    start = time.perf_counter()
    bar.set_description_str(folder.name)
    detector, progress = commands.make_detector(values), _Progress(bar, folder.name)
    found = track(clip, folder, settings=settings, landmarks=detector, overwrite=values.overwrite, progress=progress)
    if values.quiet:
        return
    for note in found.notes:
        commands.complain(clip, commands.one_line(note))
    tqdm.write(f"{clip} -> {folder} ({_summary(found)}; {time.perf_counter() - start:.1f} s)", file=sys.stdout)


class _Progress:
    """Shows on one bar how far each step has come: called with its name, frames done, frames in all if known."""

    def __init__(self, bar: tqdm, name: str):
        self._bar, self._name = bar, name
        self._step: str | None = None

    def __call__(self, step: str, done: int, total: int | None) -> None:
        self._bar.total = total
        if step != self._step:
            self._step = step
            self._bar.set_description_str(f"{self._name}: {step}", refresh=False)
            self._bar.reset()
        self._bar.update(done - self._bar.n)


def _summary(found) -> str:
    """Counts and jitter of a `Track` in a few words."""
    from jaxface.tracking.reports import count_states, jitter_text

    counts = ", ".join(f"{number} {state}" for state, number in count_states(found).items())
    jitter = jitter_text(found)
    return f"{len(found.status)} frames: {counts}" + (f"; {jitter}" if jitter else "")
