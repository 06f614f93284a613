"""Faces on which all values of a weight start from the same shape, and the errors that each value ends with."""

import importlib.util
from typing import NamedTuple

import jax
import jax.numpy as jnp
from common import faces, program, truth
from tqdm import tqdm

from jaxface.detection.sources import find_landmarks
from jaxface.pipeline import reconstruct
from jaxface.presets import PRESETS, Preset
from jaxface.types import FaceError, MorphableModel
from sensitivity_study import judge, weights

NOISE_SEED = 1000  # a face's landmarks have noise of their own


class Ground(NamedTuple):
    """A photograph's crop, the coarse shape there and the one that the fine stage gets, and the truth."""

    face: program.Face
    medium_mm: jax.Array
    medium_kept: bool  # else it is the coarse shape
    model: MorphableModel
    field: truth.Field


class Row(NamedTuple):
    """Errors of each face with one weight multiplied by a factor, and on how many the medium shape was not given up."""

    preset: str
    weight: str
    factor: float
    value: float
    medium_kept: int
    normal_degrees: list[float]
    rmse_mm: list[float]


def landmark_source(*, smoke: bool) -> str:
    """MediaPipe's where it is installed and the pictures are large enough for it."""
    return "true + noise" if smoke or importlib.util.find_spec("mediapipe") is None else "detected"


def make_grounds(
    preset: str, model: MorphableModel, *, count: int, size: int, seed: int, landmarks: str
) -> list[Ground]:
    """Photographs of the embedded model's faces, each reconstructed once with the preset; those in which no face is
    found are left out with a line."""
    grounds = []
    for index, case in enumerate(tqdm(faces.make_cases("default", count=count), desc=f"faces, {preset}, seed {seed}")):
        face = faces.default_truth(case, size=size, seed=seed)
        try:
            grounds.append(_ground(face, preset, model, size=size, seed=NOISE_SEED * seed + index, source=landmarks))
        except FaceError as error:
            tqdm.write(f"{case.name} is left out: {error}")
    if not grounds:
        raise FaceError("No face was found in any of the photographs; larger ones (--size) may help.")
    return grounds


def _ground(face: faces.Truth, preset: str, model: MorphableModel, *, size: int, seed: int, source: str) -> Ground:
    detected = source == "detected"
    points = find_landmarks(face.image)[0] if detected else faces.noisy_landmarks(face, seed=seed)
    rec = reconstruct(face.image, model=model, landmarks=points, preset=preset, size=size)
    field = truth.judge(judge.crop_truth(face, rec.crop), [rec.maps.mask > 0.5], size=size)
    kept = any(stage.name == "medium" and stage.status == "ok" for stage in rec.stages)
    return Ground(program.of_reconstruction(rec), jnp.asarray(rec.medium.vertices_mm), kept, model, field)


def deform(ground: Ground, preset: Preset) -> Ground:
    """The face with its medium shape made anew, given up where the pipeline would."""
    medium_mm, objection = program.deform(ground.face, ground.model, preset)
    kept_mm = ground.face.fit.vertices_mm if objection else medium_mm
    return ground._replace(medium_mm=kept_mm, medium_kept=not objection)


def measure(grounds: list[Ground], preset: str, weight: str, factor: float, *, size: int) -> Row:
    """Errors of all faces with one weight multiplied."""
    chosen = weights.changed(PRESETS[preset](size=size), weight, factor)
    if weight == weights.STIFFNESS and factor != 1.0:
        grounds = [deform(ground, chosen) for ground in grounds]
    found = [
        judge.errors(each.field, program.refine(each.face, each.medium_mm, each.model, chosen)) for each in grounds
    ]
    columns = {metric: [each[metric] for each in found] for metric in truth.METRICS}
    kept = sum(ground.medium_kept for ground in grounds)
    return Row(preset, weight, factor, weights.value(chosen, weight), kept, **columns)


def measure_preset(grounds: list[Ground], preset: str, *, size: int) -> Row:
    """Errors of all faces with the preset as it is; the row names one weight, whichever."""
    return measure(grounds, preset, weights.STIFFNESS, 1.0, size=size)


def sweep(grounds: list[Ground], preset: str, *, factors: tuple[float, ...], size: int) -> list[Row]:
    """Each weight at the preset's value and at each factor, in order."""
    rows, base = [], PRESETS[preset](size=size)
    unchanged = measure_preset(grounds, preset, size=size)
    for name in tqdm(weights.names(base), desc=f"weights, {preset}"):
        own = unchanged._replace(weight=name, value=weights.value(base, name))
        others = [measure(grounds, preset, name, factor, size=size) for factor in factors]
        rows += sorted([own, *others], key=lambda row: row.factor)
    return rows
