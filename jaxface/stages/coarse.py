"""Coarse stage, Jin et al. (2021) Sec. 3.2: pose, identity and expression from landmarks, then from the skin's shading.

Departs from print: regularised least squares on Eq. 1 stand in for the 3DDFA network. `run` fits the landmarks;
`refine` goes on with the photo, since detectors pull faces toward the average face and shading does not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.landmarks import (
    BORDER,
    FaceUnknowns,
    Targets,
    landmark_offsets_mm,
    landmark_residuals,
    make_handles,
    make_targets,
)
from jaxface.energies.skin import SkinPatches, light_skin, skin_residuals, view_skin
from jaxface.imaging.filters import gaussian_blur, sample
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_vector
from jaxface.numerics import matmul
from jaxface.rendering.camera import crop_points
from jaxface.solvers.least_squares import levenberg_marquardt
from jaxface.types import Camera, CoarseFit, Crop, Landmarks, MorphableModel, Pose

_STEPS = 3  # Levenberg-Marquardt steps a round; the first gains nearly all
_TOLERANCE = (8.0, 2.0, 1.0, 1.0)  # a round each: `outlier_mm` times this, since the mean face starts far off
_SKIN_ROUNDS, _SKIN_STEPS = 5, 2
_SKIN_BLUR = 1.0 / 256.0  # of the crop's side: pores are no shape of a morphable model
_FLIP_Y = ((1.0, -1.0),)


class CoarseWeights(NamedTuple):
    """Noise and priors of the coarse fit, as standard deviations; measured on detections in rendered faces."""

    landmark_mm: float = 2.5  # of one landmark about the model, if `independent` of them were given
    independent: float = 68.0  # errors of dense landmarks are correlated: more points count as that many
    outlier_mm: float = 6.0  # Geman-McClure scale: a landmark this far off pulls with a quarter of its force
    border: float = BORDER  # confidence of outline points, which slide
    blendshape: float = 0.3  # usual size of a blendshape coefficient; statistical coefficients have 1
    skin_spread: float = 0.08  # of the skin's brightness about its shading, as a share
    skin_independent: float = 200.0  # texture is correlated too: all the skin counts as that many patches
    skin_outlier: float = 2.0  # Geman-McClure scale of the skin, in spreads


def run(
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    camera: Camera,
    weights: CoarseWeights = CoarseWeights(),
    start: Pose | None = None,
) -> CoarseFit:
    """Fits Eq. 1 and the pose to the landmarks of one frame by Levenberg-Marquardt.

    Border points slide: they stand for the outline of the face in the image, which is made of other surface points
    in every pose, so only their distance across the outline counts. The detector's own depth is not used: it made the
    shape worse. `start` is a pose from elsewhere; without it the mean face's is found in closed form.
    """
    pose = initial_pose(landmarks, model=model) if start is None else start
    targets = make_targets(landmarks, model=model, px_per_mm=jnp.exp(pose.log_scale))
    first = FaceUnknowns(
        pose, jnp.zeros(model.identity_basis_mm.shape[0]), jnp.zeros(model.expression_basis_mm.shape[0])
    )

    def refine(x, tolerance):
        handles = _handles(x, targets, model, camera, weights)
        args = (handles, targets, camera, tolerance, weights)
        residuals = lambda x, *args: _landmarks_and_priors(x, *args, model=model)  # noqa: E731
        solution = levenberg_marquardt(residuals, x, args, num_steps=_STEPS, bounds=_bounds(x, model))
        return solution.value, solution.finite

    x, finite = jax.lax.scan(refine, first, jnp.array(_TOLERANCE))
    return _result(x, targets, model, camera, weights, finite=jnp.all(finite))


def refine(
    fit: CoarseFit,
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    crop: Crop,
    *,
    model: MorphableModel,
    patches: SkinPatches,
    camera: Camera,
    weights: CoarseWeights = CoarseWeights(),
) -> CoarseFit:
    """Goes on from a fit to landmarks with the shading of the skin as well; `window` is the photo's `crop`.

    Light and coefficients are solved for in turn. The landmarks keep their weight, so that what shading cannot tell,
    such as where the eyes are, stays where it was.
    """
    targets = make_targets(landmarks, model=model, px_per_mm=jnp.exp(fit.pose.log_scale))
    smooth = gaussian_blur(window, sigma=max(_SKIN_BLUR * window.shape[0], 0.5))

    def look(x):
        corners_mm = face_shape(x.identity, x.expression, model=model)[patches.triangles]
        view = view_skin(corners_mm, x.pose, camera=camera)
        return view, sample(smooth, crop_points(view.middles_px, crop))

    def residuals(x, handles, target, weights):
        landmark_part = _landmarks_and_priors(x, handles, targets, camera, 1.0, weights, model=model)
        view, colours = look(x)
        skin_part = skin_residuals(
            view, colours, target, spread=weights.skin_spread, independent=weights.skin_independent,
            outlier=weights.skin_outlier,
        )  # fmt: skip
        return jnp.concatenate([landmark_part, skin_part])

    def turn(x, _):
        handles = _handles(x, targets, model, camera, weights)
        view, colours = look(x)
        target = light_skin(view, colours, area=patches.area)
        args = (handles, target, weights)
        solution = levenberg_marquardt(residuals, x, args, num_steps=_SKIN_STEPS, bounds=_bounds(x, model))
        return solution.value, solution.finite

    x, finite = jax.lax.scan(turn, FaceUnknowns(fit.pose, fit.identity, fit.expression), length=_SKIN_ROUNDS)
    return _result(x, targets, model, camera, weights, finite=fit.finite & jnp.all(finite))


def initial_pose(landmarks: Landmarks, *, model: MorphableModel) -> Pose:
    """Scaled orthographic pose of the mean face, in closed form: an affine camera by weighted least squares, then
    the nearest rotation; three times, with less weight on outliers each time."""
    targets = make_targets(landmarks, model=model, px_per_mm=1.0)
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


def _handles(x: FaceUnknowns, targets: Targets, model: MorphableModel, camera: Camera, weights: CoarseWeights):
    return make_handles(x, targets, model=model, camera=camera, border=weights.border, independent=weights.independent)


def _bounds(x: FaceUnknowns, model: MorphableModel) -> tuple[FaceUnknowns, FaceUnknowns]:
    """The box in which the solution is sought."""
    free = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), x)
    low, high = (jnp.full_like(x.expression, bound) for bound in model.expression_bounds)
    return jax.tree.map(jnp.negative, free)._replace(expression=low), free._replace(expression=high)


def _landmarks_and_priors(
    x: FaceUnknowns, handles, targets: Targets, camera: Camera, tolerance, weights: CoarseWeights, *, model
) -> Float[Array, "residuals"]:
    """Landmarks, then the priors of Eq. 1's coefficients."""
    data = landmark_residuals(
        x, handles, targets, camera, landmark_mm=weights.landmark_mm, outlier_mm=tolerance * weights.outlier_mm
    )
    blendshapes = model.expression_bounds[0] == 0.0
    return jnp.concatenate([data, x.identity, x.expression / (weights.blendshape if blendshapes else 1.0)])


def _result(x: FaceUnknowns, targets: Targets, model, camera: Camera, weights: CoarseWeights, *, finite) -> CoarseFit:
    handles = _handles(x, targets, model, camera, weights)
    squares = jnp.sum(landmark_offsets_mm(x, handles, targets, camera) ** 2, axis=1)
    mean_square = jnp.sum(handles.confidence * squares) / jnp.maximum(jnp.sum(handles.confidence), 1e-6)
    return CoarseFit(
        identity=x.identity,
        expression=x.expression,
        pose=x.pose,
        vertices_mm=face_shape(x.identity, x.expression, model=model),
        residual_px=jnp.sqrt(mean_square) * targets.px_per_mm,
        finite=finite,
    )
