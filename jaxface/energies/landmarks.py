"""How far a morphable model is from landmarks, as residuals: the coarse fit's stand-in for 3DDFA, Sec. 3.2.

Residuals are millimetres on the face: pixels over the scale of the initial pose, which stays frozen so that a
shrinking face cannot lower the cost. Weights then mean the same at any resolution.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxface.energies.trust import LandmarkTrust, landmark_trust
from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.linear import face_shape, has_landmark, landmark_positions, tangent
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import project
from jaxface.types import Camera, Landmarks, MorphableModel, Pose, Region

# Pairs across the openings of the eyes and the mouth: points of the upper rim, and of the lower one under them.
_UPPER_RIMS = (
    246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398, 191, 80, 81, 82, 13, 312, 311, 310, 415,
)  # fmt: skip
_LOWER_RIMS = (
    7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
_OUTLINE_REACH_MM = 4.0  # how far along the outline a border point looks for the surface's extreme
_LONGEST_BORDER = 64  # landmarks; MediaPipe's face oval has 36


class FaceUnknowns(NamedTuple):
    """What a coarse fit solves for."""

    pose: Pose
    identity: Float[Array, "identity"]
    expression: Float[Array, "expression"]


class Targets(NamedTuple):
    """Landmarks that the model has, and the scale that turns their pixels into millimetres."""

    points_px: Float[Array, "landmarks 2"]
    confidence: Float[Array, "landmarks"]
    px_per_mm: Float[Array, ""]


class Handles(NamedTuple):
    """Where the landmarks sit on the model near some coefficients, in the object frame, and how they count.

    `outline_normals` is the image direction along which a sliding landmark counts, zero for the others.
    """

    mean_mm: Float[Array, "landmarks 3"]
    basis_mm: Float[Array, "coefficients landmarks 3"]
    outline_normals: Float[Array, "landmarks 2"]
    confidence: Float[Array, "landmarks"]


class _Ring(NamedTuple):
    """The border's landmarks in their order around the face (the first `length` entries)."""

    border: Int[Array, "border"]
    length: Int[Array, ""]


def make_targets(landmarks: Landmarks, *, model: MorphableModel, px_per_mm: Float[Array, ""] | float) -> Targets:
    """Absent landmarks may hold anything, even NaN."""
    confidence = jnp.asarray(landmarks.confidence) * jnp.sum(model.landmark_barycentrics, axis=1)
    points_px = jnp.where(confidence[:, None] > 0.0, landmarks.points_px, 0.0)
    return Targets(points_px, confidence, jnp.asarray(px_per_mm, jnp.float32))


def make_handles(
    x: FaceUnknowns,
    targets: Targets,
    *,
    model: MorphableModel,
    camera: Camera,
    trust: LandmarkTrust,
    independent: Float[Array, ""] | float,
) -> Handles:
    """Landmark handles for the pose at hand: border points move to the surface's outline.

    Errors of dense landmarks are correlated: together they count as `independent` ones at most. Irises, which turn on
    their own, are no part of that.
    """
    vertices_mm = face_shape(x.identity, x.expression, model=model)
    toward = landmark_positions(vertex_normals(vertices_mm, model.triangles), model=model)
    facing = matmul(normalise(toward), rotation_matrix(x.pose.rotation_vector)[2])
    is_border = model.landmark_regions == Region.BORDER
    facing = jnp.where(is_border, 1.0, facing)  # they slide to where the surface turns away
    confidence = landmark_trust(targets.confidence, facing, regions=model.landmark_regions, trust=trust)
    is_iris = model.landmark_regions == Region.EYE_OPENING
    of_face = jnp.where(is_iris, 0.0, confidence)
    share = jnp.minimum(independent / jnp.maximum(jnp.sum(of_face), 1e-6), 1.0)
    ring = _ring(model)
    vertex, slides, normals = _outline(vertices_mm, x.pose, ring, model=model, camera=camera)
    mean_mm, basis_mm = _at_landmarks(x, model)
    outline_mm, outline_basis_mm = tangent(x.identity, x.expression, model=model, vertices=vertex)
    sliding = jnp.where(slides, ring.border, mean_mm.shape[0])  # The others are dropped.
    return Handles(
        mean_mm=mean_mm.at[sliding].set(outline_mm, mode="drop"),
        basis_mm=basis_mm.at[:, sliding].set(outline_basis_mm, mode="drop"),
        outline_normals=jnp.zeros_like(targets.points_px).at[ring.border].set(normals),
        confidence=jnp.where(is_iris, confidence, share * confidence),
    )


def landmark_offsets_mm(
    x: FaceUnknowns, handles: Handles, targets: Targets, camera: Camera
) -> Float[Array, "landmarks 2"]:
    """Model minus landmark; of sliding points only the part across the outline."""
    coefficients = jnp.concatenate([x.identity, x.expression])
    moved_mm = jnp.tensordot(coefficients, handles.basis_mm, axes=1, precision="highest")
    points = project(handles.mean_mm + moved_mm, x.pose, camera=camera)
    offsets = (points[:, :2] - targets.points_px) / targets.px_per_mm
    normals = handles.outline_normals
    slides = jnp.any(normals != 0.0, axis=1)
    across = jnp.sum(offsets * normals, axis=1)[:, None] * normals
    return jnp.where(slides[:, None], across, offsets)


def landmark_residuals(
    x: FaceUnknowns,
    handles: Handles,
    targets: Targets,
    camera: Camera,
    *,
    landmark_mm: Float[Array, ""] | float,
    outlier_mm: Float[Array, ""] | float,
) -> Float[Array, "residuals"]:
    """Softened so that half their square is the Geman-McClure cost; `landmark_mm` is one landmark's usual error."""
    offsets = landmark_offsets_mm(x, handles, targets, camera)
    softened = _soften(offsets, outlier_mm)
    # Absent points have confidence 0, where the root has no gradient.
    return (jnp.sqrt(jnp.maximum(handles.confidence, 1e-12))[:, None] / landmark_mm * softened).ravel()


def gap_residuals(
    x: FaceUnknowns,
    handles: Handles,
    targets: Targets,
    camera: Camera,
    *,
    gap_mm: Float[Array, ""] | float,
    outlier_mm: Float[Array, ""] | float,
) -> Float[Array, "gaps_times_2"]:
    """How far lids and lips are apart, against how far the landmarks are (ours): closed stays closed.

    A detector sees where a rim is only to some millimetres, but how wide an opening is much better; `gap_mm` is the
    usual error of one gap; softened like `landmark_residuals`."""
    upper, lower = jnp.array(_UPPER_RIMS), jnp.array(_LOWER_RIMS)
    offsets = landmark_offsets_mm(x, handles, targets, camera)
    confidence = jnp.minimum(handles.confidence[upper], handles.confidence[lower])
    softened = _soften(offsets[upper] - offsets[lower], outlier_mm)
    return (jnp.sqrt(jnp.maximum(confidence, 1e-12))[:, None] / gap_mm * softened).ravel()


def _soften(offsets: Float[Array, "rows 2"], outlier_mm: Float[Array, ""] | float) -> Float[Array, "rows 2"]:
    """Half the square is the Geman-McClure cost."""
    return offsets / jnp.sqrt(1.0 + jnp.sum(offsets**2, axis=1) / outlier_mm**2)[:, None]


def _at_landmarks(x: FaceUnknowns, model: MorphableModel) -> tuple[Array, Array]:
    corners = model.triangles[model.landmark_triangles]
    mean_mm, basis_mm = tangent(x.identity, x.expression, model=model, vertices=corners.ravel())
    weights = model.landmark_barycentrics[..., None]
    return (
        jnp.sum(weights * mean_mm.reshape(*corners.shape, 3), axis=1),
        jnp.sum(weights[None] * basis_mm.reshape(-1, *corners.shape, 3), axis=2),
    )


def _ring(model: MorphableModel) -> _Ring:
    mean_mm = landmark_positions(model.mean_mm, model=model)
    border = (model.landmark_regions == Region.BORDER) & has_landmark(model)
    count = jnp.sum(border)
    centred = mean_mm - jnp.sum(jnp.where(border[:, None], mean_mm, 0.0), axis=0)[None] / jnp.maximum(count, 1)
    angles = jnp.where(border, jnp.arctan2(centred[:, 1], centred[:, 0]), jnp.inf)
    return _Ring(jnp.argsort(angles)[:_LONGEST_BORDER], count)


def _outline(
    vertices_mm: Float[Array, "vertices 3"], pose: Pose, ring: _Ring, *, model: MorphableModel, camera: Camera
) -> tuple[Int[Array, "border"], Bool[Array, "border"], Float[Array, "border 2"]]:
    """For each border landmark: the vertex that lies farthest out in the image there, whether it lies farther out
    than the landmark, and the outward normal of the border's polygon (zero beyond `count`)."""
    vertices_px = project(vertices_mm, pose, camera=camera)[:, :2]
    points_px = project(landmark_positions(vertices_mm, model=model), pose, camera=camera)[:, :2]
    rank = jnp.arange(ring.border.shape[0])
    ring_px, count = points_px[ring.border], jnp.maximum(ring.length, 1)
    chords = ring_px[(rank + 1) % count] - ring_px[(rank - 1) % count]
    # Counter-clockwise as one looks at the face, and y points down: outward is this way.
    outward = normalise(jnp.stack([-chords[:, 1], chords[:, 0]], axis=1))
    normals = jnp.where((rank < ring.length)[:, None], outward, 0.0)
    tangents = jnp.stack([-normals[:, 1], normals[:, 0]], axis=1)
    along = matmul(tangents, vertices_px.T) - jnp.sum(tangents * ring_px, axis=1)[:, None]
    across = matmul(normals, vertices_px.T) - jnp.sum(normals * ring_px, axis=1)[:, None]
    near = jnp.abs(along) < _OUTLINE_REACH_MM * jnp.exp(pose.log_scale)
    is_face = (model.vertex_regions < Region.OUTSIDE)[None, :]
    across = jnp.where(near & is_face, across, -jnp.inf)
    return jnp.argmax(across, axis=1), jnp.max(across, axis=1) > 0.0, normals
