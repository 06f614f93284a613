"""Medium stage, Jin et al. (2021) Sec. 3.3: landmarks pull the coarse shape by Laplace deformation (Eqs. 2, 3).

`energies.handles` factorises Eq. 3 once for a template (host, float64). For the template's reference weights W0 let
B = L^T L + S^T W0 S, where S picks the M handles, and C = S B^-1 S^T = Q diag(c) Q^T. With K = B^-1 S^T Q diag(c)^-1/2
and P = S K every optimum of Eq. 3, for any weights W, is v' = v + K y, and there Eq. 3 is a small quadratic:

  E(y) = y^T y - |P y|^2_W0 + |P y - r|^2_W,   half its Hessian  H = I + P^T (W - W0) P,   r = mu - S v.

`run` lets Adam find the optimum of the full energy; `linear_response` solves H y = P^T W r. Normals that a network sees
(ours) add |G K y - t|^2 for the camera's depth alone, and hold the handles there; handles between the landmarks and
beyond the face, which have no weight in Eq. 3, let them act. The optimum is then that within the span of K.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.handles import MediumTemplate
from jaxface.energies.laplacian import DeformationWeights, handle_positions, laplacian_energy
from jaxface.energies.normals import (
    NormalsSeen,
    Slopes,
    at_places,
    facing_weights,
    pool,
    slope_residuals,
    slope_rows,
    triangle_normals,
)
from jaxface.energies.trust import landmark_trust
from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise, safe_norm
from jaxface.rendering.camera import project, unproject
from jaxface.solvers.adam import cosine_rates, minimise
from jaxface.types import Camera, CoarseFit, Crop, Landmarks, MediumFit, MorphableModel


class Pull(NamedTuple):
    """One frame's mu (object frame, mm) and w of Eq. 3; `trust` is w without the anchor."""

    targets_mm: Float[Array, "handles 3"]
    weights: Float[Array, "handles"]
    trust: Float[Array, "handles"]


FIRST_STEP = 0.2  # Adam's rate at the start of a round, as a share of the way to the optimum
SHORTEST = 0.1  # of the typical way: no unknown is held stiller than this
ROBUST_ROUNDS = 3


def run(
    coarse: CoarseFit,
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    template: MediumTemplate,
    camera: Camera,
    weights: DeformationWeights,
    seen: NormalsSeen | None = None,
    crop: Crop | None = None,
    energy: Callable[..., Float[Array, ""]] = laplacian_energy,
    rounds: int = 4,
    steps_per_round: int = 12,
) -> MediumFit:
    """Deforms the coarse shape towards the landmarks (image pixels), and to the normals that a network sees on the
    photo's `crop`, with preconditioned Adam.

    `energy` may be `printed_laplacian_energy`; the preconditioner is made for the squared one.
    """
    initial_mm = coarse.vertices_mm
    if seen is not None and crop is not None:
        weights = led(weights, coarse, seen, crop, template=template, camera=camera)
    pull = landmark_pull(coarse, landmarks, model=model, template=template, camera=camera, weights=weights)
    slopes, term = None, {}
    if seen is not None and crop is not None:
        slopes = normal_slopes(coarse, pull, seen, crop, template=template, camera=camera, weights=weights)
        depth_factor, _ = _depth_problem(initial_mm, pull, slopes, template)
        term = {"slopes": slopes}
    factor, _ = _reduced_problem(initial_mm, pull, template)
    rotation = rotation_matrix(coarse.pose.rotation_vector)

    def deform(white):
        answer = jax.scipy.linalg.solve_triangular(factor.T, white, lower=False)
        if slopes is not None:  # white are then the camera's axes
            depth = jax.scipy.linalg.solve_triangular(depth_factor.T, white[:, 2], lower=False)
            answer = matmul(answer.at[:, 2].set(depth), rotation)
        return initial_mm + matmul(template.basis, answer)

    def of_white(white):
        shape_mm, deformable = deform(white), template.deformable
        known = {"initial_mm": initial_mm, "targets_mm": pull.targets_mm, "weights": pull.weights} | term
        return energy(shape_mm, deformable=deformable, **known)

    start = jnp.zeros((template.basis.shape[1], 3), jnp.float32)
    white, energies, finite = _restarted_adam(of_white, start, rounds=rounds, num_steps=steps_per_round)
    vertices_mm = deform(white)
    residual_px = _residual_px(vertices_mm, coarse, landmarks, pull, template, camera)
    return MediumFit(vertices_mm, energies, residual_px, finite)


def _restarted_adam(
    energy: Callable[[Array], Float[Array, ""]], start: Float[Array, "handles 3"], *, rounds: int, num_steps: int
) -> tuple[Float[Array, "handles 3"], Float[Array, "steps"], Array]:
    """Adam on unknowns whose Hessian is twice the identity, restarted because its momentum of 0.9 rings for long.

    Adam walks all unknowns at one speed, so each round measures them in lengths given by its first gradient.
    """

    def one_round(white, _):
        distance = 0.5 * jnp.abs(jax.grad(energy)(white))
        typical = jnp.sqrt(jnp.mean(distance * distance, axis=0, keepdims=True))
        lengths = jnp.maximum(distance, SHORTEST * typical)
        rates = cosine_rates(FIRST_STEP, num_steps=num_steps)
        found = minimise(
            lambda unknown: energy(white + lengths * unknown),
            jnp.zeros_like(white),
            learning_rate=rates,
            num_steps=num_steps,
        )
        return white + lengths * found.value, (found.energies, found.finite)

    white, (energies, finite) = jax.lax.scan(one_round, start, None, length=rounds)
    return white, energies.reshape(-1), jnp.all(finite)


def linear_response(
    initial_mm: Float[Array, "vertices 3"], pull: Pull, *, template: MediumTemplate, slopes: Slopes | None = None
) -> Float[Array, "vertices 3"]:
    """The exact optimum of the squared Eq. 3: a linear answer to the targets, for any weights."""
    factor, gradient = _reduced_problem(initial_mm, pull, template)
    answer = jax.scipy.linalg.cho_solve((factor, True), gradient)
    if slopes is not None:  # depth answers to the normals, and nothing else does
        depth_factor, depth_gradient = _depth_problem(initial_mm, pull, slopes, template)
        depth = jax.scipy.linalg.cho_solve((depth_factor, True), depth_gradient)
        answer = answer + (depth - matmul(answer, slopes.toward))[:, None] * slopes.toward[None]
    return initial_mm + matmul(template.basis, answer)


def led(
    weights: DeformationWeights,
    coarse: CoarseFit,
    seen: NormalsSeen,
    crop: Crop,
    *,
    template: MediumTemplate,
    camera: Camera,
) -> DeformationWeights:
    """The weights with landmarks that give way to normals, as far as the skin that faces the viewer is seen."""
    corners_px = project(coarse.vertices_mm, coarse.pose, camera=camera)[template.patches.triangles]
    counts = facing_weights(triangle_normals(corners_px), template.patches.area)
    skin = at_places(pool(seen), jnp.mean(corners_px[..., :2], axis=1), crop).skin
    share = jnp.sum(counts * skin) / jnp.maximum(jnp.sum(counts), 1e-6)
    return weights._replace(stiffness=weights.stiffness * (1.0 + weights.lead * share))


def normal_slopes(
    coarse: CoarseFit,
    pull: Pull,
    seen: NormalsSeen,
    crop: Crop,
    *,
    template: MediumTemplate,
    camera: Camera,
    weights: DeformationWeights,
) -> Slopes:
    """What the normals seen on the photo's `crop` ask of the skin's slopes.

    Patches lie where the landmarks will have moved them in the image. Those that miss what is seen by more than
    others, after all have had their say, are let go.
    """
    initial_mm, area, triangles = coarse.vertices_mm, template.patches.area, template.patches.triangles
    toward = rotation_matrix(coarse.pose.rotation_vector)[2]
    moved_mm = linear_response(initial_mm, pull, template=template) - initial_mm
    moved_mm = moved_mm - matmul(moved_mm, toward)[:, None] * toward[None]
    corners_px = project(initial_mm + moved_mm, coarse.pose, camera=camera)[triangles]
    inclined = at_places(pool(seen), jnp.mean(corners_px[..., :2], axis=1), crop)
    counts = facing_weights(triangle_normals(corners_px), area)
    counts = weights.normals * counts * inclined.skin / jnp.maximum(jnp.sum(counts), 1e-6)
    rows, targets = slope_rows(corners_px, inclined)
    # Depths are the object's own, heights those above the image's plane through its origin: both lose nothing.
    rows = jnp.exp(coarse.pose.log_scale) * rows
    spread = jnp.maximum(inclined.spread, weights.normal_least)

    def slopes_of(agreement):
        root = jnp.sqrt(jnp.maximum(counts * agreement, 1e-20)) / spread
        return Slopes(triangles, root[:, None, None] * rows, root[:, None] * targets, toward, weights.hold)

    plain = Slopes(triangles, rows / spread[:, None, None], targets / spread[:, None], toward, weights.hold)

    def reweigh(_, agreement):
        found_mm = linear_response(initial_mm, pull, template=template, slopes=slopes_of(agreement))
        errors = jnp.sum(slope_residuals(found_mm, plain) ** 2, axis=1)
        return 1.0 / (1.0 + errors / weights.normal_outlier**2) ** 2

    return slopes_of(jax.lax.fori_loop(0, ROBUST_ROUNDS, reweigh, jnp.ones_like(counts)))


def landmark_pull(
    coarse: CoarseFit,
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    template: MediumTemplate,
    camera: Camera,
    weights: DeformationWeights,
) -> Pull:
    """Targets and weights of Eq. 3 from a frame's landmarks.

    mu is the landmark (x, y) at the height of the coarse surface, which stays frozen. The weight falls for landmarks
    of low confidence, on surface that turns away, and where a landmark disagrees with all others together.
    """
    ids = template.landmark_ids
    rest = (0, template.handle_basis.shape[0] - ids.shape[0])  # handles without a landmark
    confidence = jnp.pad(landmarks.confidence[ids], rest)
    here_mm = handle_positions(coarse.vertices_mm, deformable=template.deformable)
    here = project(here_mm, coarse.pose, camera=camera)
    points = jnp.where(confidence[:, None] > 0, jnp.pad(landmarks.points_px[ids], (rest, (0, 0))), here[:, :2])
    landmarks_mm = unproject(jnp.concatenate([points, here[:, 2:]], axis=1), coarse.pose, camera=camera)
    cosines = _facing(coarse, model, template)
    regions = jnp.pad(model.landmark_regions[ids], rest)
    trust = landmark_trust(confidence, cosines, regions=regions, trust=weights.trust) / weights.stiffness
    anchor = jnp.pad(jnp.ones(ids.shape), rest) * weights.anchor / weights.stiffness

    def pull_of(trust):
        total = trust + anchor
        targets_mm = here_mm + (trust / jnp.maximum(total, 1e-12))[:, None] * (landmarks_mm - here_mm)
        return Pull(targets_mm, total, trust)

    def reweigh(_, agreement):
        apart_mm = _disagreement_mm(coarse.vertices_mm, landmarks_mm, pull_of(trust * agreement), template)
        return 1.0 / (1.0 + (apart_mm / weights.outlier_mm) ** 4)

    agreement = jax.lax.fori_loop(0, ROBUST_ROUNDS, reweigh, jnp.ones_like(trust))
    return pull_of(trust * agreement)


def _disagreement_mm(
    initial_mm: Float[Array, "vertices 3"],
    landmarks_mm: Float[Array, "handles 3"],
    pull: Pull,
    template: MediumTemplate,
) -> Float[Array, "handles"]:
    """How far each landmark lies from where the optimum without it would put it (leave-one-out residual).

    Closed form: residual / (1 - leverage), since the optimum is linear in the targets.
    """
    factor, gradient = _reduced_problem(initial_mm, pull, template)
    answer = jax.scipy.linalg.cho_solve((factor, True), gradient)
    spread = jax.scipy.linalg.solve_triangular(factor, template.handle_basis.T, lower=True)
    leverage = pull.weights * jnp.sum(spread * spread, axis=0)
    here_mm = handle_positions(initial_mm, deformable=template.deformable)
    offset_mm = pull.targets_mm - here_mm - matmul(template.handle_basis, answer)
    without_mm = pull.targets_mm - offset_mm / jnp.maximum(1.0 - leverage, 1e-3)[:, None]
    return safe_norm(landmarks_mm - without_mm)


def _reduced_problem(
    initial_mm: Float[Array, "vertices 3"], pull: Pull, template: MediumTemplate
) -> tuple[Float[Array, "handles handles"], Float[Array, "handles 3"]]:
    """Lower Cholesky factor of H and right-hand side P^T W r of the module's head."""
    basis = template.handle_basis
    offset_mm = pull.targets_mm - handle_positions(initial_mm, deformable=template.deformable)
    change = (pull.weights - template.reference_weights)[:, None] * basis
    hessian = jnp.eye(basis.shape[1], dtype=basis.dtype) + matmul(basis.T, change)
    return jnp.linalg.cholesky(hessian), matmul(basis.T, pull.weights[:, None] * offset_mm)


def _depth_problem(
    initial_mm: Float[Array, "vertices 3"], pull: Pull, slopes: Slopes, template: MediumTemplate
) -> tuple[Float[Array, "handles handles"], Float[Array, "handles"]]:
    """The same for the displacement along `toward` where normals are seen."""
    basis = template.handle_basis
    offset_mm = pull.targets_mm - handle_positions(initial_mm, deformable=template.deformable)
    hold = pull.weights + slopes.hold
    change = (hold - template.reference_weights)[:, None] * basis
    moves = jnp.sum(slopes.rows[..., None] * template.basis[slopes.triangles][:, None], axis=2)
    moves = moves.reshape(-1, basis.shape[1])
    hessian = jnp.eye(basis.shape[1], dtype=basis.dtype) + matmul(basis.T, change) + matmul(moves.T, moves)
    gradient = matmul(basis.T, hold * matmul(offset_mm, slopes.toward))
    return jnp.linalg.cholesky(hessian), gradient - matmul(moves.T, slope_residuals(initial_mm, slopes).reshape(-1))


def _facing(coarse: CoarseFit, model: MorphableModel, template: MediumTemplate) -> Float[Array, "handles"]:
    """Cosine of the angle between the surface at each handle and the line of sight."""
    normals = handle_positions(vertex_normals(coarse.vertices_mm, model.triangles), deformable=template.deformable)
    return matmul(normalise(normals), rotation_matrix(coarse.pose.rotation_vector)[2])


def _residual_px(vertices_mm, coarse, landmarks, pull, template, camera) -> Float[Array, ""]:
    """Trust-weighted rms distance between handles and landmarks on the image."""
    handles = handle_positions(vertices_mm, deformable=template.deformable)
    seen = project(handles, coarse.pose, camera=camera)[:, :2]
    ids = template.landmark_ids
    trust = pull.trust[: ids.shape[0]]
    apart = jnp.where((trust > 0)[:, None], seen[: ids.shape[0]] - landmarks.points_px[ids], 0.0)
    return jnp.sqrt(jnp.sum(trust[:, None] * apart * apart) / jnp.maximum(jnp.sum(trust), 1e-9))
