"""Coarse stage, Jin et al. (2021) Sec. 3.2: pose, identity and expression from landmarks.

Departs from print: a regularised least-squares fit of Eq. 1 to the landmarks stands in for the 3DDFA network.
Residuals are millimetres on the face: pixels over the scale of the initial pose, which stays frozen so that a
shrinking face cannot lower the cost. Weights then mean the same at any resolution.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import project
from jaxface.solvers.least_squares import levenberg_marquardt
from jaxface.types import Camera, CoarseFit, Landmarks, MorphableModel, Pose, Region

_STEPS = 3  # Levenberg-Marquardt steps a round; the first gains nearly all
_TOLERANCE = (8.0, 2.0, 1.0, 1.0)  # a round each: `outlier_mm` times this, since the mean face starts far off
_OUTLINE_REACH_MM = 4.0  # how far along the outline a border point looks for the surface's extreme
_LONGEST_BORDER = 64  # landmarks; MediaPipe's face oval has 36
_FLIP_Y = ((1.0, -1.0),)


class CoarseWeights(NamedTuple):
    """Noise and priors of the coarse fit, as standard deviations; measured on detections in rendered faces."""

    landmark_mm: float = 1.5  # of one landmark about the model, if `independent` of them were given
    independent: float = 68.0  # errors of dense landmarks are correlated: more points count as that many
    outlier_mm: float = 6.0  # Geman-McClure scale: a landmark this far off pulls with a quarter of its force
    border: float = 0.3  # confidence of outline points, which slide
    blendshape: float = 0.3  # usual size of a blendshape coefficient; statistical coefficients have 1


class _Handles(NamedTuple):
    """Where the landmarks sit on the model, in the object frame, and along which image direction they count."""

    mean_mm: Float[Array, "landmarks 3"]
    basis_mm: Float[Array, "coefficients landmarks 3"]
    outline_normals: Float[Array, "landmarks 2"]  # zero for landmarks that do not slide
    confidence: Float[Array, "landmarks"]


class _Template(NamedTuple):
    """What does not change during a fit: landmarks on the mean face and the bases, the border's landmarks in
    their order around the face (the first `border_count` entries)."""

    mean_mm: Float[Array, "landmarks 3"]
    basis_mm: Float[Array, "coefficients landmarks 3"]
    border: Int[Array, "border"]
    border_count: Int[Array, ""]


class _Targets(NamedTuple):
    points_px: Float[Array, "landmarks 2"]
    confidence: Float[Array, "landmarks"]
    px_per_mm: Float[Array, ""]


class _Unknowns(NamedTuple):
    pose: Pose
    identity: Float[Array, "identity"]
    expression: Float[Array, "expression"]


def run(
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    camera: Camera,
    weights: CoarseWeights = CoarseWeights(),
) -> CoarseFit:
    """Fits Eq. 1 and the pose to the landmarks of one frame by Levenberg-Marquardt.

    Border points slide: they stand for the outline of the face in the image, which is made of other surface points
    in every pose, so only their distance across the outline counts. Points on surfaces that turn away from the
    viewer, which detectors guess, count less. The detector's own depth is not used: it made the shape worse.
    """
    targets = _targets(landmarks, model=model)
    pose = initial_pose(landmarks, model=model)
    targets = targets._replace(px_per_mm=jnp.exp(pose.log_scale))
    start, bounds = _start(pose, model=model)

    template = _template(model)

    def refine(x, tolerance):
        handles = _handles(x, targets, template, model=model, camera=camera, weights=weights)
        args = (handles, targets, camera, tolerance * weights.outlier_mm, _deviations(model, weights))
        solution = levenberg_marquardt(_residuals, x, args, num_steps=_STEPS, bounds=bounds)
        return solution.value, solution.finite

    x, finite = jax.lax.scan(refine, start, jnp.array(_TOLERANCE))
    handles = _handles(x, targets, template, model=model, camera=camera, weights=weights)
    squares = jnp.sum(_offsets_mm(x, handles, targets, camera) ** 2, axis=1)
    mean_square = jnp.sum(handles.confidence * squares) / jnp.maximum(jnp.sum(handles.confidence), 1e-6)
    return CoarseFit(
        identity=x.identity,
        expression=x.expression,
        pose=x.pose,
        vertices_mm=face_shape(x.identity, x.expression, model=model),
        residual_px=jnp.sqrt(mean_square) * targets.px_per_mm,
        finite=jnp.all(finite),
    )


def initial_pose(landmarks: Landmarks, *, model: MorphableModel) -> Pose:
    """Scaled orthographic pose of the mean face, in closed form: an affine camera by weighted least squares, then
    the nearest rotation; three times, with less weight on outliers each time."""
    targets = _targets(landmarks, model=model)
    mean_mm = landmark_positions(model.mean_mm, model=model)

    def again(confidence, _):
        pose, affine_px = _affine_pose(targets.points_px, confidence, mean_mm=mean_mm)
        misses = jnp.sum((affine_px - targets.points_px) ** 2, axis=1) * jnp.exp(-2.0 * pose.log_scale)
        return targets.confidence / (1.0 + misses / 10.0**2) ** 2, pose

    _, poses = jax.lax.scan(again, targets.confidence, length=3)
    return jax.tree.map(lambda leaf: leaf[-1], poses)


def _affine_pose(
    points_px: Float[Array, "landmarks 2"],
    confidence: Float[Array, "landmarks"],
    *,
    mean_mm: Float[Array, "landmarks 3"],
) -> tuple[Pose, Float[Array, "landmarks 2"]]:
    """The pose nearest to the best affine camera, and the image of that affine camera."""
    share = (confidence / jnp.maximum(jnp.sum(confidence), 1e-6))[:, None]
    centre_px, centre_mm = jnp.sum(share * points_px, axis=0), jnp.sum(share * mean_mm, axis=0)
    offsets_px, offsets_mm = (points_px - centre_px[None]) * jnp.array(_FLIP_Y), mean_mm - centre_mm[None]
    spread = matmul((share * offsets_mm).T, offsets_mm)
    affine = jnp.linalg.solve(spread, matmul((share * offsets_mm).T, offsets_px)).T
    # Polar decomposition, affine = root @ rows: the square root of a 2 x 2 matrix has a closed form.
    gram = matmul(affine, affine.T)
    area = jnp.sqrt(jnp.linalg.det(gram))
    twice_scale = jnp.sqrt(jnp.trace(gram) + 2.0 * area)
    rows = jnp.linalg.solve((gram + area * jnp.eye(2)) / twice_scale, affine)
    rotation = jnp.concatenate([rows, jnp.cross(rows[0], rows[1])[None]], axis=0)
    origin_px = centre_px - 0.5 * twice_scale * matmul(rows, centre_mm) * jnp.array(_FLIP_Y[0])
    affine_px = matmul(offsets_mm, affine.T) * jnp.array(_FLIP_Y) + centre_px[None]
    return Pose(rotation_vector(rotation), origin_px, jnp.log(0.5 * twice_scale)), affine_px


def _targets(landmarks: Landmarks, *, model: MorphableModel) -> _Targets:
    """Landmarks that the model has; absent ones may hold anything, even NaN."""
    confidence = landmarks.confidence * jnp.sum(model.landmark_barycentrics, axis=1)
    points_px = jnp.where(confidence[:, None] > 0.0, landmarks.points_px, 0.0)
    return _Targets(points_px, confidence, jnp.ones(()))


def _start(pose: Pose, *, model: MorphableModel) -> tuple[_Unknowns, tuple[_Unknowns, _Unknowns]]:
    """The mean face at the initial pose, and the box in which the solution is sought."""
    x = _Unknowns(pose, jnp.zeros(model.identity_basis_mm.shape[0]), jnp.zeros(model.expression_basis_mm.shape[0]))
    free = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), x)
    low, high = (jnp.full_like(x.expression, bound) for bound in model.expression_bounds)
    return x, (jax.tree.map(jnp.negative, free)._replace(expression=low), free._replace(expression=high))


def _deviations(model: MorphableModel, weights: CoarseWeights) -> tuple:
    """Standard deviations: landmarks (mm), identity and expression coefficients."""
    blendshapes = model.expression_bounds[0] == 0.0
    return weights.landmark_mm, 1.0, weights.blendshape if blendshapes else 1.0


def _template(model: MorphableModel) -> _Template:
    at_landmarks = jax.vmap(lambda values: landmark_positions(values, model=model))
    mean_mm = landmark_positions(model.mean_mm, model=model)
    exists = jnp.sum(model.landmark_barycentrics, axis=1) > 0.0
    border = (model.landmark_regions == Region.BORDER) & exists
    count = jnp.sum(border)
    centred = mean_mm - jnp.sum(jnp.where(border[:, None], mean_mm, 0.0), axis=0)[None] / jnp.maximum(count, 1)
    angles = jnp.where(border, jnp.arctan2(centred[:, 1], centred[:, 0]), jnp.inf)
    return _Template(
        mean_mm=mean_mm,
        basis_mm=at_landmarks(jnp.concatenate([model.identity_basis_mm, model.expression_basis_mm])),
        border=jnp.argsort(angles)[:_LONGEST_BORDER],
        border_count=count,
    )


def _handles(
    x: _Unknowns,
    targets: _Targets,
    template: _Template,
    *,
    model: MorphableModel,
    camera: Camera,
    weights: CoarseWeights,
) -> _Handles:
    """Landmark handles for the pose at hand: border points move to the surface's outline."""
    vertices_mm = face_shape(x.identity, x.expression, model=model)
    toward = landmark_positions(vertex_normals(vertices_mm, model.triangles), model=model)
    facing = matmul(normalise(toward), rotation_matrix(x.pose.rotation_vector)[2])
    is_border = model.landmark_regions == Region.BORDER
    confidence = targets.confidence * jnp.where(is_border, weights.border, jnp.clip(facing + 0.1, 0.05, 1.0))
    share = jnp.minimum(weights.independent / jnp.maximum(jnp.sum(confidence), 1e-6), 1.0)
    vertex, slides, normals = _outline(vertices_mm, x.pose, template, model=model, camera=camera)
    basis_mm = jnp.concatenate([model.identity_basis_mm[:, vertex], model.expression_basis_mm[:, vertex]])
    border = jnp.where(slides, template.border, template.mean_mm.shape[0])  # The others are dropped.
    return _Handles(
        mean_mm=template.mean_mm.at[border].set(model.mean_mm[vertex], mode="drop"),
        basis_mm=template.basis_mm.at[:, border].set(basis_mm, mode="drop"),
        outline_normals=jnp.zeros_like(targets.points_px).at[template.border].set(normals),
        confidence=share * confidence,
    )


def _outline(
    vertices_mm: Float[Array, "vertices 3"],
    pose: Pose,
    template: _Template,
    *,
    model: MorphableModel,
    camera: Camera,
) -> tuple[Int[Array, "border"], Bool[Array, "border"], Float[Array, "border 2"]]:
    """For each border landmark: the vertex that lies farthest out in the image there, whether it lies farther out
    than the landmark, and the outward normal of the border's polygon (zero beyond `border_count`)."""
    vertices_px = project(vertices_mm, pose, camera=camera)[:, :2]
    points_px = project(landmark_positions(vertices_mm, model=model), pose, camera=camera)[:, :2]
    rank = jnp.arange(template.border.shape[0])
    ring_px, count = points_px[template.border], jnp.maximum(template.border_count, 1)
    chords = ring_px[(rank + 1) % count] - ring_px[(rank - 1) % count]
    # Counter-clockwise as one looks at the face, and y points down: outward is this way.
    outward = normalise(jnp.stack([-chords[:, 1], chords[:, 0]], axis=1))
    normals = jnp.where((rank < template.border_count)[:, None], outward, 0.0)
    tangents = jnp.stack([-normals[:, 1], normals[:, 0]], axis=1)
    along = matmul(tangents, vertices_px.T) - jnp.sum(tangents * ring_px, axis=1)[:, None]
    across = matmul(normals, vertices_px.T) - jnp.sum(normals * ring_px, axis=1)[:, None]
    near = jnp.abs(along) < _OUTLINE_REACH_MM * jnp.exp(pose.log_scale)
    is_face = (model.vertex_regions != Region.OUTSIDE)[None, :]
    across = jnp.where(near & is_face, across, -jnp.inf)
    return jnp.argmax(across, axis=1), jnp.max(across, axis=1) > 0.0, normals


def _offsets_mm(x: _Unknowns, handles: _Handles, targets: _Targets, camera: Camera) -> Float[Array, "landmarks 2"]:
    """Model minus landmark; of sliding points only the part across the outline."""
    coefficients = jnp.concatenate([x.identity, x.expression])
    moved_mm = jnp.tensordot(coefficients, handles.basis_mm, axes=1, precision="highest")
    points = project(handles.mean_mm + moved_mm, x.pose, camera=camera)
    offsets = (points[:, :2] - targets.points_px) / targets.px_per_mm
    normals = handles.outline_normals
    slides = jnp.any(normals != 0.0, axis=1)
    across = jnp.sum(offsets * normals, axis=1)[:, None] * normals
    return jnp.where(slides[:, None], across, offsets)


def _residuals(
    x: _Unknowns, handles: _Handles, targets: _Targets, camera: Camera, outlier_mm: Array, deviations: tuple
) -> Float[Array, "residuals"]:
    """Landmarks, softened so that half their square is the Geman-McClure cost, then the priors of Eq. 1."""
    landmark_mm, identity, expression = deviations
    offsets = _offsets_mm(x, handles, targets, camera)
    softened = offsets / jnp.sqrt(1.0 + jnp.sum(offsets**2, axis=1) / outlier_mm**2)[:, None]
    # Absent points have confidence 0, where the root has no gradient.
    data = jnp.sqrt(jnp.maximum(handles.confidence, 1e-12))[:, None] / landmark_mm * softened
    return jnp.concatenate([data.ravel(), x.identity / identity, x.expression / expression])
