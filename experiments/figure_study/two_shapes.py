"""Coarse and medium shape of one photo, whether the pipeline would keep the latter or not. Parts of
medium_vs_coarse.py."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from common import closeups, faces, program, report, truth
from common.runner import Setup

from jaxface.detection.sources import find_landmarks
from jaxface.morphable.linear import landmark_positions
from jaxface.presets import PRESETS
from jaxface.rendering.camera import crop_points, project
from jaxface.types import Crop, FaceError, Landmarks, MorphableModel, Region

_FEATURES = {
    "right eye": (-1, (Region.EYE, Region.EYEBROW)),
    "left eye": (1, (Region.EYE, Region.EYEBROW)),
    "nose": (0, (Region.NOSE,)),
    "mouth": (0, (Region.MOUTH,)),
}  # fmt: skip
_SEEN = 0.05  # confidence from which a landmark counts


class Shapes(NamedTuple):
    """The face after the coarse stage, its shapes by stage (vertices in mm, object frame), and whether the pipeline's
    check would go on with the medium one."""

    face: program.Face
    vertices_mm: dict[str, np.ndarray]
    kept: bool


def fit_shapes(image: np.ndarray, landmarks: Landmarks, model: MorphableModel, *, preset: str, size: int) -> Shapes:
    """Both stages with a preset's settings. Raises FaceError where a fit does not stay finite."""
    chosen, face = PRESETS[preset](size=size), program.locate(image, landmarks, model, size=size)
    face = program.shade(face, model) if chosen.coarse_shading else face
    medium_mm, objection = program.deform(face, model, chosen)
    found = {"coarse": np.asarray(face.fit.vertices_mm), "medium": np.asarray(medium_mm)}
    if not all(np.isfinite(vertices_mm).all() for vertices_mm in found.values()):
        raise FaceError(f"The face could not be fitted with the preset {preset}: take a photo with a larger face.")
    return Shapes(face, found, not objection)


def measure(case: faces.Case, setup: Setup) -> list[dict]:
    """A record for each kind of landmarks and preset, all on the same pixels. Raises FaceError without a face."""
    face, size = faces.default_truth(case, size=setup.size, seed=setup.seed), setup.size
    kinds = {"true": face.landmarks, "detected": find_landmarks(face.image)[0]}
    fits = {
        (kind, preset): fit_shapes(face.image, landmarks, setup.model, preset=preset, size=size)
        for kind, landmarks in kinds.items()
        for preset in PRESETS
    }
    triangles = truth.face_triangles(setup.model)
    shapes = {
        name: {
            stage: truth.place(vertices_mm, triangles, each.face.fit.pose, each.face.camera, size=size)
            for stage, vertices_mm in each.vertices_mm.items()
        }
        for name, each in fits.items()
    }
    return [
        {"landmarks": kind, "preset": preset} | stages | {"kept": fits[kind, preset].kept}
        for (kind, preset), stages in truth.errors(face, shapes, size=size).items()
    ]


class Points(NamedTuple):
    """Landmarks that the model has and the detector sees, in image pixels: detected, and on each stage's mesh."""

    indices: np.ndarray
    detected_px: np.ndarray
    meshes_px: dict[str, np.ndarray]


def points(shapes: Shapes, landmarks: Landmarks, model: MorphableModel) -> Points:
    """Where the landmarks are, and where they should be."""
    known = np.asarray(model.landmark_barycentrics).sum(axis=1) > 0
    indices = np.flatnonzero(known & (np.asarray(landmarks.confidence) > _SEEN))
    meshes = {}
    for stage, vertices_mm in shapes.vertices_mm.items():
        places_mm = landmark_positions(jnp.asarray(vertices_mm), model=model)
        places_px = project(places_mm, shapes.face.fit.pose, camera=shapes.face.camera)
        meshes[stage] = np.asarray(places_px)[indices, :2]
    return Points(indices, np.asarray(landmarks.points_px)[indices], meshes)


def features(found: Points, model: MorphableModel) -> dict[str, np.ndarray]:
    """By name, which of the points belong to eyes (with brows), nose and mouth."""
    places_mm = np.asarray(landmark_positions(model.mean_mm, model=model))[found.indices]
    regions = np.asarray(model.landmark_regions)[found.indices]
    masks = {}
    for name, (side, wanted) in _FEATURES.items():
        masks[name] = np.isin(regions, wanted) & (side * places_mm[:, 0] >= 0)
    return {name: mask for name, mask in masks.items() if mask.sum() >= 3}


def distances_mm(found: Points, shapes: Shapes, model: MorphableModel) -> dict[str, dict[str, float]]:
    """How far each stage's points are from the detected ones in the image, rms, by feature."""
    px_per_mm = float(np.exp(shapes.face.fit.pose.log_scale))
    apart_mm = {
        stage: np.linalg.norm(points_px - found.detected_px, axis=1) / px_per_mm
        for stage, points_px in found.meshes_px.items()
    }
    return {
        feature: {stage: float(np.sqrt(np.mean(apart[mask] ** 2))) for stage, apart in apart_mm.items()}
        for feature, mask in features(found, model).items()
    }


def to_crop(points_px: np.ndarray, crop: Crop) -> np.ndarray:
    """Image pixels to the crop's."""
    return np.asarray(crop_points(jnp.asarray(points_px), crop))


def draw(image: np.ndarray, setup: Setup) -> tuple[dict, dict, list]:
    """A row for each preset, about the feature that the coarse shape misses most; how far the landmarks are off. Raises
    FaceError without a face."""
    landmarks, model, size = find_landmarks(image)[0], setup.model, setup.size
    fits = {preset: fit_shapes(image, landmarks, model, preset=preset, size=size) for preset in PRESETS}
    rows, captions, distances, window = {}, {}, [], None
    for preset, shapes in fits.items():
        found = points(shapes, landmarks, model)
        apart = distances_mm(found, shapes, model)
        if window is None:  # one for all presets
            focus = max(apart, key=lambda feature: apart[feature]["coarse"])
            inside = found.detected_px[features(found, model)[focus]]
            window = closeups.around(to_crop(inside, shapes.face.crop), margin=1.2)
        rows[preset] = pictures(shapes, found, window, model, size=size)
        texts = {f"{stage}, close-up": f"{off_mm:.2f} mm off" for stage, off_mm in apart[focus].items()}
        captions[preset] = texts | {"photo": focus}
        distances.append({"preset": preset, "focus": focus, "landmarks_off_mm": apart})
    return rows, captions, distances


def pictures(
    shapes: Shapes, found: Points, window: closeups.Window, model: MorphableModel, *, size: int
) -> dict[str, np.ndarray]:
    """One row of the figure: the photo with a box; both shapes, whole and from near with dots: green as detected,
    orange on the mesh."""
    face = shapes.face
    seen = closeups.Seen(face.fit.pose, face.camera, face.crop)
    near = seen._replace(crop=closeups.zoom_in(face.crop, window, size=size))
    whole, close = {}, {}
    for stage, vertices_mm in shapes.vertices_mm.items():
        whole[stage] = closeups.clay(vertices_mm, model.triangles, seen, size=size)
        layers = {closeups.GREEN: found.detected_px, closeups.ORANGE: found.meshes_px[stage]}
        layers = {colour: to_crop(points_px, near.crop) for colour, points_px in layers.items()}
        picture = closeups.clay(vertices_mm, model.triangles, near, size=size)
        close[f"{stage}, close-up"] = closeups.dotted(picture, layers)
    photo = closeups.boxed(np.asarray(face.window), window)
    return {"photo": photo, "coarse": whole["coarse"], **close, "medium": whole["medium"]}


def summarise(records: list[dict]) -> list[dict]:
    """Means for each kind of landmarks and preset, and the share of cases in which medium lies below coarse."""
    rows = []
    for row in report.means(records, "landmarks", "preset"):
        mine = [r for r in records if (r["landmarks"], r["preset"]) == (row["landmarks"], row["preset"])]
        row["kept_share"] = float(np.mean([r["kept"] for r in mine]))
        for metric in truth.METRICS:
            coarse, medium = (np.array([r[stage][metric] for r in mine]) for stage in ("coarse", "medium"))
            lower = float(np.mean(medium < coarse))
            row[metric] = {"coarse": float(coarse.mean()), "medium": float(medium.mean()), "lower_share": lower}
        rows.append(row)
    return rows


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    cells = [["landmarks", "preset", "cases"]]
    for title in truth.METRICS.values():
        cells[0] += [f"{title}, coarse", "medium", "medium lower in"]
    cells[0] += ["kept in"]
    for row in rows:
        found = [report.cell(row[metric][key], ".2f") for metric in truth.METRICS for key in ("coarse", "medium")]
        lower = [report.cell(row[metric]["lower_share"], "share") for metric in truth.METRICS]
        figures = [*found[:2], lower[0], *found[2:], lower[1], report.cell(row["kept_share"], "share")]
        cells.append([row["landmarks"], row["preset"], str(row["cases"]), *figures])
    return report.format_table(cells)
