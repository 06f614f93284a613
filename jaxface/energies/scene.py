"""One crop as Eqs. 4 to 9 of Jin et al. (2021) see it, and the energies of the fine stage as terms: functions of such a
scene and of weights. Another term is another such function, or a sum of them.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float

from jaxface.energies.albedo import AlbedoWeights, albedo_energy
from jaxface.energies.depth import DepthWeights, depth_energy
from jaxface.energies.slopes import Slopes, SlopeWeights, slope_energy
from jaxface.energies.specular import SpecularWeights, specular_energy
from jaxface.geometry.normals import depth_normals
from jaxface.rendering import lighting
from jaxface.rendering.appearance import Appearance
from jaxface.rendering.image_model import render
from jaxface.types import FineInputs

Rate = Float[Array, ""] | float


class Scene(NamedTuple):
    """What is known of a square crop; images in [0, 1], heights in crop pixels toward the viewer.

    `covered` is 1 where the medium mesh is, `mask` in [0, 1] where its skin is seen; `shading` is that of `height_px`;
    beta_0 of Eq. 8 is `initial_specular`, d_0 of Eq. 9 `initial_height_px`. `slopes` are those that a network asks for,
    if one leads the surface.
    """

    image: Float[Array, "height width 3"]
    covered: Float[Array, "height width"]
    mask: Float[Array, "height width"]
    light: Float[Array, "9 3"]
    mean_albedo: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    specular: Float[Array, "height width 3"]
    initial_specular: Float[Array, "height width 3"]
    initial_height_px: Float[Array, "height width"]
    height_px: Float[Array, "height width"]
    shading: Float[Array, "height width 3"]
    finite: Bool[Array, ""]
    slopes: Slopes | None = None


Term = Callable[[Scene, Any], Float[Array, ""]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Unknown:
    """A field of the scene to solve for, and how: `energy(scene, weights)` by Adam with a `rate`, constant or falling
    along half a `cosine`. With `precondition`, a linear map K, the unknown is u with field = start + K u."""

    name: str = dataclasses.field(metadata={"static": True})
    energy: Term = dataclasses.field(metadata={"static": True})
    weights: Any
    rate: Rate
    cosine: bool = dataclasses.field(default=False, metadata={"static": True})
    precondition: Callable[[Array], Array] | None = dataclasses.field(default=None, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Phase:
    """Unknowns that take a step each in turn, the height last."""

    unknowns: tuple[Unknown, ...]
    num_steps: int = dataclasses.field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class FineTerms:
    """All that the fine stage is made of: an estimate of the light, the albedo, highlights, and two phases.

    `appearance(inputs, normals_image)` gives an `Appearance`; `highlights(image, diffuse, mask)` the specular map to
    start from and beta_0. A preset fills this record; `dataclasses.replace` exchanges a part of it.
    """

    appearance: Callable[[FineInputs, Array], Appearance] = dataclasses.field(metadata={"static": True})
    albedo: Phase
    highlights: Callable[[Array, Array, Array], tuple[Array, Array]] = dataclasses.field(metadata={"static": True})
    phase1: Phase
    phase2: Phase


def with_value(scene: Scene, value: Array, *, name: str) -> Scene:
    """The scene with one field exchanged; its shading follows its height."""
    changes: dict[str, Any] = {name: value}
    scene = scene._replace(**changes)
    if name == "height_px":
        scene = scene._replace(shading=lighting.shading(depth_normals(value), scene.light))
    return scene


def albedo_term(scene: Scene, weights: AlbedoWeights, *, sigma: float, per_channel: bool) -> Float[Array, ""]:
    """Eq. 6; `sigma` and `per_channel` are those of RTV (Eq. 7)."""
    return albedo_energy(
        scene.albedo, image=scene.image, shading=scene.shading, specular=scene.specular,
        mean_albedo=scene.mean_albedo, mask=scene.mask, weights=weights, sigma=sigma, per_channel=per_channel,
    )  # fmt: skip


def specular_term(scene: Scene, weights: SpecularWeights) -> Float[Array, ""]:
    """Eq. 8."""
    diffuse = render(scene.albedo, scene.shading)
    return specular_energy(
        scene.specular, image=scene.image, diffuse=diffuse, specular_init=scene.initial_specular, mask=scene.mask,
        weights=weights,
    )  # fmt: skip


def height_term(scene: Scene, weights: DepthWeights, *, as_printed: bool = False) -> Float[Array, ""]:
    """Eq. 9, in our reading or as printed (`depth_energy`)."""
    return depth_energy(
        scene.height_px, image=scene.image, albedo=scene.albedo, specular=scene.specular, light=scene.light,
        initial_height_px=scene.initial_height_px, mask=scene.mask, weights=weights, as_printed=as_printed,
    )  # fmt: skip


def slope_term(scene: Scene, weights: SlopeWeights) -> Float[Array, ""]:
    """Eq. 9 with the slopes that a network asks for (`slope_energy`)."""
    assert scene.slopes is not None
    return slope_energy(scene.height_px - scene.initial_height_px, scene.slopes, weights=weights)
