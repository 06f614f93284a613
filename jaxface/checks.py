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


def check_phase(maps: FineMaps, after_px: np.ndarray, *, image: np.ndarray) -> Verdict:
    """Does a refined height map explain the photo better than the medium shape, and stay near it?

    Both phases are held against the medium shape: the second trades some of the image term for finer gradients.
    """
    kept = np.asarray(maps.confidence) > 0.5
    medium = np.asarray(maps.medium_height_px)
    figures = {"skin_share": float(kept.mean())}
    if not (bool(maps.finite) and np.isfinite(after_px).all()):
        return figures, "the optimisation did not stay finite"
    if kept.mean() < 0.02:
        return figures, "too little skin is seen to judge shading: the face is covered, dark or turned away"
    cosine = np.sum(np.asarray(depth_normals(medium)) * np.asarray(depth_normals(after_px)), axis=-1)
    turn = float(np.degrees(np.mean(np.arccos(np.clip(cosine[kept], -1.0, 1.0)))))
    move = float(np.sqrt(np.mean((after_px - medium)[kept] ** 2)) / image.shape[0])
    residuals = [float(photometric_residual(maps, h, image)) for h in (medium, after_px)]
    figures |= {"residual_medium": residuals[0], "residual": residuals[1], "turn_degrees": turn, "move_share": move}
    if residuals[1] > residuals[0] * WORSE:
        return figures, "it explains the photo worse than the medium shape"
    if turn > MAX_TURN_DEGREES:
        return figures, f"its normals left the medium shape by {turn:.0f} degrees on average"
    if move > MAX_FINE_MOVE:
        return figures, "it moved far from the medium shape"
    return figures, ""
