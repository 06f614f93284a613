"""Coarse stage as printed, Jin et al. (2021) Sec. 3.2: pose, identity and expression are a network's, here 3DDFA_V2's.

Its coefficients belong to the face model it was trained with. For any other model only the rotation of the head carries
over, as the start of the landmark fit.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.face import CoarseWeights, make_fit
from jaxface.energies.landmarks import FaceUnknowns, make_targets
from jaxface.morphable.linear import landmark_positions
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul
from jaxface.types import Camera, CoarseFit, Landmarks, MorphableModel, Pose


def run(
    pose: Pose,
    identity: Float[Array, "identity"],
    expression: Float[Array, "expression"],
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    camera: Camera,
    weights: CoarseWeights,
) -> CoarseFit:
    """The regressed face as a coarse fit; `identity` and `expression` are whitened coefficients of `model`.

    The landmarks take no part, but `residual_px` tells how far from them the face is, as after a fit to them.
    """
    x = FaceUnknowns(pose, identity, expression)
    targets = make_targets(landmarks, model=model, px_per_mm=jnp.exp(pose.log_scale))
    fit = make_fit(x, targets, camera, model=model, weights=weights, finite=jnp.array(True))
    return fit._replace(finite=jnp.isfinite(fit.residual_px) & jnp.all(jnp.isfinite(fit.vertices_mm)))


def start_pose(pose: Pose, landmarks: Landmarks, *, model: MorphableModel) -> Pose:
    """The regressed rotation with the scale and the translation that bring the mean face of `model` nearest to the
    landmarks (least squares, scaled orthographic): models differ in their origin and in the size of a mean face."""
    seen_px, confidence, _ = make_targets(landmarks, model=model, px_per_mm=1.0)
    share = (confidence / jnp.maximum(jnp.sum(confidence), 1e-6))[:, None]
    mean_mm = landmark_positions(model.mean_mm, model=model)
    turned_mm = matmul(mean_mm, rotation_matrix(pose.rotation_vector).T)[:, :2] * jnp.array([[1.0, -1.0]])
    centre_px, centre_mm = jnp.sum(share * seen_px, axis=0), jnp.sum(share * turned_mm, axis=0)
    offsets_px, offsets_mm = seen_px - centre_px[None], turned_mm - centre_mm[None]
    scale = jnp.sum(share * offsets_px * offsets_mm) / jnp.maximum(jnp.sum(share * offsets_mm**2), 1e-6)
    log_scale = jnp.where(scale > 0.0, jnp.log(jnp.maximum(scale, 1e-6)), pose.log_scale)
    return Pose(pose.rotation_vector, centre_px - jnp.exp(log_scale) * centre_mm, log_scale)
