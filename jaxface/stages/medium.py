"""Medium stage, Jin et al. (2021) Sec. 3.3: landmarks pull the coarse shape by Laplace deformation (Eqs. 2, 3).

`prepare` factorises Eq. 3 once for a template (host, float64). For the template's reference weights W0 let
B = L^T L + S^T W0 S, where S picks the M handles, and C = S B^-1 S^T = Q diag(c) Q^T. With K = B^-1 S^T Q diag(c)^-1/2
and P = S K every optimum of Eq. 3, for any weights W, is v' = v + K y, and there Eq. 3 is a small quadratic:

  E(y) = y^T y - |P y|^2_W0 + |P y - r|^2_W,   half its Hessian  H = I + P^T (W - W0) P,   r = mu - S v.

`run` lets Adam find the optimum of the full energy; `linear_response` solves H y = P^T W r.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxface.energies.laplacian import Deformable, DeformationWeights, handle_positions, laplacian_energy
from jaxface.energies.trust import landmark_trust, region_trust
from jaxface.geometry import topology as topologies
from jaxface.geometry.laplace_coordinates import handle_matrix, handle_response
from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.linear import has_landmark
from jaxface.morphable.pose import rotation_matrix
from jaxface.numerics import matmul, normalise, safe_norm
from jaxface.rendering.camera import project, unproject
from jaxface.solvers.adam import cosine_rates, minimise
from jaxface.types import Camera, CoarseFit, Landmarks, MediumFit, MorphableModel, Part


class MediumTemplate(NamedTuple):
    """What depends on topology and handles only. `basis` is K and `handle_basis` P of the module's head.

    `landmark_ids` are the landmarks that the model has on its skin, one per handle.
    """

    deformable: Deformable
    landmark_ids: Int[Array, "handles"]
    reference_weights: Float[Array, "handles"]
    basis: Float[Array, "vertices handles"]
    handle_basis: Float[Array, "handles handles"]


class Pull(NamedTuple):
    """One frame's mu (object frame, mm) and w of Eq. 3; `trust` is w without the anchor."""

    targets_mm: Float[Array, "handles 3"]
    weights: Float[Array, "handles"]
    trust: Float[Array, "handles"]


FIRST_STEP = 0.2  # Adam's rate at the start of a round, as a share of the way to the optimum
SHORTEST = 0.1  # of the typical way: no unknown is held stiller than this
ROBUST_ROUNDS = 3


def prepare(model: MorphableModel, *, weights: DeformationWeights) -> MediumTemplate:
    """Factorises the template (host, float64; once per model: keep the result).

    `weights` are the reference only: `run` is exact for any others. Handles are landmarks on the skin; eyes, teeth and
    whatever else is a piece of its own keep their shape and shift with the handles nearest to them.
    """
    triangles, num_vertices = np.asarray(model.triangles), model.mean_mm.shape[0]
    barycentrics = np.asarray(model.landmark_barycentrics, np.float64)
    parts = np.asarray(model.vertex_parts)
    corners = triangles[np.asarray(model.landmark_triangles)]
    ids = np.flatnonzero(has_landmark(model) & (parts[corners[:, 0]] == Part.SKIN))
    corners, barycentrics = corners[ids], barycentrics[ids]
    handles = handle_matrix(corners, barycentrics, num_vertices=num_vertices)
    reference = region_trust(model.landmark_regions, trust=weights.trust)[ids] + weights.anchor
    reference = reference / weights.stiffness
    response = handle_response(
        triangles, np.asarray(model.mean_mm, np.float64), pieces=_pieces(triangles, parts), handles=handles,
        weights=np.asarray(reference, np.float64),
    )  # fmt: skip
    coupling = handles @ response
    whitening = _inverse_root(coupling)
    topology = topologies.mesh_topology(triangles, num_vertices=num_vertices)
    return MediumTemplate(
        deformable=Deformable(
            neighbours=jnp.asarray(topology.neighbours),
            valence=jnp.asarray(topology.valence),
            handle_vertices=jnp.asarray(corners, jnp.int32),
            handle_barycentrics=jnp.asarray(barycentrics, jnp.float32),
        ),
        landmark_ids=jnp.asarray(ids, jnp.int32),
        reference_weights=jnp.asarray(reference, jnp.float32),
        basis=jnp.asarray(response @ whitening, jnp.float32),
        handle_basis=jnp.asarray(coupling @ whitening, jnp.float32),
    )


def _pieces(triangles: Int[np.ndarray, "faces 3"], parts: Int[np.ndarray, "vertices"]) -> Int[np.ndarray, "vertices"]:
    """Labels of what moves together: connected pieces, but all teeth of a jaw, and a tongue or an eye, as one."""
    pieces = topologies.components(triangles, num_vertices=len(parts))
    return np.where((parts == Part.SKIN) | (parts == Part.INSIDE), pieces, len(parts) + parts)


def run(
    coarse: CoarseFit,
    landmarks: Landmarks,
    *,
    model: MorphableModel,
    template: MediumTemplate,
    camera: Camera,
    weights: DeformationWeights,
    energy: Callable[..., Float[Array, ""]] = laplacian_energy,
    rounds: int = 4,
    steps_per_round: int = 12,
) -> MediumFit:
    """Deforms the coarse shape towards the landmarks (image pixels) with preconditioned Adam.

    `energy` may be `printed_laplacian_energy`; the preconditioner is made for the squared one.
    """
    initial_mm = coarse.vertices_mm
    pull = landmark_pull(coarse, landmarks, model=model, template=template, camera=camera, weights=weights)
    factor, _ = _reduced_problem(initial_mm, pull, template)

    def deform(white):
        answer = jax.scipy.linalg.solve_triangular(factor.T, white, lower=False)
        return initial_mm + matmul(template.basis, answer)

    def of_white(white):
        return energy(
            deform(white),
            initial_mm=initial_mm,
            targets_mm=pull.targets_mm,
            weights=pull.weights,
            deformable=template.deformable,
        )

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
    initial_mm: Float[Array, "vertices 3"], pull: Pull, *, template: MediumTemplate
) -> Float[Array, "vertices 3"]:
    """The exact optimum of the squared Eq. 3: a linear answer to the targets, for any weights."""
    factor, gradient = _reduced_problem(initial_mm, pull, template)
    answer = jax.scipy.linalg.cho_solve((factor, True), gradient)
    return initial_mm + matmul(template.basis, answer)


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
    points, confidence = landmarks.points_px[ids], landmarks.confidence[ids]
    here_mm = handle_positions(coarse.vertices_mm, deformable=template.deformable)
    here = project(here_mm, coarse.pose, camera=camera)
    points = jnp.where(confidence[:, None] > 0, points, here[:, :2])
    landmarks_mm = unproject(jnp.concatenate([points, here[:, 2:]], axis=1), coarse.pose, camera=camera)
    cosines = _facing(coarse, model, template)
    trust = landmark_trust(confidence, cosines, regions=model.landmark_regions[ids], trust=weights.trust)
    trust = trust / weights.stiffness

    def pull_of(trust):
        total = trust + weights.anchor / weights.stiffness
        targets_mm = here_mm + (trust / total)[:, None] * (landmarks_mm - here_mm)
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


def _facing(coarse: CoarseFit, model: MorphableModel, template: MediumTemplate) -> Float[Array, "handles"]:
    """Cosine of the angle between the surface at each handle and the line of sight."""
    normals = vertex_normals(coarse.vertices_mm, model.triangles)
    at_handles = normalise(handle_positions(normals, deformable=template.deformable))
    return matmul(at_handles, rotation_matrix(coarse.pose.rotation_vector)[2])


def _residual_px(vertices_mm, coarse, landmarks, pull, template, camera) -> Float[Array, ""]:
    """Trust-weighted rms distance between handles and landmarks on the image."""
    handles = handle_positions(vertices_mm, deformable=template.deformable)
    seen = project(handles, coarse.pose, camera=camera)[:, :2]
    apart = jnp.where((pull.trust > 0)[:, None], seen - landmarks.points_px[template.landmark_ids], 0.0)
    squares = jnp.sum(pull.trust[:, None] * apart * apart)
    return jnp.sqrt(squares / jnp.maximum(jnp.sum(pull.trust), 1e-9))


def _inverse_root(matrix: np.ndarray) -> np.ndarray:
    """Q diag(c)^-1/2 of a symmetric matrix; directions without content (handles given twice) get 0."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    usable = values > 1e-9 * values[-1]
    return vectors * np.where(usable, 1.0 / np.sqrt(np.where(usable, values, 1.0)), 0.0)
