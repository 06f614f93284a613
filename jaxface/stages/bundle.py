"""Many frames, one person: identity from the normal equations of all frames, pose and expression of each.

Jin et al. (2021) Sec. 4.2 average the shapes of a video's frames. Here each frame says how sure it is of what: its
pose and expression are eliminated from its normal equations (Schur complement), and what is left of the identity adds
up over frames, in any order and any chunks. Turned frames then speak of depth, frontal ones of breadth.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from jaxface.energies.face import CoarseWeights, Evidence, box, face_residuals, hold, make_evidence, make_fit
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.energies.skin import SkinPatches
from jaxface.numerics import matmul
from jaxface.solvers.least_squares import levenberg_marquardt
from jaxface.types import Camera, CoarseFit, Crop, Landmarks, MorphableModel, Pose

INDEPENDENT_FRAMES = 4.0  # detectors err alike in all frames of a person: more frames count as that many, at most
_HALVINGS = 20
_ROUNDS, _STEPS = 2, 2
_MOTION = 6  # numbers of a pose


class Motion(NamedTuple):
    """What moves from frame to frame."""

    pose: Pose
    expression: Float[Array, "expression"]


class Opinion(NamedTuple):
    """A frame's cost near its fit, to second order: z^T information z / 2 - vector^T z of the identity z after its own
    pose and expression took their best values, and `motion`, the same matrix of pose and expression at a fixed
    identity."""

    information: Float[Array, "identity identity"]
    vector: Float[Array, "identity"]
    motion: Float[Array, "motion motion"]


def follow(
    start: FaceUnknowns,
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    crop: Crop,
    *,
    model: MorphableModel,
    patches: SkinPatches,
    camera: Camera,
    weights: CoarseWeights,
) -> CoarseFit:
    """Pose and expression of a frame of a person whose identity is known and stays; `window` is the photo's `crop`."""
    evidence = _evidence(start.pose, landmarks, window, crop, camera, model)

    def residuals(motion, held, weights):
        x = FaceUnknowns(motion.pose, start.identity, motion.expression)
        return face_residuals(x, held, evidence, patches, model=model, weights=weights)

    def turn(motion, _):
        x = FaceUnknowns(motion.pose, start.identity, motion.expression)
        held = hold(x, evidence, patches, model=model, weights=weights)
        low, high = (Motion(side.pose, side.expression) for side in box(x, model=model))
        solution = levenberg_marquardt(residuals, motion, (held, weights), num_steps=_STEPS, bounds=(low, high))
        return solution.value, solution.finite

    motion, finite = jax.lax.scan(turn, Motion(start.pose, start.expression), length=_ROUNDS)
    x = FaceUnknowns(motion.pose, start.identity, motion.expression)
    return make_fit(x, evidence.targets, camera, model=model, weights=weights, finite=jnp.all(finite))


def summarise(
    x: FaceUnknowns,
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    crop: Crop,
    *,
    model: MorphableModel,
    patches: SkinPatches,
    camera: Camera,
    weights: CoarseWeights,
) -> Opinion:
    """What a frame says of the person, one Gauss-Newton step from its fit. Expressions at their bounds stay there."""
    evidence = _evidence(x.pose, landmarks, window, crop, camera, model)
    held = hold(x, evidence, patches, model=model, weights=weights)
    start, unravel = ravel_pytree(Motion(x.pose, x.expression))
    size = start.shape[0]

    def residuals(unknowns):
        motion = unravel(unknowns[:size])
        y = FaceUnknowns(motion.pose, unknowns[size:], motion.expression)
        return face_residuals(y, held, evidence, patches, model=model, weights=weights)

    values, tangents = jax.linearize(residuals, jnp.concatenate([start, x.identity]))
    rows = jax.vmap(tangents)(jnp.eye(size + x.identity.shape[0]))
    normal, gradient = matmul(rows, rows.T), matmul(rows, values)
    free = jnp.concatenate([jnp.ones(_MOTION), _moves(x.expression, gradient[_MOTION:size], model)])
    return _eliminate(normal, gradient, free, identity=x.identity)


def fuse(
    information: Float[Array, "identity identity"],
    vector: Float[Array, "identity"],
    *,
    num_frames: Float[Array, ""] | float,
) -> Float[Array, "identity"]:
    """The identity that the sums of the frames' opinions and the model's statistics agree on.

    Where opinions are as sure as they should be, the squares of the coefficients sum up to about the number of
    coefficients that they determine (MacKay 1992, Bayesian Interpolation: 2 alpha E_W = gamma). Those that ask for a
    more unusual face, as where the model cannot be like the person, are too sure and count less, until it holds.
    """
    certainties, axes = jnp.linalg.eigh(information)
    certainties, asked = jnp.maximum(certainties, 0.0), matmul(axes.T, vector[:, None])[:, 0]
    most = jnp.minimum(INDEPENDENT_FRAMES / jnp.maximum(num_frames, 1.0), 1.0)

    def coefficients(share):
        return share * asked / (1.0 + share * certainties)

    def too_sure(share):
        return jnp.sum(coefficients(share) ** 2) > jnp.sum(share * certainties / (1.0 + share * certainties))

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        return jnp.where(too_sure(middle), low, middle), jnp.where(too_sure(middle), middle, high)

    calibrated, _ = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros_like(most), most))
    share = jnp.where(too_sure(most), calibrated, most)
    return matmul(axes, coefficients(share)[:, None])[:, 0]


def _moves(expression: Array, gradient: Array, model: MorphableModel) -> Array:
    """0 for coefficients that their bounds hold back, else 1."""
    low, high = model.expression_bounds
    held_back = ((expression <= low) & (gradient > 0.0)) | ((expression >= high) & (gradient < 0.0))
    return 1.0 - held_back.astype(gradient.dtype)


def _eliminate(normal: Array, gradient: Array, free: Array, *, identity: Array) -> Opinion:
    """Schur complement of the motion in the normal equations; unknowns that are not `free` stay where they are."""
    size = free.shape[0]
    motion = normal[:size, :size] * free[:, None] * free[None, :]
    # Unknowns of unit sensitivity, or float32 could not bear radians beside pixels.
    scale = free / jnp.sqrt(jnp.maximum(jnp.diagonal(motion), 1e-12))
    system = motion * scale[:, None] * scale[None, :] + jnp.diag(1.0 - free + 1e-6)
    coupling = scale[:, None] * jnp.concatenate([normal[:size, size:], gradient[:size, None]], axis=1)
    solved = jax.scipy.linalg.solve(system, coupling, assume_a="pos")
    reduced = matmul(coupling[:, :-1].T, solved)
    information = normal[size:, size:] - reduced[:, :-1]
    information = 0.5 * (information + information.T)
    vector = matmul(information, identity) - (gradient[size:] - reduced[:, -1])
    return Opinion(information, vector, normal[:size, :size])


def _evidence(
    pose: Pose, landmarks: Landmarks, window: Array, crop: Crop, camera: Camera, model: MorphableModel
) -> Evidence:
    return make_evidence(landmarks, window, crop, camera, model=model, px_per_mm=jnp.exp(pose.log_scale))
