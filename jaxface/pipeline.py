"""A photo in, a face out: every stage in order. The table of contents of jaxface.

landmarks -> (regression ->) coarse -> (parsing ->) coarse shading -> coarse normals -> medium -> learned normals ->
fine phase 1 -> fine phase 2 -> light and albedo -> detail. Where no network leads there are no normals, and light and
albedo come before the fine phases. The stages are the records of `program`; after each, `verdicts` compares its result
with the stage before on what can be seen without truth; a stage that fails or makes things worse is left out, with its
reason.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxface import photos, program
from jaxface.detection import sources
from jaxface.export.reconstruction import Reconstruction
from jaxface.mapping import batch_length
from jaxface.models import tools
from jaxface.presets import PRESETS, Preset
from jaxface.stage_log import Progress, StageLog, run_stages
from jaxface.types import FaceError, MorphableModel


class Settings(NamedTuple):
    """What a user may choose about photos; see `reconstruct`."""

    preset: str | Preset
    size: int
    seed: int
    focal_px: float | None
    face: int | None
    coarse: str
    parsing: str


def reconstruct(
    image: np.ndarray,
    *,
    model: str | MorphableModel | None = None,
    coarse: str = "landmarks",
    parsing: str = "landmarks",
    landmarks: sources.Source = None,
    face: int | None = None,
    preset: str | Preset = "default",
    size: int = 512,
    seed: int = 0,
    focal_px: float | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Reconstructs the face in one photo (height, width[, channels]; uint8, uint16, or floats in [0, 1]).

    Args:
      model: name of an installed face model, a model, or None for the best one that is openly licensed.
      coarse: what finds the coarse face: "landmarks", or "3ddfa" for that network, if installed. In the model 3ddfa_v2
        its numbers are the coarse face; in any other its pose starts the fit to the landmarks.
      parsing: what tells skin, brows and lips: "landmarks" (the fitted mesh), or "bisenet" for that network, which
        sees hair, glasses and hats too.
      landmarks: detected points, a file of them (`.npy`, `.pts`, `.json`), a detector (a function of the image, see
        `types.Detector`), or None to run MediaPipe.
      face: which face, 0 being the largest; None takes the largest.
      preset: "default" or "paper", or a `presets.Preset` of your own, made for crops of `size` pixels.
      size: side of the square crop that is refined, in pixels.
      seed: recorded with the settings; no stage draws random numbers.
      focal_px: focal length in pixels for a perspective camera; None means scaled orthographic.
      progress: called with the name of each stage as it begins.

    Raises:
      FaceError: if no usable face is found or an argument cannot be used; the message says what to do.
    """
    settings = Settings(preset, size, seed, focal_px, face, coarse, parsing)
    (found,) = _reconstruct_all([image], [landmarks], model, settings, progress)
    if isinstance(found, FaceError):
        raise found
    return found


def reconstruct_many(
    images: Sequence[np.ndarray],
    *,
    model: str | MorphableModel | None = None,
    coarse: str = "landmarks",
    parsing: str = "landmarks",
    landmarks: sources.Source | list[sources.Source] = None,
    face: int | None = None,
    preset: str | Preset = "default",
    size: int = 512,
    seed: int = 0,
    focal_px: float | None = None,
    progress: Progress | None = None,
) -> Iterator[Reconstruction | FaceError]:
    """Reconstructs the face in each of many photos, of any sizes: as `reconstruct`, several at a time where the device
    gains from it. `landmarks` may be a list, one source for each photo.

    Returns:
      In order, a reconstruction a photo, or the FaceError that says why there is none.

    Raises:
      FaceError: at once, if an argument cannot be used.
    """
    each = landmarks if isinstance(landmarks, list) else [landmarks] * len(images)
    if len(each) != len(images):
        raise FaceError(f"There are {len(images)} photos but landmarks for {len(each)}: give one source for each.")
    settings = Settings(preset, size, seed, focal_px, face, coarse, parsing)
    return _reconstruct_all(images, each, model, settings, progress)


def _reconstruct_all(images, each, model, settings: Settings, progress) -> Iterator[Reconstruction | FaceError]:
    """Checks the settings at once, then works batch by batch."""
    preset = settings.preset
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise FaceError(f"There is no preset {preset!r}; take one of {', '.join(PRESETS)}.")
        preset = PRESETS[preset](size=settings.size)
    if not 64 <= settings.size <= 4096:
        raise FaceError(f"The crop's size must lie between 64 and 4096 pixels, not {settings.size}.")
    used = tools.choose(model=model, coarse=settings.coarse, parsing=settings.parsing)
    length = batch_length(size=settings.size, num_photos=len(images))
    parts = (slice(start, start + length) for start in range(0, len(images), length))

    def batch(part: slice) -> list[Reconstruction | FaceError]:
        log = StageLog(progress, rows=len(images[part]))
        return _reconstruct_batch(images[part], each[part], used, preset, settings, log, length=length)

    return itertools.chain.from_iterable(map(batch, parts))


def _reconstruct_batch(
    images, each, used: tools.Tools, preset: Preset, settings: Settings, log: StageLog, *, length: int
) -> list[Reconstruction | FaceError]:
    """The stages in their order, on photos that are padded to `length`."""
    seen, failed = photos.find_faces(images, each, log, face=settings.face)
    results: dict[int, Reconstruction | FaceError] = {**failed}
    if not seen:
        return [results[row] for row in range(len(images))]
    rows = [photo.row for photo in seen]
    shared = photos.prepare(used.model, preset, log, rows=rows)
    views = photos.look(seen, focal_px=settings.focal_px, length=length)
    with photos.compiling(views, shared, used, size=settings.size):
        state, views = photos.run_regression(seen, views, used, shared, log)
        state, reasons = run_stages([program.COARSE], state, views, shared=shared, log=log, rows=rows)
        if not all(reasons):
            views = photos.cut(seen, views, state, used, log, size=settings.size, shared=shared)
            stages = (*program.shape_stages(shared), *program.surface_stages(shared))
            state, _ = run_stages(stages, state, views, shared=shared, log=log, rows=rows)
            told = settings._asdict() | {"preset": settings.preset if isinstance(settings.preset, str) else "own"}
            results |= photos.records(seen, state, views, shared=shared, settings=told, log=log)
    for row, reason in zip(rows, reasons, strict=True):
        if reason:
            results[row] = FaceError(f"The face could not be fitted: {reason}.")
    return [results[row] for row in range(len(images))]
