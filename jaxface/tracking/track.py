"""A clip in, a person and an animation out: every step in order. The table of contents of tracking.

look -> fuse -> settle -> smooth -> refine -> outputs. Each finished chunk of frames is in the journal; an interrupted
run goes on from there, with the same result.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil

import jax.numpy as jnp
import numpy as np

from jaxface import mapping
from jaxface.detection import sources
from jaxface.export.report import versions
from jaxface.io.arrays import host_array
from jaxface.io.video import fingerprint, open_clip
from jaxface.models import tools
from jaxface.morphable.linear import face_shape
from jaxface.network_view import share
from jaxface.presets import PRESETS
from jaxface.templates import model_mesh, prepare
from jaxface.tracking import first_pass, outputs
from jaxface.tracking.frame_steps import LOOK_SIZE
from jaxface.tracking.journal import MANIFEST, MARKER, open_journal
from jaxface.tracking.person_fit import fuse
from jaxface.tracking.records import Track, TrackSettings
from jaxface.tracking.run import Progress, Run
from jaxface.tracking.second_pass import load_light, load_notes, refine
from jaxface.tracking.smoothing import jitter_figures, smooth
from jaxface.tracking.threads import Timeline, Writer
from jaxface.types import Detector, FaceError

WORK = ".work"  # the journal, inside the result folder
_BEHIND = 4  # writes that may wait


def track(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    settings: TrackSettings = TrackSettings(),
    landmarks: Detector | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    timeline: Timeline | None = None,
) -> Track:
    """Tracks the person in a video, a folder of pictures or a glob, and leaves everything in `folder`.

    Run again after an interruption, it goes on where it was; other settings, another detector or another input in the
    same folder raise FaceError unless `overwrite` is set. `landmarks` is the detector; None is MediaPipe. `progress` is
    called with a step's name, what is done and, if known, of how much. `timeline` collects who was busy when.

    Raises:
      FaceError: if the input cannot be used or no frame shows a face; the message says what to do.
    """
    folder = pathlib.Path(folder)
    if settings.preset not in PRESETS:
        raise FaceError(f"There is no preset {settings.preset!r}; take one of {', '.join(PRESETS)}.")
    chosen = {name: getattr(settings, name) for name in ("start", "stop", "stride", "max_frames")}
    clip = open_clip(source, **chosen)
    used = tools.choose(model=settings.model, coarse=settings.coarse, parsing=settings.parsing)
    wanted = settings.chunk or (None if overwrite else _begun_with(folder))
    chunk = mapping.chunk_length(size=settings.size, num_frames=clip.num_frames, override=wanted)
    detector = sources.as_detector(landmarks)
    own = {"model": used.model.name, "chunk": chunk, "landmarks": sources.name_of(detector)}
    identity = {
        "input": fingerprint(clip),
        "settings": dataclasses.asdict(settings) | own,
        "versions": versions(),
    }
    _check_folder(folder)
    with (
        open_journal(folder / WORK, identity=identity, overwrite=overwrite) as journal,
        Writer(depth=_BEHIND) as writer,
    ):
        if overwrite:
            _clear(folder)
        templates = prepare(used.model)
        look, full = (share(templates, PRESETS[settings.preset](size=size)) for size in (LOOK_SIZE, settings.size))
        progress, timeline = progress or (lambda *_: None), timeline or Timeline()
        run = Run(clip, settings, used, look, full, detector, folder, journal, writer, timeline, progress, chunk)
        return _track(run)


def _track(run: Run) -> Track:
    settings, model = run.settings, run.tools.model
    looked = first_pass.look(run)
    fused = fuse(run, looked)
    if all(fused.reason):
        raise FaceError(f"No frame of {run.clip.name} could be tracked (the first: {fused.reason[0]}).")
    smoothed = smooth(fused, strength=settings.smooth, ordered=settings.ordered, model=model)
    sums = refine(run, fused, smoothed)

    neutral_mm = face_shape(fused.person.identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)
    good = np.array([not reason for reason in fused.reason])
    residuals = [np.where(good, values, np.nan) for values in (fused.residual_px, fused.shading_residual)]
    notes = load_notes(run, num_chunks=looked.num_chunks)
    result = Track(
        name=run.clip.name, frames_per_second=run.clip.frames_per_second,
        frame_names=tuple(fused.name), times_s=fused.time_s, status=smoothed.status,
        reason=tuple(reason or note for reason, note in zip(fused.reason, notes, strict=True)),
        confidence=np.where(good, fused.confidence, np.nan), residual_px=residuals[0], shading_residual=residuals[1],
        pose=smoothed.face.pose, expression=host_array(smoothed.face.expression), raw_pose=smoothed.raw.pose,
        raw_expression=host_array(smoothed.raw.expression), light=load_light(run, num_chunks=looked.num_chunks),
        identity=np.asarray(fused.person.identity), single_identity=fused.single_identity,
        neutral=model_mesh(np.asarray(neutral_mm + fused.person.offset_mm), model),
        jitter=jitter_figures(fused, smoothed) if settings.ordered else {},
        notes=tuple(([looked.complaint] if looked.complaint else []) + fused.notes), settings=settings,
        detector=sources.name_of(run.detector), model_name=model.name, model_licence=model.licence,
        expression_names=model.expression_names,
    )  # fmt: skip
    outputs.write_all(run, fused, result, sums, num_chunks=looked.num_chunks)
    return result


def _begun_with(folder: pathlib.Path) -> int | None:
    """The chunk length of an earlier run: one that was begun on another device goes on here."""
    try:
        return int(json.loads((folder / WORK / MANIFEST).read_text())["settings"]["chunk"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_folder(folder: pathlib.Path) -> None:
    """Only a new folder, an empty one, or an earlier result of ours may be written to."""
    try:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / WORK / MARKER).is_file():
            raise FaceError(f"{folder} holds something other than a tracked clip: choose another output folder.")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaceError(f"{folder} cannot be written to ({error.strerror}): choose another output folder.") from None


def _clear(folder: pathlib.Path) -> None:
    """Removes an earlier result, all but the journal."""
    shutil.rmtree(folder / "frames", ignore_errors=True)
    for name in outputs.FILES:
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
