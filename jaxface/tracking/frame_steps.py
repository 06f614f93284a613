"""What happens to one frame of a clip on the device: pure functions of a frame and of what all frames share.

Presets are static; everything else is traced. Crops here come in two sizes: a small one for shapes, LOOK_SIZE pixels a
side, and the user's for the fine stage.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxface import checks, frame
from jaxface.energies.face import CoarseWeights
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.frame import Templates, View
from jaxface.morphable.linear import face_shape
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.presets import Preset
from jaxface.rendering.camera import crop_camera, crop_pose
from jaxface.stages import bundle, detail
from jaxface.stages.bundle import Opinion
from jaxface.stages.detail import Displaced
from jaxface.types import Camera, CoarseFit, Crop, DetailMesh, FineMaps, Landmarks

LOOK_SIZE = 192  # pixels a side: shapes need no pores
PANEL = 256  # pixels a side, of each picture of the overlay
# Expressions need less holding back where the identity is known: closed lids stay half open at 0.3.
_SETTLED = CoarseWeights(blendshape=0.6)


class Shared(NamedTuple):
    """What all frames see: the model, and the person as far as known: `offset_mm` is what the medium stage adds."""

    templates: Templates
    identity: Float[Array, "identity"]
    offset_mm: Float[Array, "vertices 3"]


class Sight(NamedTuple):
    """What is kept of a photo to fit shapes to: landmarks, camera, and the window that `crop` cuts out of it."""

    landmarks: Landmarks
    camera: Camera
    image_size_px: Float[Array, "2"]
    crop: Crop
    window: UInt8[Array, "look look 3"]


class State(NamedTuple):
    """A frame's coarse face, its landmark residual (pixels), how far the shading is from the photo, and whether all
    went well."""

    face: FaceUnknowns
    residual_px: Float[Array, ""]
    shading_residual: Float[Array, ""]
    finite: Array


class Settled(NamedTuple):
    """A frame of the person: its state, and how certain pose and expression are."""

    state: State
    motion: Float[Array, "motion motion"]


class Posed(NamedTuple):
    """A frame to refine: the person in it, the window, and whether it counts (1) or is only bridged (0)."""

    face: FaceUnknowns
    camera: Camera
    image_size_px: Float[Array, "2"]
    crop: Crop
    window: UInt8[Array, "size size 3"]
    counts: Float[Array, ""]


class Refined(NamedTuple):
    """The fine stage's result on a frame; `figures` are those of `checks.phase_figures` for both phases."""

    maps: FineMaps
    mesh: DetailMesh
    figures: tuple[dict[str, Array], dict[str, Array]]


def locate(landmarks: Landmarks, camera: Camera, *, shared: Shared) -> tuple[CoarseFit, Crop, Float[Array, ""]]:
    """The fit to landmarks, the window for the look, and the face's size (pixels)."""
    fit, centre, side = frame.fit_coarse(landmarks, camera, shared.templates, None)
    return fit, frame.square_crop(centre, side, size=LOOK_SIZE), side


def look(sight: Sight, fit: CoarseFit, *, shared: Shared, preset: Preset) -> tuple[State, Opinion]:
    """The frame for itself: the fit goes on with shading, unless that is no better; then its word on the person."""
    templates, window = shared.templates, _as_floats(sight.window)
    refined = fit
    if preset.coarse_shading:
        refined = frame.refine_coarse(fit, sight.landmarks, window, sight.camera, sight.crop, templates)
    residuals = _shading_residuals(sight, window, (fit, refined), templates, preset)
    better = refined.finite & (residuals[1] <= residuals[0])
    better &= refined.residual_px <= checks.MAX_STRAYING * fit.residual_px
    fit = jax.tree.map(lambda new, old: jnp.where(better, new, old), refined, fit)
    state = _state(fit, jnp.where(better, residuals[1], residuals[0]))
    return state, _opinion(sight, state.face, window, templates)


def rejoin(sight: Sight, face: FaceUnknowns, *, shared: Shared) -> tuple[FaceUnknowns, Opinion]:
    """The frame as one of the person: pose and expression for that identity, then its word on the person anew."""
    templates, window = shared.templates, _as_floats(sight.window)
    fit = _follow(sight, face._replace(identity=shared.identity), window, templates)
    face = FaceUnknowns(fit.pose, fit.identity, fit.expression)
    return face, _opinion(sight, face, window, templates)


def settle(sight: Sight, face: FaceUnknowns, *, shared: Shared, preset: Preset) -> Settled:
    """The last time: pose and expression for the person, and how sure they are."""
    templates, window = shared.templates, _as_floats(sight.window)
    fit = _follow(sight, face._replace(identity=shared.identity), window, templates, weights=_SETTLED)
    state = _state(fit, _shading_residuals(sight, window, (fit,), templates, preset)[0])
    return Settled(state, _opinion(sight, state.face, window, templates, weights=_SETTLED).motion)


def deform(
    sight: Sight, face: FaceUnknowns, *, shared: Shared, preset: Preset
) -> tuple[Float[Array, "vertices 3"], Float[Array, "2"]]:
    """Where the medium stage would move the vertices (mm), and how far the photo is from the shading of the shapes
    before and after."""
    templates, window = shared.templates, _as_floats(sight.window)
    vertices_mm = face_shape(face.identity, face.expression, model=templates.model)
    fit = CoarseFit(face.identity, face.expression, face.pose, vertices_mm, jnp.zeros(()), jnp.array(True))
    deformed = frame.deform(fit, sight.landmarks, sight.camera, templates, preset.stiffness)
    shapes = (fit, fit._replace(vertices_mm=deformed.vertices_mm))
    return deformed.vertices_mm - vertices_mm, _shading_residuals(sight, window, shapes, templates, preset)


def aim(face: FaceUnknowns, camera: Camera, *, shared: Shared, size: int) -> Crop:
    """The window of `size` pixels a side that holds the person in this frame."""
    return frame.window_of(_shape(face, shared), face.pose, camera, shared.templates.model, size=size)


def refine(posed: Posed, *, shared: Shared, preset: Preset) -> Refined:
    """Fine stage with its checks: a phase that fails them gives way to the height map before it."""
    templates, window = shared.templates, _as_floats(posed.window)
    vertices_mm = _shape(posed.face, shared)
    view = View(posed.camera, posed.crop, posed.image_size_px, None)
    maps = frame.fit_surface(
        window, vertices_mm, posed.face.pose, view, templates, preset.weights, schedule=preset.schedule
    )
    figures = tuple(checks.phase_figures(maps, after, window) for after in (maps.phase1_height_px, maps.height_px))
    holds = [checks.phase_holds(each) & (posed.counts > 0.0) for each in figures]
    phase1_px = jnp.where(holds[0], maps.phase1_height_px, maps.medium_height_px)
    height_px = jnp.where(holds[1], maps.height_px, phase1_px)
    usable = maps.finite & (posed.counts > 0.0)
    maps = jax.tree.map(lambda good, plain: jnp.where(usable, good, plain), maps, frame.without_fine(maps, window))
    maps = frame.with_height(maps._replace(phase1_height_px=phase1_px), height_px)
    pose, camera = crop_pose(posed.face.pose, posed.crop), crop_camera(posed.camera, posed.crop)
    mesh = detail.run(vertices_mm, maps, pose, camera, model=templates.model, template=templates.detail)
    return Refined(maps, mesh, figures)


def lift(
    posed: Posed, displacement_mm: Float[Array, "fine_vertices"], *, shared: Shared
) -> tuple[Displaced, UInt8[Array, "3 panel panel 3"]]:
    """The person's mesh in this frame with steadied detail, and the pictures of the frame for the overlay."""
    mesh = detail.displace(_shape(posed.face, shared), displacement_mm, shared.templates.detail)
    return mesh, _picture(posed, mesh.vertices_mm, shared)


def place(face: FaceUnknowns, camera: Camera, *, shared: Shared) -> Float[Array, "vertices 3"]:
    """The medium shape in the camera frame (mm), the object's origin where it appears in the image."""
    pose = face.pose
    from_middle = (pose.translation_px - camera.principal_point_px) * jnp.exp(-pose.log_scale)
    origin_mm = jnp.stack([from_middle[0], -from_middle[1], jnp.zeros(())])
    return matmul(_shape(face, shared), rotation_matrix(pose.rotation_vector).T) + origin_mm[None]


def _picture(posed: Posed, fine_mm: Array, shared: Shared) -> UInt8[Array, "3 panel panel 3"]:
    """Coarse, medium and fine shape in clay, as the frame's crop shows them."""
    model, size = shared.templates.model, posed.window.shape[0]
    crop = Crop(posed.crop.offset_px, posed.crop.zoom * PANEL / size)
    coarse_mm = face_shape(posed.face.identity, posed.face.expression, model=model)
    shapes = ((coarse_mm, model.triangles), (coarse_mm + shared.offset_mm, model.triangles),
              (fine_mm, shared.templates.detail.subdivision.triangles))  # fmt: skip
    pictures = [
        frame.clay_picture(vertices_mm, triangles, posed.face.pose, posed.camera, crop, size=PANEL)
        for vertices_mm, triangles in shapes
    ]
    return jnp.round(255.0 * jnp.stack(pictures)).astype(jnp.uint8)


def _shape(face: FaceUnknowns, shared: Shared) -> Float[Array, "vertices 3"]:
    return face_shape(face.identity, face.expression, model=shared.templates.model) + shared.offset_mm


def _as_floats(window: UInt8[Array, "size size 3"]) -> Float[Array, "size size 3"]:
    return window.astype(jnp.float32) / 255.0


def _state(fit: CoarseFit, shading_residual: Array) -> State:
    return State(FaceUnknowns(fit.pose, fit.identity, fit.expression), fit.residual_px, shading_residual, fit.finite)


def _follow(sight: Sight, face: FaceUnknowns, window: Array, templates: Templates, **weights) -> CoarseFit:
    return bundle.follow(face, sight.landmarks, window, sight.crop, **_of(sight, templates), **weights)


def _opinion(sight: Sight, face: FaceUnknowns, window: Array, templates: Templates, **weights) -> Opinion:
    return bundle.summarise(face, sight.landmarks, window, sight.crop, **_of(sight, templates), **weights)


def _of(sight: Sight, templates: Templates) -> dict:
    return dict(model=templates.model, patches=templates.patches, camera=sight.camera)


def _shading_residuals(
    sight: Sight, window: Array, fits: tuple[CoarseFit, ...], templates: Templates, preset: Preset
) -> Float[Array, "shapes"]:
    shapes_mm = jnp.stack([fit.vertices_mm for fit in fits])
    poses = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[fit.pose for fit in fits])
    view = View(sight.camera, sight.crop, sight.image_size_px, None)
    return frame.shading_residuals(window, shapes_mm, poses, view, templates, schedule=preset.schedule)
