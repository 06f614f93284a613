"""What can be judged without truth: each function compares a stage with the one before and returns figures and, if
the stage should be left out, a sentence that says why (else an empty one). Host side."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxface.geometry.normals import depth_normals
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.types import CoarseFit, FineMaps, MediumFit

# Limits are generous: they catch broken results, not unusual faces.
MAX_COARSE_RESIDUAL = 0.08  # of the face's height; a model that cannot explain the landmarks
MAX_COEFFICIENT = 8.0  # standard deviations
MAX_STRAYING = 2.0  # a refined fit's landmark residual over that of the fit before
MAX_MEDIUM_MOVE_MM = 25.0
MAX_FLIPPED = 0.005  # share of triangles whose normal turns over
MAX_FINE_MOVE = 0.05  # of the crop's side, rms
MAX_TURN_DEGREES = 30.0  # mean angle between medium and fine normals
WORSE = 1.02  # a residual this much above the one before counts as worse

Verdict = tuple[dict[str, float], str]


def check_coarse(fit: CoarseFit, *, face_px: float) -> Verdict:
    """Did the landmark fit converge to a human face?"""
    residual = float(fit.residual_px) / max(face_px, 1e-6)
    largest = float(np.max(np.abs(fit.identity), initial=0.0))
    figures = {"residual_px": float(fit.residual_px), "residual_share": residual, "largest_coefficient": largest}
    if not bool(fit.finite):
        return figures, "the fit did not stay finite"
    if residual > MAX_COARSE_RESIDUAL:
        return figures, f"the landmarks do not look like a face: off by {100 * residual:.0f} % of its height"
    if largest > MAX_COEFFICIENT:
        return figures, f"a shape coefficient reached {largest:.1f} standard deviations"
    return figures, ""


def check_refined(fit: CoarseFit, before: CoarseFit, *, face_px: float, residuals: np.ndarray) -> Verdict:
    """Did the skin's shading help without leaving the landmarks? `residuals`: how far the photo is from the shading of
    the fit before and of this one."""
    figures, reason = check_coarse(fit, face_px=face_px)
    figures |= {"shading_residual_before": float(residuals[0]), "shading_residual": float(residuals[1])}
    if reason:
        return figures, reason
    if fit.residual_px > MAX_STRAYING * before.residual_px + 0.002 * face_px:
        return figures, "it left the landmarks"
    if not residuals[1] <= residuals[0]:
        return figures, "its shading explains the photo no better than the landmark fit's"
    return figures, ""


def _flipped(before_mm: np.ndarray, after_mm: np.ndarray, triangles: np.ndarray) -> float:
    def face_normals(vertices):
        a, b, c = (vertices[triangles[:, k]] for k in range(3))
        return np.cross(b - a, c - a)

    return float(np.mean(np.sum(face_normals(before_mm) * face_normals(after_mm), axis=1) <= 0.0))


def check_medium(fit: MediumFit, coarse: CoarseFit, *, triangles: np.ndarray, residuals: np.ndarray) -> Verdict:
    """Did the deformation help without tearing the surface? `residuals`: of the coarse and of the medium shape, how far
    the photo is from their shading; misplaced landmarks raise it."""
    before, after = np.asarray(coarse.vertices_mm), np.asarray(fit.vertices_mm)
    move = float(np.max(np.linalg.norm(after - before, axis=1)))
    flipped = _flipped(before, after, triangles)
    figures = {"residual_px": float(fit.residual_px), "largest_move_mm": move, "flipped_share": flipped}
    if not (bool(fit.finite) and np.isfinite(after).all()):
        return figures, "the deformation did not stay finite"
    if move > MAX_MEDIUM_MOVE_MM:
        return figures, f"a vertex moved by {move:.0f} mm, more than faces differ"
    if flipped > MAX_FLIPPED:
        return figures, f"{100 * flipped:.1f} % of the triangles turned over"
    energies = np.asarray(fit.energies)
    if energies[-1] > energies[0] * WORSE:
        return figures, "the energy rose instead of falling"
    figures |= {"shading_residual_coarse": float(residuals[0]), "shading_residual": float(residuals[1])}
    if residuals[1] > residuals[0]:
        return figures, "its shading explains the photo worse than the coarse shape's"
    return figures, ""


def check_detail(maps: FineMaps, displacement_mm: np.ndarray) -> Verdict:
    """Did the height map's change reach the mesh? A mesh that would fold over keeps the medium shape."""
    largest = float(np.max(np.abs(displacement_mm)))
    changed = float(np.max(np.abs(np.asarray(maps.height_px) - np.asarray(maps.medium_height_px)))) > 0.0
    figures = {"largest_mm": largest}
    return figures, "the displaced mesh would fold over" if changed and largest == 0.0 else ""


@jax.jit
def photometric_residual(maps: FineMaps, height_px: Array, image: Array) -> Array:
    """Confidence-weighted rms of I' - I with the estimated light, albedo and specular, for any height map."""
    rendered = render(maps.albedo, shading(depth_normals(height_px), maps.light), maps.specular)
    weight = maps.confidence[..., None] ** 2
    return jnp.sqrt(jnp.sum(weight * (rendered - image) ** 2) / jnp.maximum(3.0 * jnp.sum(weight), 1e-6))


@jax.jit
def phase_figures(maps: FineMaps, after_px: Array, image: Array) -> dict[str, Array]:
    """What is known of a refined height map without truth: pure, so that it can run beside the stage itself."""
    kept = maps.confidence > 0.5
    count = jnp.maximum(jnp.sum(kept), 1)
    cosine = jnp.sum(depth_normals(maps.medium_height_px) * depth_normals(after_px), axis=-1)
    turn = jnp.sum(jnp.where(kept, jnp.arccos(jnp.clip(cosine, -1.0, 1.0)), 0.0)) / count
    move = jnp.sqrt(jnp.sum(jnp.where(kept, (after_px - maps.medium_height_px) ** 2, 0.0)) / count)
    return {
        "finite": maps.finite & jnp.all(jnp.isfinite(after_px)),
        "skin_share": jnp.mean(kept.astype(jnp.float32)),
        "residual_medium": photometric_residual(maps, maps.medium_height_px, image),
        "residual": photometric_residual(maps, after_px, image),
        "turn_degrees": jnp.degrees(turn),
        "move_share": move / image.shape[0],
    }


# What must hold, on floats and on traced arrays alike, and what to say where it does not.
_PHASE_LIMITS = (
    (lambda f: f["finite"], "the optimisation did not stay finite"),
    (
        lambda f: f["skin_share"] >= 0.02,
        "too little skin is seen to judge shading: the face is covered, dark or turned away",
    ),
    (lambda f: f["residual"] <= f["residual_medium"] * WORSE, "it explains the photo worse than the medium shape"),
    (
        lambda f: f["turn_degrees"] <= MAX_TURN_DEGREES,
        "its normals left the medium shape by {turn_degrees:.0f} degrees on average",
    ),
    (lambda f: f["move_share"] <= MAX_FINE_MOVE, "it moved far from the medium shape"),
)


def phase_holds(figures: dict[str, Array]) -> Array:
    """Whether a refined height map passes all limits."""
    return jnp.all(jnp.stack([jnp.asarray(holds(figures)) for holds, _ in _PHASE_LIMITS]))


def phase_reason(figures: dict[str, Array]) -> str:
    """The first limit that a refined height map does not keep, as a sentence; empty if it keeps all."""
    return next((say.format(**figures) for holds, say in _PHASE_LIMITS if not bool(holds(figures))), "")


def check_phase(maps: FineMaps, after_px: np.ndarray, *, image: np.ndarray) -> Verdict:
    """Does a refined height map explain the photo better than the medium shape, and stay near it?

    Both phases are held against the medium shape: the second trades some of the image term for finer gradients.
    """
    figures = {name: float(value) for name, value in phase_figures(maps, after_px, image).items()}
    known = {name: value for name, value in figures.items() if name != "finite" and np.isfinite(value)}
    return known, phase_reason(figures)
