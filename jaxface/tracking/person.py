"""One person from many frames: detail and albedo as running sums whose size does not depend on the number of frames.

Sums are plain arrays: a frame at a time goes in, in order, and they may be stored and taken up again in between. What a
frame does not know, NaN or not, has weight 0 and leaves no trace.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.imaging.filling import complete_skin
from jaxface.imaging.filters import sample
from jaxface.numerics import smoothstep
from jaxface.stages.detail import DetailTemplate, Displaced, displace, displacement_map, normal_map, skin_map
from jaxface.templates import Templates, fine_mesh
from jaxface.types import DetailMesh, Mesh, TextureMaps

ENOUGH = (0.01, 0.06)  # summed weight between which a texel's own colour replaces the filling; one frame at 60 degrees
LEAST_SURE = 0.01  # a frame that saw less of the skin there tells nothing of its relief
LEAST_OVERLAP = 1e-3  # share of the texture that must be known twice before its levels are compared


class DetailSums(NamedTuple):
    """Displacement over all frames. `shift_mm` is the sum of sure * facing^2 * displacement, which is faded by its
    trust; `weight` that of sure * facing^2 * trust, so that their ratio is not faded; `trust` is the greatest."""

    shift_mm: Float[Array, "fine_vertices"]
    weight: Float[Array, "fine_vertices"]
    trust: Float[Array, "fine_vertices"]


class TextureSums(NamedTuple):
    """Albedo over all frames: the sums of weight * albedo, each frame brought to one level, and of the weight."""

    colour: Float[Array, "rows columns 3"]
    weight: Float[Array, "rows columns"]


@dataclasses.dataclass(frozen=True)
class Person:
    """A face with what all frames know of it (host arrays, object frame). `normals` are those of the displaced mesh;
    the normal map of `textures` goes with the neutral shape. `colours` are the texture at the vertices."""

    mesh: Mesh
    normals: np.ndarray
    colours: np.ndarray
    textures: TextureMaps


def no_detail(template: DetailTemplate) -> DetailSums:
    """The sums before the first frame."""
    zeros = jnp.zeros(template.subdivision.indices.shape[0])
    return DetailSums(zeros, zeros, zeros)


def no_texture(template: DetailTemplate) -> TextureSums:
    """The sums before the first frame."""
    zeros = jnp.zeros(template.raster.triangle.shape)
    return TextureSums(jnp.stack([zeros] * 3, axis=-1), zeros)


def add_detail(sums: DetailSums, detail: DetailMesh) -> DetailSums:
    """The sums with one more frame."""
    counts = (detail.trust > 0.0) & (detail.sure > LEAST_SURE)
    squared = jnp.where(counts, detail.sure * jnp.clip(detail.facing, 0.0, 1.0) ** 2, 0.0)
    shift_mm = jnp.where(squared > 0.0, squared * detail.displacement_mm, 0.0)
    weight = jnp.where(squared > 0.0, squared * detail.trust, 0.0)
    trust = jnp.where(squared > 0.0, detail.trust, 0.0)
    return DetailSums(sums.shift_mm + shift_mm, sums.weight + weight, jnp.maximum(sums.trust, trust))


def add_texture(
    sums: TextureSums, albedo: Float[Array, "rows columns 3"], weight: Float[Array, "rows columns"]
) -> TextureSums:
    """The sums with one more frame, as `detail.seen_albedo` gives it.

    A photo fixes albedo only up to the strength and tint of the light: each channel is scaled so that, over the texels
    known to both, the frame agrees with the mean of the frames before. The first one stays as it is.
    """
    weight = jnp.where(weight > 0.0, weight, 0.0)
    albedo = jnp.where(weight[..., None] > 0.0, albedo, 0.0)
    both = sums.weight * weight / jnp.maximum(sums.weight + weight, 1e-12)
    levelled = albedo * _level(albedo, mean_albedo(sums), both)
    return TextureSums(sums.colour + weight[..., None] * levelled, sums.weight + weight)


def mean_displacement(sums: DetailSums) -> Float[Array, "fine_vertices"]:
    """Weighted mean of the frames' displacement (mm), faded by the greatest trust; of one frame it is that frame's."""
    return sums.trust * sums.shift_mm / jnp.maximum(sums.weight, 1e-12)


def mean_albedo(sums: TextureSums) -> Float[Array, "rows columns 3"]:
    """Weighted mean of the frames' albedo; 0 where none saw anything."""
    return sums.colour / jnp.maximum(sums.weight, 1e-12)[..., None]


def fuse_texture(
    sums: TextureSums, filling: Float[Array, "rows columns 3"], *, skin: Float[Array, "rows columns"]
) -> Float[Array, "rows columns 3"]:
    """The mean albedo where it is known well enough, elsewhere `filling`, levelled and, on skin, shifted to meet it
    seamlessly.

    `filling`: a whole texture, as `detail.bake` makes it from the frame that sees most; `skin`: `detail.skin_map`.
    """
    mean, known = mean_albedo(sums), smoothstep(sums.weight, between=ENOUGH)
    return jnp.clip(complete_skin(mean, known, filling * _level(filling, mean, known), skin=skin), 0.0, None)


def fuse_person(
    neutral_mm: Float[Array, "vertices 3"],
    detail_sums: DetailSums,
    texture_sums: TextureSums,
    filling: Float[Array, "rows columns 3"],
    *,
    templates: Templates,
) -> Person:
    """The neutral shape (object frame, mm) with the mean displacement and the mean albedo of all frames.

    `filling`: see `fuse_texture`. No triangle turns over, and vertices that no frame trusts stay on the smooth shape.
    """
    template = templates.detail
    shape, textures, colours = jax.tree.map(np.asarray, _fuse(neutral_mm, detail_sums, texture_sums, filling, template))
    return Person(fine_mesh(shape.vertices_mm, template), shape.normals, colours, textures)


@jax.jit
def _fuse(
    neutral_mm: Array, detail_sums: DetailSums, texture_sums: TextureSums, filling: Array, template: DetailTemplate
) -> tuple[Displaced, TextureMaps, Array]:
    shape = displace(neutral_mm, mean_displacement(detail_sums), template)
    covered = jnp.where(template.raster.triangle >= 0, 1.0, 0.0)
    texture = fuse_texture(texture_sums, filling, skin=skin_map(template))
    textures = TextureMaps(
        texture, displacement_map(shape, template), normal_map(neutral_mm, shape.normals, template), covered
    )
    return shape, textures, _vertex_colours(texture, template)


def _level(albedo: Array, reference: Array, weight: Array) -> Float[Array, "1 1 3"]:
    """What each channel of `albedo` must be multiplied by to have the reference's weighted mean; 1 where too little is
    known to tell."""
    ours, theirs = (jnp.sum(weight[..., None] * values, axis=(0, 1)) for values in (albedo, reference))
    enough = jnp.sum(weight) > LEAST_OVERLAP * weight.size
    return jnp.where(enough & (ours > 0.0), theirs / jnp.maximum(ours, 1e-12), 1.0)[None, None]


def _vertex_colours(texture: Array, template: DetailTemplate) -> Float[Array, "fine_vertices 3"]:
    """The texture at the vertices; on a seam, from one of its sides."""
    num_vertices, size = template.subdivision.indices.shape[0], jnp.array(texture.shape[1::-1], jnp.float32)
    corner = jnp.zeros(num_vertices, jnp.int32).at[template.subdivision.triangles].max(template.uv_triangles)
    places = template.uvs[corner] * jnp.array([[1.0, -1.0]]) + jnp.array([[0.0, 1.0]])
    return sample(texture, places * size[None, :] - 0.5)
