"""The pipeline's stages one by one, for runners that look between them.

All that experiments/ takes from the inside of the pipeline is here. Arrays may be NumPy's; each stage compiles once a
shape.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface import presets, program
from jaxface.execution import run_timed
from jaxface.export.reconstruction import Reconstruction
from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.io.arrays import crop_window
from jaxface.models import tools
from jaxface.morphable.linear import face_shape
from jaxface.networks import bisenet
from jaxface.presets import Preset
from jaxface.program import Stage
from jaxface.rendering.camera import face_crop, make_camera
from jaxface.rendering.clay import clay_picture
from jaxface.stages import fine
from jaxface.state import Shared, State, View, observed
from jaxface.templates import prepare
from jaxface.types import Camera, CoarseFit, Crop, FineInputs, FineMaps, Landmarks, MorphableModel, Parsing, Pose
from jaxface.verdicts import Verdict, reason


class Face(NamedTuple):
    """A face in a photo: its landmarks and coarse fit, and the crop with its pixels (RGB in [0, 1]).

    `image_size_px` is width and height of the photo."""

    landmarks: Landmarks
    fit: CoarseFit | None
    camera: Camera
    crop: Crop | None
    window: Float[Array, "size size 3"] | None
    image_size_px: Float[Array, "2"]


def fit_landmarks(landmarks: Landmarks, camera: Camera, model: MorphableModel) -> CoarseFit:
    """The coarse fit to landmarks alone."""
    face = Face(landmarks, None, camera, None, None, jnp.zeros(2))
    return run_stage(program.COARSE, face, State(), _shared(model))[0].fit


def locate(image: np.ndarray, landmarks: Landmarks, model: MorphableModel, *, size: int) -> Face:
    """The face by its landmarks alone, and a crop of `size` pixels about it."""
    camera = make_camera(height=image.shape[0], width=image.shape[1])
    fit = fit_landmarks(landmarks, camera, model)
    face = Face(landmarks, fit, camera, None, None, jnp.array(image.shape[1::-1], jnp.float32))
    return look(face, image, crop_about(fit.vertices_mm, fit.pose, camera, model, size=size), size=size)


def look(face: Face, image: np.ndarray, crop: Crop, *, size: int) -> Face:
    """The same face by another crop of its photo."""
    return face._replace(crop=crop, window=jnp.asarray(crop_window(image, crop, size=size)))


def shade(face: Face, model: MorphableModel) -> Face:
    """The coarse fit, gone on with the shading of the skin on the crop, whatever the verdict."""
    state = State(face.fit, face.fit.vertices_mm)
    always = program.COARSE_SHADING._replace(otherwise=_whatever)
    return face._replace(fit=run_stage(always, face, state, _shared(model, size=len(face.window)))[0].fit)


def of_reconstruction(rec: Reconstruction) -> Face:
    """The face as the pipeline left it before the medium stage."""
    size_px = jnp.array(rec.image.shape[1::-1], jnp.float32)
    return Face(rec.landmarks, rec.coarse_fit, rec.camera, rec.crop, jnp.asarray(rec.crop_image), size_px)


def deform(face: Face, model: MorphableModel, preset: Preset) -> tuple[Float[Array, "vertices 3"], str]:
    """The medium shape, and why the pipeline would keep the coarse one; nothing where it goes on with it."""
    state = State(face.fit, face.fit.vertices_mm)
    always = program.MEDIUM._replace(otherwise=_whatever)
    state, verdict = run_stage(always, face, state, Shared(prepare(model), preset))
    return state.shape_mm, reason("medium", verdict)


def see(face: Face, vertices_mm: Array, model: MorphableModel, *, parsing: Parsing | None = None) -> FineInputs:
    """What the fine stage sees of a medium shape."""
    state, view = _stated(face, vertices_mm), _view(face)._replace(parsing=parsing)
    return run_timed(_observe, state, view, _shared(model)).value


def refine(face: Face, vertices_mm: Array, model: MorphableModel, preset: Preset) -> FineMaps:
    """The fine stage from a medium shape, unjudged."""
    return run_timed(fine.run, see(face, vertices_mm, model), preset.fine).value


def displace(face: Face, vertices_mm: Array, maps: FineMaps, model: MorphableModel) -> Float[Array, "fine_vertices 3"]:
    """Vertices (object frame, mm) of the fine mesh that the maps make of a medium shape."""
    arguments = (jax.tree.map(jnp.asarray, maps), _stated(face, vertices_mm), _view(face))
    return run_timed(program.detail_mesh, *arguments, _shared(model)).value.vertices_mm


def run_stage(stage: Stage, face: Face, state: State, shared: Shared) -> tuple[State, Verdict]:
    """One stage on one face: a chunk of one."""
    lead = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], (state, _view(face)))
    return jax.tree.map(lambda leaf: leaf[0], program.mapped(stage)(*lead, shared=shared))


def parse(face: Face, image: np.ndarray, params: bisenet.Params) -> Parsing:
    """What a parsing network sees on the crop."""

    def run(function, *arrays, **static):
        return run_timed(function, *arrays, **static).value

    return tools.parse(image, face.crop, params, size=len(face.window), run=run)


def fine_mesh(model: MorphableModel) -> Subdivision:
    """The subdivision that turns the model's mesh into the fine one's."""
    return prepare(model).detail.subdivision


def to_fine(vertices_mm: Array, model: MorphableModel) -> Float[Array, "fine_vertices 3"]:
    """A shape of the model on the vertices of the fine mesh, without detail."""
    return subdivide(jnp.asarray(vertices_mm), subdivision=fine_mesh(model))


def neutral(identity: Array, model: MorphableModel) -> Float[Array, "vertices 3"]:
    """An identity without expression."""
    return run_timed(_neutral, identity, model).value


def crop_about(vertices_mm: Array, pose: Pose, camera: Camera, model: MorphableModel, *, size: int) -> Crop:
    """The crop that holds a shape of the model as it appears."""
    return face_crop(vertices_mm, pose, camera, model=model, size=size)


def clay(vertices_mm: Array, triangles: Array, pose: Pose, camera: Camera, crop: Crop, *, size: int) -> np.ndarray:
    """A mesh in clay as the crop's camera sees it; pose and camera are the photo's."""
    arguments = jax.tree.map(jnp.asarray, (vertices_mm, triangles, pose, camera, crop))
    return np.asarray(run_timed(clay_picture, *arguments, size=size).value)


def _shared(model: MorphableModel, *, size: int = 512) -> Shared:
    """The coarse fit's weights are the same in both presets, and at all sizes."""
    return Shared(prepare(model), presets.default(size=size))


def _whatever(before: State, after: State) -> State:
    return after


def _view(face: Face) -> View:
    return View(face.landmarks, face.camera, face.image_size_px, jnp.float32(1.0), crop=face.crop, window=face.window)


def _stated(face: Face, vertices_mm: Array) -> State:
    return State(face.fit, jnp.asarray(vertices_mm))


def _observe(state: State, view: View, shared: Shared) -> FineInputs:
    return observed(state.shape_mm, state.fit.pose, view, shared)


def _neutral(identity: Array, model: MorphableModel) -> Array:
    return face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)
