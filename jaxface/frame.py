"""The stages on one frame as pure functions of arrays, for jit; `frames` holds the one vmap."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface.energies.skin import SkinPatches, skin_patches
from jaxface.geometry.normals import depth_normals
from jaxface.geometry.subdivision import Subdivision, loop_subdivision
from jaxface.morphable.linear import face_shape
from jaxface.presets import FineWeights, Preset, Schedule
from jaxface.rendering.camera import crop_camera, crop_image, crop_pose, project
from jaxface.rendering.clay import relight, render_clay
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import sh_basis, shading
from jaxface.stages import coarse, detail, fine, medium, observe, regress
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    DetailMesh,
    FineInputs,
    FineMaps,
    Landmarks,
    MediumFit,
    MorphableModel,
    Parsing,
    Pose,
    Region,
    TextureMaps,
)

MARGIN = 1.2  # side of the crop over the longer side of the face mesh


class Templates(NamedTuple):
    """What is prepared once per morphable model."""

    model: MorphableModel
    patches: SkinPatches
    medium: medium.MediumTemplate
    surface: Subdivision
    detail: detail.DetailTemplate


class View(NamedTuple):
    """How the crop sees the photo, and what a parsing network sees on the crop (None: no network)."""

    camera: Camera
    crop: Crop
    image_size_px: Float[Array, "2"]
    parsing: Parsing | None


@functools.lru_cache(maxsize=2)
def prepare(model: MorphableModel) -> Templates:
    """A model with its factorised Laplacian, smooth surface and texture layout (seconds; once a model and process)."""
    surface = loop_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=1)
    return Templates(model, skin_patches(model), medium.prepare(model), surface, detail.prepare(model))


def make_camera(*, height: int, width: int, focal_px: float | None = None) -> Camera:
    """Scaled orthographic, or perspective with the principal point in the photo's middle."""
    inverse = 0.0 if focal_px is None else 1.0 / focal_px
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0], np.float32)
    return Camera(jnp.float32(inverse), jnp.asarray(centre))


def regress_shape(
    pose: Pose,
    identity: Float[Array, "identity"],
    expression: Float[Array, "expression"],
    landmarks: Landmarks,
    camera: Camera,
    model: MorphableModel,
) -> tuple[CoarseFit, Float[Array, ""]]:
    """A network's coarse fit, and the longer side of the face mesh in the image."""
    fit = regress.run(pose, identity, expression, landmarks, model=model, camera=camera)
    return fit, _extent(fit.vertices_mm, pose, camera, model)[1]


def regress_pose(pose: Pose, landmarks: Landmarks, model: MorphableModel) -> Pose:
    """Where the landmark fit starts, with a network's rotation."""
    return regress.start_pose(pose, landmarks, model=model)


def neutral_shape(identity: Float[Array, "identity"], model: MorphableModel) -> Float[Array, "vertices 3"]:
    """The identity alone."""
    return face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)


def fit_coarse(
    landmarks: Landmarks, camera: Camera, templates: Templates, start: CoarseFit | Pose | None
) -> tuple[CoarseFit, Float[Array, "2"], Float[Array, ""]]:
    """Coarse stage on landmarks, then the middle and the longer side of the face mesh in the image.

    `start`: a coarse fit that is ready, or the pose from which it is sought; None finds a pose from the landmarks.
    """
    fit = start
    if not isinstance(start, CoarseFit):
        fit = coarse.run(landmarks, model=templates.model, camera=camera, start=start)
    return fit, *_extent(fit.vertices_mm, fit.pose, camera, templates.model)


def refine_coarse(
    fit: CoarseFit,
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    camera: Camera,
    crop: Crop,
    templates: Templates,
) -> CoarseFit:
    """The coarse fit, gone on with the shading of the skin on the crop."""
    return coarse.refine(fit, landmarks, window, crop, model=templates.model, patches=templates.patches, camera=camera)


def deform(
    fit: CoarseFit,
    landmarks: Landmarks,
    camera: Camera,
    templates: Templates,
    stiffness: Float[Array, ""] | float,
) -> MediumFit:
    """Medium stage."""
    weights = medium.MediumWeights(stiffness=stiffness)
    return medium.run(fit, landmarks, model=templates.model, template=templates.medium, camera=camera, weights=weights)


def _extent(vertices_mm: Array, pose: Pose, camera: Camera, model: MorphableModel) -> tuple[Array, Array]:
    """Middle and longer side of the face mesh in the image."""
    points = project(vertices_mm, pose, camera=camera)[:, :2]
    is_face = (model.vertex_regions != Region.OUTSIDE)[:, None]
    low, high = (
        jnp.min(points, axis=0, where=is_face, initial=jnp.inf),
        jnp.max(points, axis=0, where=is_face, initial=-jnp.inf),
    )
    return 0.5 * (low + high), jnp.max(high - low)


def window_of(
    vertices_mm: Float[Array, "vertices 3"], pose: Pose, camera: Camera, model: MorphableModel, *, size: int
) -> Crop:
    """The square crop that holds a face mesh as it appears."""
    return square_crop(*_extent(vertices_mm, pose, camera, model), size=size)


def square_crop(centre_px: Float[Array, "2"], side_px: Float[Array, ""], *, size: int) -> Crop:
    """A window of MARGIN times the face around its middle, to be resampled to `size` pixels."""
    side = MARGIN * side_px
    return Crop(centre_px - 0.5 * side, size / side)


def _within(crop: Crop, *, size: int, image_size_px: Float[Array, "2"]) -> Float[Array, "size size"]:
    """1 where a crop pixel lies on the photo."""
    steps = jnp.arange(size) / crop.zoom
    inside = [(crop.offset_px[k] + steps > -0.5) & (crop.offset_px[k] + steps < image_size_px[k] - 0.5) for k in (0, 1)]
    return (inside[1][:, None] & inside[0][None, :]).astype(jnp.float32)


def fit_surface(
    image: Float[Array, "size size 3"],
    vertices_mm: Float[Array, "vertices 3"],
    pose: Pose,
    view: View,
    templates: Templates,
    weights: FineWeights,
    *,
    schedule: Schedule,
) -> FineMaps:
    """Fine stage on the crop, from the medium mesh as the crop's camera sees it."""
    inputs = _observe(image, vertices_mm, pose, view, templates)
    return fine.run(inputs, weights=weights, schedule=schedule)


def shading_residuals(
    image: Float[Array, "size size 3"],
    shapes_mm: Float[Array, "shapes vertices 3"],
    poses: Pose,
    view: View,
    templates: Templates,
    *,
    schedule: Schedule,
) -> Float[Array, "shapes"]:
    """How well the best light explains the photo on each shape in its pose, with the regions' mean colours: the median
    over skin of |I' - I|. On rendered faces, of two shapes the one with less normal error has less of it."""

    def residual(shape):
        inputs = _observe(image, *shape, view, templates)
        height_px = fine.fill_outside(inputs.height_px, inputs.covered)
        normals = depth_normals(height_px)
        appearance = fine.estimate_appearance(inputs, normals, schedule=schedule)
        rendered = render(appearance.mean_albedo, shading(normals, appearance.light))
        distance = jnp.mean(jnp.abs(rendered - image), axis=-1)
        return jnp.nanmedian(jnp.where(appearance.confidence > 0.5, distance, jnp.nan))

    return jax.lax.map(residual, (shapes_mm, poses))


def _observe(
    image: Array,
    vertices_mm: Array,
    pose: Pose,
    view: View,
    templates: Templates,
) -> FineInputs:
    """A mesh as the crop's camera sees it."""
    camera, crop, image_size_px, parsing = view
    return observe.run(
        image, vertices_mm, crop_pose(pose, crop), camera=crop_camera(camera, crop), model=templates.model,
        surface=templates.surface, inside=_within(crop, size=image.shape[0], image_size_px=image_size_px),
        parsing=parsing,
    )  # fmt: skip


def put_detail(
    vertices_mm: Float[Array, "vertices 3"],
    maps: FineMaps,
    pose: Pose,
    view: View,
    image: Float[Array, "size size 3"],
    templates: Templates,
) -> tuple[DetailMesh, DetailMesh, TextureMaps, Array]:
    """Displaced meshes of both phases, baked textures, and the face under a new light."""
    pose, window = crop_pose(pose, view.crop), crop_camera(view.camera, view.crop)
    shared = dict(model=templates.model, template=templates.detail)
    first = detail.run(vertices_mm, maps._replace(height_px=maps.phase1_height_px), pose, window, **shared)
    second = detail.run(vertices_mm, maps, pose, window, **shared)
    textures = detail.bake(second, maps, pose, window, **shared)
    return first, second, textures, relight(maps.albedo, maps.normals_image, maps.mask, background=image)


def frames(
    images: Float[Array, "frames height width 3"],
    landmarks: Landmarks,
    *,
    camera: Camera,
    templates: Templates,
    preset: Preset,
    size: int,
) -> tuple[CoarseFit, MediumFit, Crop, FineMaps]:
    """Many frames of one size in parallel: coarse, medium and fine stage under one vmap (jit it).

    `landmarks` has a leading frame axis. No frame is left out here; look at the `finite` flags.
    """
    image_size_px = jnp.array([images.shape[2], images.shape[1]], jnp.float32)

    def frame(image, points):
        first, centre, side = fit_coarse(points, camera, templates, None)
        crop = square_crop(centre, side, size=size)
        window = crop_image(image, crop, size=size)
        if preset.coarse_shading:
            first = refine_coarse(first, points, window, camera, crop, templates)
        second = deform(first, points, camera, templates, preset.stiffness)
        view = View(camera, crop, image_size_px, None)
        maps = fit_surface(
            window, second.vertices_mm, first.pose, view, templates, preset.weights, schedule=preset.schedule
        )
        return first, second, crop, maps

    return jax.vmap(frame)(images, landmarks)


def without_fine(maps: FineMaps, image: Float[Array, "height width 3"]) -> FineMaps:
    """Maps in place of ones that did not stay finite: the medium shape, the photo as albedo under even light."""
    medium_px = maps.medium_height_px
    light = jnp.zeros_like(maps.light).at[0].set(1.0 / sh_basis(jnp.array([0.0, 0.0, 1.0]))[0])
    maps = maps._replace(
        phase1_height_px=medium_px,
        albedo=image,
        specular=jnp.zeros_like(image),
        confidence=jnp.zeros_like(medium_px),
        light=light,
    )
    return with_height(maps, medium_px)


def with_height(maps: FineMaps, height_px: Float[Array, "height width"]) -> FineMaps:
    """The maps with another height map, its normals and its shading."""
    normals = depth_normals(height_px)
    return maps._replace(height_px=height_px, normals_image=normals, shading=shading(normals, maps.light))


def clay_picture(
    vertices_mm: Float[Array, "vertices 3"],
    triangles: Array,
    pose: Pose,
    camera: Camera,
    crop: Crop,
    *,
    size: int,
) -> Float[Array, "{size} {size} 3"]:
    """A mesh (object frame) in clay, as the crop's camera sees it; pose and camera are the photo's."""
    return render_clay(vertices_mm, triangles, crop_pose(pose, crop), camera=crop_camera(camera, crop), size=size)
