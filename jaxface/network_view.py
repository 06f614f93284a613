"""What the network of normals makes of a shape in a picture, and how well a shape follows it: parts of the stages."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.normals import NormalsSeen, misfit_degrees
from jaxface.networks import normals
from jaxface.presets import Preset
from jaxface.rendering.appearance import fill_outside
from jaxface.rendering.camera import cropped, project
from jaxface.state import Shared, View, observed
from jaxface.templates import Templates
from jaxface.types import FineInputs, LearnedNormals, Pose
from jaxface.verdicts import Figures


def share(templates: Templates, preset: Preset) -> Shared:
    """What all frames see, with the network where the preset lets it lead."""
    return Shared(templates, preset, None if preset.learned_normals is None else normals.load())


def look(
    shape_mm: Float[Array, "vertices 3"], pose: Pose, view: View, shared: Shared
) -> tuple[FineInputs, Float[Array, "size size"], LearnedNormals]:
    """A shape as the crop shows it, its heights continued past its rim, and what the network says of it."""
    inputs = observed(shape_mm, pose, view, shared)
    height_px = fill_outside(inputs.height_px, inputs.covered)
    crop_pose, _ = cropped(pose, view.camera, view.crop)
    px_per_mm = jnp.exp(crop_pose.log_scale)
    return inputs, height_px, normals.predict(shared.network, inputs.image, height_px, inputs.covered, px_per_mm)


def told(inputs: FineInputs, said: LearnedNormals) -> Figures:
    """How much of the face's skin the network sees, and how far off it holds its normals to be there."""
    seen = inputs.prior * said.skin
    total = jnp.maximum(jnp.sum(seen), 1e-6)
    return {
        "seen_share": total / jnp.maximum(jnp.sum(inputs.prior), 1e-6),
        "spread_degrees": jnp.degrees(jnp.sum(seen * said.spread) / total),
    }


def inclined(
    before_mm: Float[Array, "vertices 3"],
    after_mm: Float[Array, "vertices 3"],
    poses: tuple[Pose, Pose],
    seen: NormalsSeen,
    view: View,
    shared: Shared,
) -> Figures:
    """How far two shapes are inclined from what the network sees."""
    patches = shared.templates.patches

    def misfit(shape_mm, pose):
        corners_px = project(shape_mm[patches.triangles].reshape(-1, 3), pose, camera=view.camera).reshape(-1, 3, 3)
        return misfit_degrees(corners_px, seen, view.crop, area=patches.area)

    return {"normals_before_degrees": misfit(before_mm, poses[0]), "normals_degrees": misfit(after_mm, poses[1])}
