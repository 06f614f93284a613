"""What is seen of a face in a picture and what is known of it so far, as records of one frame, and a shape as the
picture shows it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxface.energies.normals import NormalsSeen
from jaxface.energies.scene import Scene
from jaxface.geometry.normals import depth_normals
from jaxface.numerics import masked_median
from jaxface.presets import Preset
from jaxface.rendering.appearance import fill_outside
from jaxface.rendering.camera import cropped, within
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.stages import observe
from jaxface.templates import Templates
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    DetailMesh,
    FineInputs,
    Landmarks,
    LearnedNormals,
    Parsing,
    Pose,
    Regression,
)

Picture = UInt8[Array, "size size 3"] | Float[Array, "size size 3"]


_UNKNOWN: Any = None  # before the step that finds it


class View(NamedTuple):
    """What is seen of a face in one picture. `window` is what the square `crop` shows, 8-bit or in [0, 1]; networks'
    outputs are None where none is used, and NaN where one failed. Where `counts` is 0 the frame is only bridged."""

    landmarks: Landmarks
    camera: Camera
    image_size_px: Float[Array, "2"]
    counts: Float[Array, ""]
    regression: Regression | None = None
    crop: Crop = _UNKNOWN
    window: Picture = _UNKNOWN
    parsing: Parsing | None = None


class State(NamedTuple):
    """What is known of the face, None before the stage that finds it: coarse fit, medium shape (object frame), how far
    the photo is from the shading of the coarse shape left out and of the one kept, what a network sees of normals while
    shapes are fitted to them and what that says of the medium shape's, the crop as Eqs. 4 to 9 see it, the first
    phase's height map as it is shown, and the displaced mesh."""

    fit: CoarseFit = _UNKNOWN
    shape_mm: Float[Array, "vertices 3"] = _UNKNOWN
    shading_residuals: Float[Array, "2"] = _UNKNOWN
    seen: NormalsSeen = _UNKNOWN
    normals: LearnedNormals | None = None
    scene: Scene = _UNKNOWN
    phase1_height_px: Float[Array, "size size"] = _UNKNOWN
    mesh: DetailMesh = _UNKNOWN


class Shared(NamedTuple):
    """What all frames see. The preset is that of the crop's size; `network` holds the parameters of the one that tells
    normals, None without it."""

    templates: Templates
    preset: Preset
    network: Any = None


# Programs within programs, compiled with each but traced once: stages share them.
@jax.jit
def observed(shape_mm: Float[Array, "vertices 3"], pose: Pose, view: View, shared: Shared) -> FineInputs:
    """A shape as the crop's camera sees it."""
    image, templates = as_floats(view.window), shared.templates
    crop_pose, crop_camera = cropped(pose, view.camera, view.crop)
    return observe.run(
        image, shape_mm, crop_pose, camera=crop_camera, model=templates.model, surface=templates.surface,
        inside=within(view.crop, size=image.shape[0], image_size_px=view.image_size_px),
        parsing=None if view.parsing is None else Parsing(*map(as_floats, view.parsing)),
    )  # fmt: skip


def shading_residuals(
    shapes: list[tuple[Float[Array, "vertices 3"], Pose]], view: View, shared: Shared
) -> Float[Array, "shapes"]:
    """How well the best light explains the photo on each shape in its pose, with the regions' mean colours: the median
    over skin of |I' - I|. On rendered faces, of two shapes the one with less normal error has less of it."""
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *shapes)
    return jax.lax.map(lambda shape: _shading_residual(*shape, view, shared), stacked)


@jax.jit
def _shading_residual(shape_mm: Array, pose: Pose, view: View, shared: Shared) -> Float[Array, ""]:
    inputs = observed(shape_mm, pose, view, shared)
    normals = depth_normals(fill_outside(inputs.height_px, inputs.covered))
    found = shared.preset.fine.appearance(inputs, normals)
    rendered = render(found.mean_albedo, shading(normals, found.light))
    distance = jnp.mean(jnp.abs(rendered - inputs.image), axis=-1)
    return masked_median(distance, found.mask > 0.5)


def as_floats(values: Any) -> Float[Array, "..."]:
    """8-bit values in [0, 1]; floats as they are."""
    return values.astype(jnp.float32) / 255.0 if values.dtype == jnp.uint8 else values
