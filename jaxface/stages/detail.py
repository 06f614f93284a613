"""Detail onto the mesh: the change of the refined height map becomes displacement along the medium normals.

One definition holds for all outputs. The fine mesh is base + d n, with base and n the subdivided medium mesh and its
smooth normals and d the displacement at its vertices, which is 0 off the skin; the displacement map is d, interpolated.
The normal map holds the fine mesh's normals in the tangent frame of the medium mesh, whose own vertex normals a viewer
interpolates over its triangles. So the subdivided medium mesh with the displacement map, the medium mesh with the
normal map, and the fine mesh with its own normals show the same surface; a fine mesh with the map has it twice.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.spatial
from jaxtyping import Array, Bool, Float, Int

from jaxface.geometry.flips import shrink_flips
from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import Subdivision, loop_subdivision, midpoint_subdivision, subdivide
from jaxface.imaging.filling import complete_skin, spread
from jaxface.imaging.filters import gaussian_blur, sample
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise, smoothstep
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.rendering.tangent_space import tangent_normals
from jaxface.types import Camera, DetailMesh, FineMaps, MorphableModel, Part, Pose, Raster, TextureMaps

FINE_FACES = 150_000  # about 0.7 mm between vertices
LARGEST_MM = 3.0  # displacement saturates here; folds of skin are below 1 mm
FACING = (0.2, 0.5)  # cosine to the viewer between which detail fades in
BEHIND_MM = (0.7, 1.5)  # depth behind the seen surface over which it fades out
RIM_PX = 2  # distance to such a surface's rim that is given up
SOFT_EDGE = 0.015  # of the crop's side: blur of the mask, so that detail ends softly inside of its edge
SOFT = (0.5, 0.85)  # of the blurred mask, which is 0.5 on a straight edge
COLOURED = (0.7, 0.98)  # likewise, for colours: stays off the background
UNSURE = 0.2  # what a texel without confidence (eyes, brows, highlights, what is in front) counts beside a sure one


class DetailTemplate(NamedTuple):
    """What depends on the model's topology and UVs only.

    `uvs` and `uv_triangles` belong to the fine mesh, corner by corner with `subdivision.triangles`; they divide the
    model's evenly, so that both meshes have one texture. `texture_vertices` and `texture_uvs` are both triangle lists
    again, wound to face the viewer of the UV square that `raster` shows. `flat` takes values of the medium mesh to fine
    vertices as a viewer interpolates them. `parts` are values of `Part`; `relief` is 1 on skin, 0 elsewhere.
    """

    subdivision: Subdivision
    flat: Subdivision
    uvs: Float[Array, "uv_vertices 2"]
    uv_triangles: Int[Array, "fine_faces 3"]
    texture_vertices: Int[Array, "fine_faces 3"]
    texture_uvs: Int[Array, "fine_faces 3"]
    raster: Raster
    mirrors: Bool[Array, ""]
    parts: Int[Array, "fine_faces"]
    relief: Float[Array, "fine_vertices"]


def prepare(model: MorphableModel, *, levels: int | None = None, texture_size: int = 1024) -> DetailTemplate:
    """Subdivides the topology and draws its UVs (host; once per model: keep the result).

    Without `levels` the mesh is subdivided until it has FINE_FACES.
    """
    if levels is None:
        levels = max(0, math.ceil(math.log(FINE_FACES / model.triangles.shape[0], 4)))
    subdivision = loop_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=levels)
    midpoints = midpoint_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=levels)
    # UVs have their own topology along seams; all subdivisions list their triangles in the same order.
    of_uvs = midpoint_subdivision(model.uv_triangles, num_vertices=model.uvs.shape[0], levels=levels)
    uvs = subdivide(model.uvs, subdivision=of_uvs)
    corners = np.asarray(uvs)[np.asarray(of_uvs.triangles)]
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).T, (corners[:, 2] - corners[:, 0]).T
    order = np.where((ax * by < ay * bx)[:, None], [[0, 2, 1]], [[0, 1, 2]])
    texture_uvs = jnp.asarray(np.take_along_axis(np.asarray(of_uvs.triangles), order, axis=1))
    texture_vertices = jnp.asarray(np.take_along_axis(np.asarray(subdivision.triangles), order, axis=1))
    flat = jnp.stack([uvs[:, 0] * texture_size, (1.0 - uvs[:, 1]) * texture_size, 0.0 * uvs[:, 0]], axis=1) - 0.5
    raster = jax.jit(rasterise, static_argnames=("height", "width"))(
        flat, texture_uvs, height=texture_size, width=texture_size
    )
    parts = jnp.repeat(model.vertex_parts[model.triangles[:, 0]], 4**levels)
    is_skin = subdivide((model.vertex_parts == Part.SKIN)[:, None].astype(jnp.float32), subdivision=subdivision)
    relief = jnp.where(is_skin[:, 0] > 0.999, 1.0, 0.0)
    return DetailTemplate(
        subdivision, midpoints, uvs, of_uvs.triangles, texture_vertices, texture_uvs, raster,
        jnp.asarray(_mirrors(model)), parts, relief,
    )  # fmt: skip


class Displaced(NamedTuple):
    """A subdivided mesh with displacement along its normals (object frame, mm); `normals` are the displaced mesh's."""

    base_mm: Float[Array, "fine_vertices 3"]
    base_normals: Float[Array, "fine_vertices 3"]
    vertices_mm: Float[Array, "fine_vertices 3"]
    displacement_mm: Float[Array, "fine_vertices"]
    normals: Float[Array, "fine_vertices 3"]


def displace(
    medium_mm: Float[Array, "vertices 3"], displacement_mm: Float[Array, "fine_vertices"], template: DetailTemplate
) -> Displaced:
    """Displacement (mm) on any medium mesh (object frame), shrunk where a triangle would turn over."""
    return _lift(*_base(medium_mm, template), displacement_mm, template)


def run(
    medium_mm: Float[Array, "vertices 3"],
    maps: FineMaps,
    pose_crop: Pose,
    camera_crop: Camera,
    *,
    model: MorphableModel,
    template: DetailTemplate,
) -> DetailMesh:
    """Puts the change of the height map (crop pixels) onto the subdivided medium mesh (object frame, mm).

    Where the surface is hidden, turned away or off the maps' mask the mesh stays medium. No triangle turns over.
    """
    base_mm, base_normals = _base(medium_mm, template)
    image = project(base_mm, pose_crop, camera=camera_crop)
    facing = _along_ray(base_normals, image, pose_crop, camera_crop)
    trust = _visible(image, facing, maps, pose_crop) * _inside(image, maps)
    wanted_mm = _displacement_mm(base_mm, base_normals, facing, trust, maps, pose_crop, camera_crop)
    _, _, vertices_mm, displacement_mm, normals = _lift(base_mm, base_normals, wanted_mm, template)
    places, seen = _seen(base_mm, facing, vertices_mm, maps, pose_crop, camera_crop)
    filling = _model_colours(places, seen, maps, model, template)
    colours = filling + seen[:, None] * (sample(maps.albedo, places) - filling)
    sure = sample(maps.confidence[..., None], image[:, :2])[:, 0]
    return DetailMesh(base_mm, vertices_mm, displacement_mm, normals, colours, trust, facing, sure)


def bake(
    medium_mm: Float[Array, "vertices 3"],
    detail: DetailMesh,
    maps: FineMaps,
    pose_crop: Pose,
    camera_crop: Camera,
    *,
    model: MorphableModel,
    template: DetailTemplate,
) -> TextureMaps:
    """Texture, displacement (mm) and normal map over the UV square; see the module's head for how they agree.

    The texture is the albedo where the photo shows the surface, elsewhere its mirror image where that is seen and the
    model's colours where not, shifted to meet what is seen without a step. All maps run on past the UV border.
    """
    places, seen = _seen(detail.base_mm, detail.facing, detail.vertices_mm, maps, pose_crop, camera_crop)
    filling = _model_colours(places, seen, maps, model, template)
    photo, texels = _read_photo(places, jnp.concatenate([seen[:, None], filling], axis=1), maps, template)
    covered = _covered(template)
    albedo = _complete_texture(photo, texels[..., 0], spread(texels[..., 1:], covered), template)
    normals_tangent = normal_map(medium_mm, detail.normals, template)
    return TextureMaps(jnp.clip(albedo, 0.0, None), displacement_map(detail, template), normals_tangent, covered)


def seen_albedo(
    detail: DetailMesh, maps: FineMaps, pose_crop: Pose, camera_crop: Camera, *, template: DetailTemplate
) -> tuple[Float[Array, "rows columns 3"], Float[Array, "rows columns"]]:
    """The albedo that the photo shows at each texel, and its weight in [0, 1]: visibility, times facing^4, less where
    the confidence is low; 0 where the texel is hidden or on no triangle. Nothing is filled in."""
    places, seen = _seen(detail.base_mm, detail.facing, detail.vertices_mm, maps, pose_crop, camera_crop)
    sure = UNSURE + (1.0 - UNSURE) * sample(maps.confidence[..., None], places)[:, 0]
    weight = seen * jnp.clip(detail.facing, 0.0, 1.0) ** 4 * sure
    albedo, texels = _read_photo(places, weight[:, None], maps, template)
    return albedo, texels[..., 0]


def displacement_map(detail: DetailMesh | Displaced, template: DetailTemplate) -> Float[Array, "rows columns"]:
    """The displacement (mm) over the UV square; it runs on past the UV border."""
    texels = interpolate(template.raster, detail.displacement_mm[:, None], template.texture_vertices)
    return spread(texels, _covered(template))[..., 0]


def normal_map(
    medium_mm: Float[Array, "vertices 3"], normals: Float[Array, "fine_vertices 3"], template: DetailTemplate
) -> Float[Array, "rows columns 3"]:
    """The fine mesh's `normals` in the medium mesh's tangent frame (x along u, y along v, z out) over the UV square;
    they run on past the UV border."""
    flat_mm = subdivide(medium_mm, subdivision=template.flat)
    # A vertex of the medium mesh has the same flat faces around it, each a quarter or less: the same normal.
    own = vertex_normals(flat_mm, template.subdivision.triangles)[: medium_mm.shape[0]]
    out = subdivide(own, subdivision=template.flat)
    texels = tangent_normals(
        flat_mm, out, normals, template.raster, triangles=template.texture_vertices, uvs=template.uvs,
        uv_triangles=template.texture_uvs,
    )  # fmt: skip
    return normalise(spread(texels, _covered(template)))


def _covered(template: DetailTemplate) -> Float[Array, "rows columns"]:
    return jnp.where(template.raster.triangle >= 0, 1.0, 0.0)


def _read_photo(places, values, maps: FineMaps, template: DetailTemplate):
    """The albedo where each texel appears in the crop, and vertex values on the texels."""
    texels = interpolate(template.raster, jnp.concatenate([places, values], axis=1), template.texture_vertices)
    photo = sample(maps.albedo, texels[..., :2].reshape(-1, 2)).reshape(*texels.shape[:2], 3)
    return photo, texels[..., 2:]


def _base(medium_mm: Array, template: DetailTemplate) -> tuple[Array, Array]:
    """The subdivided mesh and its smooth normals."""
    base_mm = subdivide(medium_mm, subdivision=template.subdivision)
    return base_mm, vertex_normals(base_mm, template.subdivision.triangles)


def _lift(base_mm, base_normals, wanted_mm, template: DetailTemplate) -> Displaced:
    """The mesh with as much of the displacement as turns no triangle over."""
    triangles = template.subdivision.triangles
    displacement_mm = shrink_flips(base_mm, base_normals, template.relief * wanted_mm, triangles)
    vertices_mm = base_mm + displacement_mm[:, None] * base_normals
    return Displaced(base_mm, base_normals, vertices_mm, displacement_mm, vertex_normals(vertices_mm, triangles))


def _displacement_mm(
    base_mm, base_normals, along_ray, fade, maps: FineMaps, pose: Pose, camera: Camera
) -> Float[Array, "fine_vertices"]:
    """Displacement along the normals that lifts the surface to the refined height, faded and bounded.

    A shift d along n lifts the surface, seen at one pixel, by d / (n . ray) where ray_z = 1. The change is read where
    the displaced vertex appears, hence the few rounds.
    """
    change_mm = (maps.height_px - maps.medium_height_px) * jnp.exp(-pose.log_scale)

    def approach(_, displacement_mm):
        moved_mm = base_mm + displacement_mm[:, None] * base_normals
        places = project(moved_mm, pose, camera=camera)[:, :2]
        raw = sample(change_mm[..., None], places)[:, 0] * along_ray
        return fade * LARGEST_MM * jnp.tanh(raw / LARGEST_MM)

    return jax.lax.fori_loop(0, 4, approach, jnp.zeros_like(fade))


def _along_ray(normals, image, pose: Pose, camera: Camera) -> Float[Array, "fine_vertices"]:
    """n . ray in the camera frame; the ray through a vertex is its line of sight, scaled to z = 1."""
    offset = (image[:, :2] - camera.principal_point_px[None, :]) * camera.inverse_focal
    rays = jnp.stack([-offset[:, 0], offset[:, 1], jnp.ones_like(offset[:, 0])], axis=1)
    return jnp.sum(matmul(normals, rotation_matrix(pose.rotation_vector).T) * rays, axis=1)


def _visible(image, along_ray, maps: FineMaps, pose: Pose) -> Float[Array, "fine_vertices"]:
    """1 for vertices that face the viewer with nothing before them, inside the crop; soft."""
    height, width = maps.mask.shape
    window = (2 * RIM_PX + 1, 2 * RIM_PX + 1)
    nearest_px = jax.lax.reduce_window(maps.medium_height_px, -jnp.inf, jax.lax.max, window, (1, 1), "SAME")
    # A rim in front makes the pixels beside it unsafe; the surface's own slope must not look like one.
    slope = jnp.sqrt(1.0 / jnp.clip(along_ray, FACING[0], 1.0) ** 2 - 1.0)
    own_rise_px = (RIM_PX + 1.0) * jnp.sqrt(2.0) * slope
    behind_mm = (sample(nearest_px[..., None], image[:, :2])[:, 0] - image[:, 2] - own_rise_px) * jnp.exp(
        -pose.log_scale
    )
    inside = (image[:, 0] >= 0) & (image[:, 0] <= width - 1) & (image[:, 1] >= 0) & (image[:, 1] <= height - 1)
    return jnp.where(
        inside, smoothstep(along_ray, between=FACING) * (1.0 - smoothstep(behind_mm, between=BEHIND_MM)), 0.0
    )


def _inside(image, maps: FineMaps) -> Float[Array, "fine_vertices"]:
    """The mask, softened so that it reaches 0 at its edge. Where nothing is known the change of height is small."""
    soft = gaussian_blur(maps.mask, sigma=SOFT_EDGE * maps.mask.shape[0])
    return smoothstep(sample(soft[..., None], image[:, :2])[:, 0], between=SOFT)


def _seen(base_mm, facing, vertices_mm, maps: FineMaps, pose: Pose, camera: Camera):
    """Where the fine vertices appear, and how far the photo shows their colour."""
    seen = _visible(project(base_mm, pose, camera=camera), facing, maps, pose)
    places = project(vertices_mm, pose, camera=camera)[:, :2]
    soft = gaussian_blur(maps.mask, sigma=0.5 * SOFT_EDGE * maps.mask.shape[0])
    return places, seen * smoothstep(sample(soft[..., None], places)[:, 0], between=COLOURED)


def _model_colours(places, seen, maps: FineMaps, model: MorphableModel, template: DetailTemplate):
    """The model's texture, each channel brought to the level of what is seen of it."""
    colours = subdivide(model.albedo, subdivision=template.subdivision)
    weight = (seen * sample(maps.confidence[..., None], places)[:, 0] + 1e-6)[:, None]
    photo = jnp.sum(weight * jnp.where(weight > 1e-5, sample(maps.albedo, places), colours), axis=0)
    return colours * (photo / jnp.maximum(jnp.sum(weight * colours, axis=0), 1e-9))[None, :]


def skin_map(template: DetailTemplate) -> Float[Array, "rows columns"]:
    """1 on texels of skin, 0 on those of eyes, teeth and the like; it runs on past the UV border."""
    texels = interpolate(template.raster, template.relief[:, None], template.texture_vertices)
    return spread(texels, _covered(template))[..., 0]


def _complete_texture(photo, seen, filling, template: DetailTemplate) -> Float[Array, "height width 3"]:
    """Seen texels as they are; the rest from the mirrored side, else `filling`."""
    mirrored = jnp.where(template.mirrors, seen[:, ::-1], 0.0)[..., None]
    return complete_skin(photo, seen, filling + mirrored * (photo[:, ::-1] - filling), skin=skin_map(template))


def _mirrors(model: MorphableModel) -> bool:
    """Whether u -> 1 - u takes every UV vertex to another one: left and right then share a texture."""
    uvs = np.asarray(model.uvs)
    distances, _ = scipy.spatial.KDTree(uvs).query(uvs * [-1.0, 1.0] + [1.0, 0.0])
    return bool(distances.max() < 1e-3)
