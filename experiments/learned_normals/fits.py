"""The product's own smooth surfaces on the training pictures: its coarse fits to the detector's landmarks, of either
model, as height maps. They lie beside the shards and are made shard by shard, too."""

import functools
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.geometry.subdivision import loop_subdivision
from jaxface.models import store
from jaxface.presets import COARSE
from jaxface.rendering.camera import orthographic
from jaxface.stages import coarse, observe
from jaxface.types import Landmarks
from learned_normals.pictures import HEIGHT_STEPS, SIZE, fits_path


@functools.cache
def _program(name: str):
    model = store.resolve(name)
    surface = loop_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=1)
    blank, everywhere = jnp.zeros((SIZE, SIZE, 3)), jnp.ones((SIZE, SIZE))

    def run(landmarks, model, surface):
        fit = coarse.run(landmarks, model=model, camera=orthographic(), weights=COARSE)
        seen = observe.run(
            blank, fit.vertices_mm, fit.pose, camera=orthographic(), model=model, surface=surface, inside=everywhere
        )
        return seen.height_px, seen.covered, fit.finite

    return functools.partial(jax.jit(run), model=model, surface=surface)


def landmarks_of(found_px: np.ndarray, truth_px: np.ndarray, rng: np.random.Generator) -> Landmarks:
    """What the detector found (478, 3), or else the truth with errors like its own: wide ones that neighbours share."""
    points = found_px
    if not np.isfinite(found_px).all():
        scale = np.ptp(truth_px[:, :2]) / 200.0
        wave = rng.normal(size=(3, 2)) / 40.0 / scale
        points = truth_px.copy()
        points[:, :2] += 2.0 * scale * np.sin(truth_px[:, :2] @ wave[:2] + rng.uniform(0, 6.3, 2))
        points[:, :2] += 0.7 * scale * rng.normal(size=(478, 2))
    inside = ((points[:, :2] > -0.5) & (points[:, :2] < SIZE - 0.5)).all(axis=1)
    confidence = np.where(inside, 1.0, 0.1)
    return Landmarks(*(jnp.asarray(values, jnp.float32) for values in (points[:, :2], points[:, 2], confidence)))


def write_fits(pictures: pathlib.Path, *, models: tuple[str, ...]) -> pathlib.Path:
    """Fits one of the models to each picture of a shard, by turns, unless that was done."""
    path = fits_path(pictures)
    if path.exists():
        return path
    with np.load(pictures) as stored:
        found, truth = stored["found_px"], stored["landmarks_px"]
    rng = np.random.default_rng(len(found) + int(pictures.stem[-4:]))
    heights, covers, usable = [], [], []
    for row, (theirs, true) in enumerate(zip(found, truth, strict=True)):
        height, covered, finite = _program(models[row % len(models)])(landmarks_of(theirs, true, rng))
        heights.append(np.round(np.asarray(height) * HEIGHT_STEPS).astype(np.int32))
        covers.append(np.asarray(covered) > 0.5)
        usable.append(bool(finite))
    partial = path.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.savez(file, height=np.stack(heights), covered=np.stack(covers), usable=np.array(usable))
    os.replace(partial, path)
    return path
