"""Coarse stage, Jin et al. (2021) Sec. 3.2: pose, identity and expression from landmarks, then from the skin's shading.

Departs from print: regularised least squares on Eq. 1 stand in for the 3DDFA network. `run` fits the landmarks;
`fit_skin` goes on with the photo, since detectors pull faces toward the average face and skin does not.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.face import (
    CoarseWeights,
    box,
    face_residuals,
    handles_at,
    hold,
    landmark_terms,
    make_evidence,
    make_fit,
)
from jaxface.energies.landmarks import FaceUnknowns, make_targets
from jaxface.energies.normals import NormalsSeen, at_places, facing_weights, normal_residuals, pool, triangle_normals
from jaxface.energies.skin import SkinPatches
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.morphable.pose import rotation_vector
from jaxface.numerics import matmul
from jaxface.rendering.camera import project
from jaxface.solvers.least_squares import levenberg_marquardt
from jaxface.types import Camera, CoarseFit, Crop, Landmarks, MorphableModel, Pose

_STEPS = 3  # Levenberg-Marquardt steps a round; the first gains nearly all
_TOLERANCE = (8.0, 2.0, 1.0, 1.0)  # a round each: `outlier_mm` times this, since the mean face starts far off
_SKIN_ROUNDS, _SKIN_STEPS = 5, 2
_FLIP_Y = ((1.0, -1.0),)


def run(
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    camera: Camera,
    weights: CoarseWeights,
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

    def residuals(x, handles, tolerance, weights):
        terms = landmark_terms(x, handles, targets, camera, model=model, weights=weights, tolerance=tolerance)
        return jnp.concatenate([terms, x.identity])

    def fit_once(x, tolerance):
        handles = handles_at(x, targets, camera, model=model, weights=weights)
        args = (handles, tolerance, weights)
        solution = levenberg_marquardt(residuals, x, args, num_steps=_STEPS, bounds=box(x, model=model))
        return solution.value, solution.finite

    x, finite = jax.lax.scan(fit_once, first, jnp.array(_TOLERANCE))
    return make_fit(x, targets, camera, model=model, weights=weights, finite=jnp.all(finite))


def fit_skin(
    fit: CoarseFit,
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    crop: Crop,
    *,
    model: MorphableModel,
    patches: SkinPatches,
    camera: Camera,
    weights: CoarseWeights,
    seen: NormalsSeen | None = None,
) -> CoarseFit:
    """Goes on from a fit to landmarks with the shading of the skin as well, and with the normals that a network sees,
    which stay as they are; `window` is the photo's `crop`.

    Light and coefficients are solved for in turn, and which patches face the viewer is found anew each time. The
    landmarks keep their weight, so that what skin cannot tell, such as where the eyes are, stays where it was.
    """
    px_per_mm = jnp.exp(fit.pose.log_scale)
    evidence = make_evidence(landmarks, window, crop, camera, model=model, px_per_mm=px_per_mm)
    pooled = None if seen is None else pool(seen)

    def look(x):
        corners_mm = face_shape(x.identity, x.expression, model=model)[patches.triangles]
        corners_px = project(corners_mm.reshape(-1, 3), x.pose, camera=camera).reshape(-1, 3, 3)
        return triangle_normals(corners_px), jnp.mean(corners_px[..., :2], axis=1)

    def misses(x, pooled, facing, weights):
        normals, middles_px = look(x)
        return normal_residuals(
            normals, at_places(pooled, middles_px, crop), facing, least=weights.normal_least,
            independent=weights.normal_independent, outlier=weights.normal_outlier,
        )  # fmt: skip

    def residuals(x, held, facing, weights):
        terms = [face_residuals(x, held, evidence, patches, model=model, weights=weights), x.identity]
        return jnp.concatenate(terms if pooled is None else [*terms, misses(x, pooled, facing, weights)])

    def turn(x, _):
        held = hold(x, evidence, patches, model=model, weights=weights)
        facing = None if pooled is None else facing_weights(look(x)[0], patches.area)
        args = (held, facing, weights)
        solution = levenberg_marquardt(residuals, x, args, num_steps=_SKIN_STEPS, bounds=box(x, model=model))
        return solution.value, solution.finite

    x, finite = jax.lax.scan(turn, FaceUnknowns(fit.pose, fit.identity, fit.expression), length=_SKIN_ROUNDS)
    finite = fit.finite & jnp.all(finite)
    return make_fit(x, evidence.targets, camera, model=model, weights=weights, finite=finite)


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
