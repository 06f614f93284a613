"""The pipeline's stages one by one, for runners that look between them.

All that experiments/ takes from the inside of the pipeline is here. Arrays may be NumPy's; each stage compiles once a
shape.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface import checks, frame
from jaxface.execution import run_timed
from jaxface.geometry.subdivision import Subdivision, subdivide
from jaxface.io.arrays import crop_window
from jaxface.models import tools
from jaxface.networks import bisenet
from jaxface.presets import Preset
from jaxface.rendering.camera import crop_camera, crop_pose
from jaxface.stages import detail, observe
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    FineInputs,
    FineMaps,
    Landmarks,
    MediumFit,
    MorphableModel,
    Parsing,
    Pose,
    Reconstruction,
)


class Face(NamedTuple):
    """A face in a photo: its landmarks and coarse fit, and the crop with its pixels (RGB in [0, 1]).

    `image_size_px` is width and height of the photo."""

    landmarks: Landmarks
    fit: CoarseFit
    camera: Camera
    crop: Crop
    window: Float[Array, "size size 3"]
    image_size_px: Float[Array, "2"]


def fit_landmarks(landmarks: Landmarks, camera: Camera, model: MorphableModel) -> tuple[CoarseFit, Array, Array]:
    """The coarse fit to landmarks alone; middle and longer side of the face mesh in the image."""
    return run_timed(frame.fit_coarse, landmarks, camera, frame.prepare(model), None).value


def locate(image: np.ndarray, landmarks: Landmarks, model: MorphableModel, *, size: int) -> Face:
    """The face by its landmarks alone, and a crop of `size` pixels about it."""
    camera = frame.make_camera(height=image.shape[0], width=image.shape[1])
    fit, centre, side = fit_landmarks(landmarks, camera, model)
    face = Face(landmarks, fit, camera, frame.square_crop(centre, side, size=size), None, _size_px(image))
    return look(face, image, face.crop, size=size)


def look(face: Face, image: np.ndarray, crop: Crop, *, size: int) -> Face:
    """The same face by another crop of its photo."""
    return face._replace(crop=crop, window=jnp.asarray(crop_window(image, crop, size=size)))


def shade(face: Face, model: MorphableModel) -> Face:
    """The coarse fit, gone on with the shading of the skin on the crop."""
    arguments = (face.fit, face.landmarks, face.window, face.camera, face.crop, frame.prepare(model))
    return face._replace(fit=run_timed(frame.refine_coarse, *arguments).value)


def of_reconstruction(rec: Reconstruction) -> Face:
    """The face as the pipeline left it before the medium stage."""
    window = jnp.asarray(rec.crop_image)
    return Face(rec.landmarks, rec.coarse_fit, rec.camera, rec.crop, window, _size_px(rec.image))


def deform(face: Face, model: MorphableModel, *, stiffness: float) -> MediumFit:
    """The medium stage."""
    return run_timed(frame.deform, face.fit, face.landmarks, face.camera, frame.prepare(model), stiffness).value


def objection(face: Face, medium: MediumFit, model: MorphableModel, preset: Preset) -> str:
    """Why the pipeline would keep the coarse shape; nothing where it goes on with the medium one."""
    shapes_mm = jnp.stack([jnp.asarray(face.fit.vertices_mm), medium.vertices_mm])
    poses = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), face.fit.pose)
    arguments = (face.window, shapes_mm, poses, _view(face), frame.prepare(model))
    residuals = run_timed(frame.shading_residuals, *arguments, schedule=preset.schedule).value
    triangles = np.asarray(model.triangles)
    return checks.check_medium(medium, face.fit, triangles=triangles, residuals=np.asarray(residuals))[1]


def see(face: Face, vertices_mm: Array, model: MorphableModel, *, parsing: Parsing | None = None) -> FineInputs:
    """What the fine stage sees of a medium shape."""
    templates, inside = frame.prepare(model), _inside(face)
    arguments = (face.window, jnp.asarray(vertices_mm), *_cropped(face), templates.model, templates.surface, inside)
    return run_timed(_observe, *arguments, parsing).value


def refine(face: Face, vertices_mm: Array, model: MorphableModel, preset: Preset) -> FineMaps:
    """The fine stage from a medium shape."""
    arguments = (face.window, jnp.asarray(vertices_mm), face.fit.pose, _view(face), frame.prepare(model))
    return run_timed(frame.fit_surface, *arguments, preset.weights, schedule=preset.schedule).value


def displace(face: Face, vertices_mm: Array, maps: FineMaps, model: MorphableModel) -> Float[Array, "fine_vertices 3"]:
    """Vertices (object frame, mm) of the fine mesh that the maps make of a medium shape."""
    arguments = (jnp.asarray(vertices_mm), jax.tree.map(jnp.asarray, maps), *_cropped(face), frame.prepare(model))
    return run_timed(_displace, *arguments).value


def parse(face: Face, image: np.ndarray, params: bisenet.Params) -> Parsing:
    """What a parsing network sees on the crop."""

    def run(function, *arrays, **static):
        return run_timed(function, *arrays, **static).value

    return tools.parse(image, face.crop, params, size=len(face.window), run=run)


def fine_mesh(model: MorphableModel) -> Subdivision:
    """The subdivision that turns the model's mesh into the fine one's."""
    return frame.prepare(model).detail.subdivision


def to_fine(vertices_mm: Array, model: MorphableModel) -> Float[Array, "fine_vertices 3"]:
    """A shape of the model on the vertices of the fine mesh, without detail."""
    return subdivide(jnp.asarray(vertices_mm), subdivision=fine_mesh(model))


def neutral(identity: Array, model: MorphableModel) -> Float[Array, "vertices 3"]:
    """An identity without expression."""
    return run_timed(frame.neutral_shape, identity, model).value


def crop_about(vertices_mm: Array, pose: Pose, camera: Camera, model: MorphableModel, *, size: int) -> Crop:
    """The crop that holds a shape of the model as it appears."""
    return frame.window_of(vertices_mm, pose, camera, model, size=size)


def clay(vertices_mm: Array, triangles: Array, pose: Pose, camera: Camera, crop: Crop, *, size: int) -> np.ndarray:
    """A mesh in clay as the crop's camera sees it; pose and camera are the photo's."""
    arguments = jax.tree.map(jnp.asarray, (vertices_mm, triangles, pose, camera, crop))
    return np.asarray(run_timed(frame.clay_picture, *arguments, size=size).value)


def _size_px(image: np.ndarray) -> Array:
    return jnp.array(image.shape[1::-1], jnp.float32)


def _view(face: Face) -> frame.View:
    return frame.View(face.camera, face.crop, face.image_size_px, None)


def _cropped(face: Face) -> tuple[Pose, Camera]:
    return crop_pose(face.fit.pose, face.crop), crop_camera(face.camera, face.crop)


def _inside(face: Face) -> Float[Array, "size size"]:
    """1 where a crop pixel lies on the photo."""
    steps = np.arange(len(face.window)) / float(face.crop.zoom)
    places = [float(offset) + steps for offset in face.crop.offset_px]
    x, y = ((at > -0.5) & (at < float(side) - 0.5) for at, side in zip(places, face.image_size_px, strict=True))
    return jnp.asarray(y[:, None] & x[None, :], jnp.float32)


def _observe(window, vertices_mm, pose, camera, model, surface, inside, parsing):
    shared = dict(camera=camera, model=model, surface=surface, inside=inside, parsing=parsing)
    return observe.run(window, vertices_mm, pose, **shared)


def _displace(medium_mm, maps, pose, camera, templates):
    return detail.run(medium_mm, maps, pose, camera, model=templates.model, template=templates.detail).vertices_mm
