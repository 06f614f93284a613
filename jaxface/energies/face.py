"""All that a photo says of a coarse face, as residuals: landmarks, the skin's shading, and the model's statistics."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxface.energies.landmarks import (
    FaceUnknowns,
    Handles,
    Targets,
    gap_residuals,
    landmark_offsets_mm,
    landmark_residuals,
    make_handles,
    make_targets,
)
from jaxface.energies.skin import SkinPatches, SkinTarget, SkinView, light_skin, skin_residuals, view_skin
from jaxface.energies.trust import LandmarkTrust, Scalar
from jaxface.imaging.filters import gaussian_blur, sample
from jaxface.morphable.linear import face_shape
from jaxface.rendering.camera import crop_points
from jaxface.types import Camera, CoarseFit, Crop, Landmarks, MorphableModel, Region

_SKIN_BLUR = 1.0 / 256.0  # of the crop's side: pores are no shape of a morphable model


class CoarseWeights(NamedTuple):
    """Noise and priors of the coarse fit, as standard deviations.

    `landmark_mm` is the error of one landmark about the model, if `independent` of them were given: errors of dense
    landmarks are correlated. `outlier_mm` is their Geman-McClure scale. `gap_mm` is the error of an
    opening between lids or lips, counted alike. `blendshape` is the usual size of a
    blendshape coefficient. The skin's brightness spreads about its shading by the share `skin_spread`; all of it
    counts as `skin_independent` patches, and `skin_outlier` spreads are its Geman-McClure scale. Normals that a network
    sees err by its own spread, but never by less than `normal_least` radians; `normal_independent` and `normal_outlier`
    as with the skin.
    """

    trust: LandmarkTrust
    landmark_mm: Scalar
    independent: Scalar
    outlier_mm: Scalar
    gap_mm: Scalar
    blendshape: Scalar
    skin_spread: Scalar
    skin_independent: Scalar
    skin_outlier: Scalar
    normal_least: Scalar
    normal_independent: Scalar
    normal_outlier: Scalar


class Evidence(NamedTuple):
    """One photo: its landmarks, and its `crop` blurred."""

    targets: Targets
    smooth: Float[Array, "size size 3"]
    crop: Crop
    camera: Camera


class Held(NamedTuple):
    """What stays as it is while a solver moves the face a little."""

    handles: Handles
    light: SkinTarget


def make_evidence(
    landmarks: Landmarks,
    window: Float[Array, "size size 3"],
    crop: Crop,
    camera: Camera,
    *,
    model: MorphableModel,
    px_per_mm: Float[Array, ""],
) -> Evidence:
    """`window` is the photo's `crop`; `px_per_mm` turns the landmarks' distances into millimetres."""
    smooth = gaussian_blur(window, sigma=max(_SKIN_BLUR * window.shape[0], 0.5))
    return Evidence(make_targets(landmarks, model=model, px_per_mm=px_per_mm), smooth, crop, camera)


def hold(
    x: FaceUnknowns, evidence: Evidence, patches: SkinPatches, *, model: MorphableModel, weights: CoarseWeights
) -> Held:
    """Landmark handles and the light of the skin where the face stands."""
    view, colours = _look(x, evidence, patches, model)
    light = light_skin(view, colours, area=patches.area)
    return Held(handles_at(x, evidence.targets, evidence.camera, model=model, weights=weights), light)


def handles_at(
    x: FaceUnknowns, targets: Targets, camera: Camera, *, model: MorphableModel, weights: CoarseWeights
) -> Handles:
    """Where the landmarks sit on the model near `x`."""
    return make_handles(x, targets, model=model, camera=camera, trust=weights.trust, independent=weights.independent)


def landmark_terms(
    x: FaceUnknowns,
    handles: Handles,
    targets: Targets,
    camera: Camera,
    *,
    model: MorphableModel,
    weights: CoarseWeights,
    tolerance: Float[Array, ""] | float = 1.0,
) -> Float[Array, "residuals"]:
    """Landmarks, the openings between them and the prior of the expression; `tolerance` widens the outliers' scale."""
    see, outlier_mm = (x, handles, targets, camera), tolerance * weights.outlier_mm
    data = landmark_residuals(*see, landmark_mm=weights.landmark_mm, outlier_mm=outlier_mm)
    gaps = gap_residuals(*see, gap_mm=weights.gap_mm, outlier_mm=outlier_mm)
    blendshapes = model.expression_bounds[0] == 0.0
    return jnp.concatenate([data, gaps, x.expression / (weights.blendshape if blendshapes else 1.0)])


def face_residuals(
    x: FaceUnknowns,
    held: Held,
    evidence: Evidence,
    patches: SkinPatches,
    *,
    model: MorphableModel,
    weights: CoarseWeights,
) -> Float[Array, "residuals"]:
    """Landmarks, expression and skin; the prior of the identity is x.identity itself and belongs to the person."""
    terms = landmark_terms(x, held.handles, evidence.targets, evidence.camera, model=model, weights=weights)
    view, colours = _look(x, evidence, patches, model)
    skin = skin_residuals(
        view, colours, held.light, spread=weights.skin_spread, independent=weights.skin_independent,
        outlier=weights.skin_outlier,
    )  # fmt: skip
    return jnp.concatenate([terms, skin])


def box(x: FaceUnknowns, *, model: MorphableModel) -> tuple[FaceUnknowns, FaceUnknowns]:
    """Bounds of the unknowns: those of the model's expressions."""
    free = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.inf), x)
    low, high = (jnp.full_like(x.expression, bound) for bound in model.expression_bounds)
    return jax.tree.map(jnp.negative, free)._replace(expression=low), free._replace(expression=high)


def make_fit(
    x: FaceUnknowns,
    targets: Targets,
    camera: Camera,
    *,
    model: MorphableModel,
    weights: CoarseWeights,
    finite: Bool[Array, ""],
) -> CoarseFit:
    """The unknowns with the shape they make and the landmarks' residual."""
    handles = handles_at(x, targets, camera, model=model, weights=weights)
    squares = jnp.sum(landmark_offsets_mm(x, handles, targets, camera) ** 2, axis=1)
    confidence = jnp.where(model.landmark_regions == Region.EYE_OPENING, 0.0, handles.confidence)  # gaze is no fit
    mean_square = jnp.sum(confidence * squares) / jnp.maximum(jnp.sum(confidence), 1e-6)
    return CoarseFit(
        identity=x.identity,
        expression=x.expression,
        pose=x.pose,
        vertices_mm=face_shape(x.identity, x.expression, model=model),
        residual_px=jnp.sqrt(mean_square) * targets.px_per_mm,
        finite=finite,
    )


def _look(
    x: FaceUnknowns, evidence: Evidence, patches: SkinPatches, model: MorphableModel
) -> tuple[SkinView, Float[Array, "patches 3"]]:
    corners_mm = face_shape(x.identity, x.expression, model=model)[patches.triangles]
    view = view_skin(corners_mm, x.pose, camera=evidence.camera)
    return view, sample(evidence.smooth, crop_points(view.middles_px, evidence.crop))
