"""What can be judged without truth. A stage computes figures beside its result, inside its program; the table here says
what must hold of them, for a photo and for a frame of a clip alike, and what to say where it does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.energies.scene import Scene
from jaxface.energies.slopes import slope_misfit
from jaxface.geometry.normals import depth_normals
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.types import CoarseFit, MediumFit

Figures = dict[str, Array]

_WORSE = 1.02  # a residual this much above the one before counts as worse


class Limit(NamedTuple):
    """`holds` of the figures, on floats and on traced arrays alike; `reason` is a format string over the figures."""

    holds: Callable[[Figures], Array | bool]
    reason: str


class Verdict(NamedTuple):
    """Figures, and the number of the first limit that they do not keep, which is that of limits if they keep all."""

    figures: Figures
    failed: Int[Array, ""]


# Limits are generous: they catch broken results, not unusual faces.
_FACE = (
    Limit(lambda f: f["finite"], "the fit did not stay finite"),
    Limit(
        lambda f: f["residual_share"] <= 0.08,
        "the landmarks do not look like a face: off by {residual_share:.0%} of its height",
    ),
    Limit(
        lambda f: f["largest_coefficient"] <= 8.0,
        "a shape coefficient reached {largest_coefficient:.1f} standard deviations",
    ),
)
_NEAR_LANDMARKS = Limit(
    lambda f: f["residual_px"] <= 2.0 * f["residual_before_px"] + 0.002 * f["face_px"], "it left the landmarks"
)
_PHASE = (
    Limit(lambda f: f["finite"], "the optimisation did not stay finite"),
    Limit(
        lambda f: f["skin_share"] >= 0.02,
        "too little skin is seen to judge shading: the face is covered, dark or turned away",
    ),
    # Both phases are held against the medium shape: the second trades some of the image term for finer gradients.
    Limit(
        lambda f: f["residual"] <= f["residual_medium"] * _WORSE, "it explains the photo worse than the medium shape"
    ),
    Limit(
        lambda f: f["turn_degrees"] <= 30.0,
        "its normals left the medium shape by {turn_degrees:.0f} degrees on average",
    ),
    Limit(lambda f: f["move_share"] <= 0.05, "it moved far from the medium shape"),  # of the crop's side, rms
)
LIMITS: dict[str, tuple[Limit, ...]] = {
    "regression": _FACE,
    "coarse": _FACE,
    "parsing": (Limit(lambda f: f["skin_share"] > 0.02, "the network sees no skin where the face is"),),
    "coarse normals": (
        *_FACE,
        _NEAR_LANDMARKS,
        Limit(lambda f: f["skin_share"] > 0.02, "the network sees no skin where the face is"),
        Limit(
            lambda f: f["normals_degrees"] <= f["normals_before_degrees"],
            "it is inclined away from the normals that the network sees",
        ),
    ),
    "coarse shading": (
        *_FACE,
        _NEAR_LANDMARKS,
        Limit(
            lambda f: f["shading_residual"] <= f["shading_residual_before"],
            "its shading explains the photo no better than the landmark fit's",
        ),
    ),
    "person": (  # a frame of a clip, with the identity of all of them
        _FACE[0],
        Limit(lambda f: f["turned_degrees"] <= 75.0, "the face is turned away"),
        Limit(lambda f: f["residual_share"] <= 0.08, "the landmarks do not look like this person's face"),
    ),
    "medium": (
        Limit(lambda f: f["finite"], "the deformation did not stay finite"),
        Limit(
            lambda f: f["largest_move_mm"] <= 25.0,
            "a vertex moved by {largest_move_mm:.0f} mm, more than faces differ",
        ),
        Limit(lambda f: f["flipped_share"] <= 0.005, "{flipped_share:.1%} of the triangles turned over"),
        Limit(lambda f: f["energy_ratio"] <= _WORSE, "the energy rose instead of falling"),
        Limit(
            lambda f: f.get("shading_residual", 0.0) <= f.get("shading_residual_before", 0.0),
            "its shading explains the photo worse than the coarse shape's",
        ),
        Limit(
            lambda f: f.get("normals_degrees", 0.0) <= f.get("normals_before_degrees", 0.0),
            "it is inclined away from the normals that the network sees",
        ),
    ),
    "learned normals": (
        Limit(lambda f: f["counts"] > 0.0, "the frame does not count"),
        Limit(lambda f: f["finite"], "what the network says of the normals is not finite"),
        Limit(lambda f: f["skin_share"] > 0.02, "the network sees no skin where the face is"),
    ),
    "light and albedo": (
        Limit(lambda f: f["counts"] > 0.0, "the frame does not count"),
        Limit(lambda f: f["finite"], "the optimisation did not stay finite"),
    ),
    "fine phase 1": _PHASE,
    "fine phase 2": _PHASE,
    "detail": (
        Limit(
            lambda f: (f["change_px"] == 0.0) | (f["change_px"] > 0.0) & (f["largest_mm"] > 0.0),
            "the displaced mesh would fold over",
        ),
    ),
}


def judge(name: str, figures: Figures) -> Verdict:
    """Holds the figures of a stage against its limits; pure, so that it can run beside the stage itself."""
    kept = [jnp.asarray(limit.holds(figures), bool) for limit in LIMITS[name]]
    return Verdict(figures, jnp.argmin(jnp.stack([*kept, jnp.array(False)])))


def holds(name: str, verdict: Verdict) -> Array:
    """Whether a stage keeps all of its limits."""
    return verdict.failed == len(LIMITS[name])


def reason(name: str, verdict: Verdict) -> str:
    """The first limit that a stage does not keep, as a sentence; empty if it keeps all (host side)."""
    limits, failed = LIMITS[name], int(verdict.failed)
    figures = {key: float(value) for key, value in verdict.figures.items()}
    return limits[failed].reason.format(**figures) if failed < len(limits) else ""


def face_figures(fit: CoarseFit, *, face_px: Float[Array, ""]) -> Figures:
    """Did a fit converge to a human face? `face_px` is the longer side of the face in the image."""
    return {
        "finite": fit.finite,
        "residual_px": fit.residual_px,
        "residual_share": fit.residual_px / jnp.maximum(face_px, 1e-6),
        "largest_coefficient": jnp.max(jnp.abs(fit.identity), initial=0.0),
    }


def deformation_figures(
    fit: MediumFit, before_mm: Float[Array, "vertices 3"], *, triangles: Int[Array, "faces 3"]
) -> Figures:
    """Did a deformation keep the surface whole?"""
    move_mm = jnp.sqrt(jnp.max(jnp.sum((fit.vertices_mm - before_mm) ** 2, axis=1)))
    return {
        "finite": fit.finite & jnp.all(jnp.isfinite(fit.vertices_mm)),
        "residual_px": fit.residual_px,
        "largest_move_mm": move_mm,
        "flipped_share": _flipped_share(before_mm, fit.vertices_mm, triangles),
        "energy_ratio": fit.energies[-1] / jnp.maximum(fit.energies[0], 1e-12),
    }


def phase_figures(scene: Scene, height_px: Float[Array, "height width"]) -> Figures:
    """What is known of a refined height map, as it will be shown. `residual` is what the evidence that led it asks for
    in vain: the photo, or a network's slopes."""
    kept, medium_px = scene.mask > 0.5, scene.initial_height_px
    count = jnp.maximum(jnp.sum(kept), 1)
    cosine = jnp.sum(depth_normals(medium_px) * depth_normals(height_px), axis=-1)
    turn = jnp.sum(jnp.where(kept, jnp.arccos(jnp.clip(cosine, -1.0, 1.0)), 0.0)) / count
    move = jnp.sqrt(jnp.sum(jnp.where(kept, (height_px - medium_px) ** 2, 0.0)) / count)
    return {
        "finite": scene.finite & jnp.all(jnp.isfinite(height_px)),
        "skin_share": jnp.mean(kept.astype(jnp.float32)),
        "residual_medium": _residual(scene, medium_px),
        "residual": _residual(scene, height_px),
        "turn_degrees": jnp.degrees(turn),
        "move_share": move / kept.shape[0],
    }


def _residual(scene: Scene, height_px: Array) -> Array:
    """Weighted rms of I' - I with the scene's light, albedo and specular, or of slopes, for any height map."""
    if scene.slopes is not None:
        return slope_misfit(height_px - scene.initial_height_px, scene.slopes)
    rendered = render(scene.albedo, shading(depth_normals(height_px), scene.light), scene.specular)
    weight = scene.mask[..., None] ** 2
    return jnp.sqrt(jnp.sum(weight * (rendered - scene.image) ** 2) / jnp.maximum(3.0 * jnp.sum(weight), 1e-6))


def _flipped_share(before_mm: Array, after_mm: Array, triangles: Array) -> Array:
    """Share of the triangles whose normal turns over."""

    def face_normals(vertices):
        a, b, c = (vertices[triangles[:, k]] for k in range(3))
        return jnp.cross(b - a, c - a)

    turned = jnp.sum(face_normals(before_mm) * face_normals(after_mm), axis=1) <= 0.0
    return jnp.mean(turned.astype(jnp.float32))
