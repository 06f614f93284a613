"""Height maps against the truth on the same crop."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from common import truth
from common.faces import Truth

from jaxface.evaluation.metrics import normal_error_degrees, rmse
from jaxface.rendering.camera import crop_points
from jaxface.types import Crop, FineMaps

KEPT = 0.9  # share of the points that the alignment listens to, as in `align_surface`


def crop_truth(face: Truth, crop: Crop) -> Truth:
    """The truth as the crop sees it; its picture stays the photograph."""

    def place(points):
        return jnp.concatenate([crop_points(points[:, :2], crop), crop.zoom * points[:, 2:]], axis=1)

    return dataclasses.replace(
        face,
        vertices_px=place(face.vertices_px),
        smooth_px=place(face.smooth_px),
        px_per_mm=face.px_per_mm * float(crop.zoom),
    )


def distances_mm(field: truth.Field, height_px: np.ndarray) -> np.ndarray:
    """Distances of a height map from the true surface along the latter's normals, one a pixel of the mask.

    Small similarity motions, of which a photograph shows little, are taken out in least squares: one Gauss-Newton step
    of point-to-plane alignment, then another on the nearest `KEPT` of the points.
    """
    rows, columns = np.nonzero(field.mask)
    truth_px, normals = field.view.height_px[field.mask], field.view.normals_image[field.mask].astype(np.float64)
    points = np.stack([columns, rows, truth_px], axis=1) - np.mean([columns, rows, truth_px], axis=1)[None, :]
    along = normals[:, 2] * (height_px[field.mask].astype(np.float64) - truth_px)
    turned = np.cross(points, normals)
    enlarged = np.sum(points * normals, axis=1, keepdims=True)
    motions = np.concatenate([normals, turned, enlarged], axis=1)  # what each small motion adds along the normals
    motions[:, 3:] /= np.max(np.abs(points))  # all columns of about the same size
    near = np.arange(len(along))
    for _ in range(2):
        motion = np.linalg.lstsq(motions[near], along[near])[0]
        rest = np.abs(along - motions @ motion)
        near = np.argsort(rest, kind="stable")[: max(7, round(KEPT * len(rest)))]
    return rest / field.px_per_mm


def errors(field: truth.Field, maps: FineMaps) -> dict[str, float]:
    """Mean angle between the normals, and RMSE; NaN where the stage broke down."""
    if not bool(maps.finite):
        return dict.fromkeys(truth.METRICS, float("nan"))
    seen = field._replace(mask=field.mask & (np.asarray(maps.mask) > 0.5))
    degrees = normal_error_degrees(np.asarray(maps.normals_image), seen.view.normals_image, mask=seen.mask)
    return {"normal_degrees": degrees, "rmse_mm": rmse(distances_mm(seen, np.asarray(maps.height_px)))}
