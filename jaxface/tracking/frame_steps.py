"""What happens to one frame of a clip beside the stages of `program`: pure functions of a frame and of what all share.

Everything is traced but sizes. Crops come in two sizes: a small one for shapes, LOOK_SIZE pixels a side, and the user's
for the surface.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from jaxface.energies.face import CoarseWeights
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.morphable.linear import face_shape
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.rendering.camera import face_crop, face_extent
from jaxface.rendering.clay import clay_picture
from jaxface.stages import bundle, detail, fine
from jaxface.stages.bundle import Opinion
from jaxface.stages.detail import Displaced
from jaxface.state import Shared, State, View, as_floats, shading_residuals
from jaxface.types import Camera, CoarseFit, Crop
from jaxface.verdicts import Verdict, face_figures, judge

LOOK_SIZE = 192  # pixels a side: shapes need no pores
PANEL = 256  # pixels a side, of each picture of the overlay


class TrackedPerson(NamedTuple):
    """What all frames of a clip see: templates and preset, and the person as far as known: `offset_mm` is what the
    medium stage adds."""

    shared: Shared
    identity: Float[Array, "identity"]
    offset_mm: Float[Array, "vertices 3"]


class Settled(NamedTuple):
    """A frame of the person: its fit, how far the shading is from the photo, and how certain pose and expression
    are."""

    fit: CoarseFit
    shading_residual: Float[Array, ""]
    motion: Float[Array, "motion motion"]


def opine(fit: CoarseFit, view: View, *, shared: Shared) -> Opinion:
    """The frame's word on the person."""
    face = FaceUnknowns(fit.pose, fit.identity, fit.expression)
    return _opinion(face, view, shared, shared.preset.coarse)


def rejoin(face: FaceUnknowns, view: View, *, shared: TrackedPerson) -> tuple[FaceUnknowns, Opinion]:
    """The frame as one of the person: pose and expression for that identity, then its word on the person anew."""
    weights = shared.shared.preset.coarse
    fit = _follow(face, view, shared, weights)
    face = FaceUnknowns(fit.pose, fit.identity, fit.expression)
    return face, _opinion(face, view, shared.shared, weights)


def settle(face: FaceUnknowns, view: View, *, shared: TrackedPerson) -> tuple[Settled, Verdict]:
    """The last time: pose and expression for the person, and how sure they are."""
    weights, model = shared.shared.preset.settled, shared.shared.templates.model
    fit = _follow(face, view, shared, weights)
    (residual,) = shading_residuals([(fit.vertices_mm, fit.pose)], view, shared.shared)
    opinion = _opinion(FaceUnknowns(fit.pose, fit.identity, fit.expression), view, shared.shared, weights)
    _, face_px = face_extent(fit.vertices_mm, fit.pose, view.camera, model=model)
    toward = rotation_matrix(fit.pose.rotation_vector)[2, 2]
    turned_degrees = jnp.degrees(jnp.arccos(jnp.clip(toward, -1.0, 1.0)))
    figures = face_figures(fit, face_px=face_px) | {"turned_degrees": turned_degrees}
    return Settled(fit, residual, opinion.motion), judge("person", figures)


def put(face: FaceUnknowns, camera: Camera, *, shared: TrackedPerson, size: int) -> tuple[State, Crop]:
    """The person in this frame, and the window of `size` pixels a side that holds them."""
    model = shared.shared.templates.model
    coarse_mm = face_shape(face.identity, face.expression, model=model)
    fit = CoarseFit(face.identity, face.expression, face.pose, coarse_mm, jnp.zeros(()), jnp.array(True))
    shape_mm = coarse_mm + shared.offset_mm
    return State(fit, shape_mm), face_crop(shape_mm, face.pose, camera, model=model, size=size)


def aim(face: FaceUnknowns, camera: Camera, *, shared: TrackedPerson, size: int) -> Crop:
    """The window alone."""
    return put(face, camera, shared=shared, size=size)[1]


def lift(
    state: State, view: View, displacement_mm: Float[Array, "fine_vertices"], *, shared: Shared
) -> tuple[Displaced, UInt8[Array, "3 panel panel 3"], Float[Array, "size size"]]:
    """The person's mesh in this frame with steadied detail, coarse, medium and fine shape in clay, and the height
    map."""
    templates = shared.templates
    mesh = detail.displace(state.shape_mm, displacement_mm, templates.detail)
    size, triangles = view.window.shape[0], templates.model.triangles
    crop = Crop(view.crop.offset_px, view.crop.zoom * PANEL / size)
    shapes = (
        (state.fit.vertices_mm, triangles),
        (state.shape_mm, triangles),
        (mesh.vertices_mm, templates.detail.subdivision.triangles),
    )
    pictures = [clay_picture(*shape, state.fit.pose, view.camera, crop, size=PANEL) for shape in shapes]
    return mesh, jnp.round(255.0 * jnp.stack(pictures)).astype(jnp.uint8), fine.shown_height(state.scene)


def place(face: FaceUnknowns, camera: Camera, *, shared: TrackedPerson) -> Float[Array, "vertices 3"]:
    """The medium shape in the camera frame (mm), the object's origin where it appears in the image."""
    head = face.pose
    from_middle = (head.translation_px - camera.principal_point_px) * jnp.exp(-head.log_scale)
    origin_mm = jnp.stack([from_middle[0], -from_middle[1], jnp.zeros(())])
    shape_mm = face_shape(face.identity, face.expression, model=shared.shared.templates.model) + shared.offset_mm
    return matmul(shape_mm, rotation_matrix(head.rotation_vector).T) + origin_mm[None]


def _follow(face: FaceUnknowns, view: View, person: TrackedPerson, weights: CoarseWeights) -> CoarseFit:
    face = face._replace(identity=person.identity)
    return bundle.follow(face, view.landmarks, as_floats(view.window), view.crop, **_of(view, person.shared, weights))


def _opinion(face: FaceUnknowns, view: View, shared: Shared, weights: CoarseWeights) -> Opinion:
    return bundle.summarise(face, view.landmarks, as_floats(view.window), view.crop, **_of(view, shared, weights))


def _of(view: View, shared: Shared, weights: CoarseWeights) -> dict:
    templates = shared.templates
    return dict(model=templates.model, patches=templates.patches, camera=view.camera, weights=weights)
