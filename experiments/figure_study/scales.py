"""The medium shape and both phases of the fine stage: pictures of a photo, errors on faces of known shape. Parts of
multi_scale.py."""

import dataclasses

import numpy as np
from accuracy_study import compare
from common import closeups, faces, report
from common.runner import Setup
from scipy.ndimage import uniform_filter

from jaxface.detection.sources import find_landmarks
from jaxface.export.reconstruction import Reconstruction
from jaxface.geometry.normals import depth_normals
from jaxface.io.arrays import crop_window
from jaxface.pipeline import reconstruct
from jaxface.presets import PRESETS

# Meshes of a reconstruction by title.
MESHES = {"medium": "medium", "fine, phase 1": "phase1", "fine, phase 2": "fine"}
_COLUMNS = {
    "preset": ("preset", ""),
    "stage": ("stage", ""),
    "cases": ("cases", ""),
    "normal error (deg)": ("normal_degrees", ".2f"),
    "RMSE (mm)": ("rmse_mm", ".3f"),
    "hp relief, 2 mm": ("relief_hp2", ".3f"),
    "hp relief, 4 mm": ("relief_hp4", ".3f"),
    "hp height, 2 mm": ("height_hp2", ".3f"),
    "hp height, 4 mm": ("height_hp4", ".3f"),
    "normal error below the stage before in": ("lower_share", "share"),
}
_SHARE = 0.3  # of the crop's side, for close-ups


def busiest(rec: Reconstruction) -> closeups.Window:
    """The window of the crop in which the fine stage turned the skin's normals most."""
    maps = rec.maps
    cosine = np.sum(np.asarray(depth_normals(maps.medium_height_px)) * maps.normals_image, axis=-1)
    turned = maps.confidence * np.arccos(np.clip(cosine, -1.0, 1.0))
    size = len(turned)
    side = round(_SHARE * size)
    mean = uniform_filter(turned, side, mode="constant")
    inside = mean[side // 2 : size - side // 2, side // 2 : size - side // 2]
    top, left = np.unravel_index(np.argmax(inside), inside.shape)
    return closeups.Window(float(left), float(top), float(side))


def pictures(rec: Reconstruction, window: closeups.Window) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two rows of the figure: photo and shapes whole, the photo with a box; and the window of each from near."""
    size = len(rec.crop_image)
    seen = closeups.Seen(rec.coarse_fit.pose, rec.camera, rec.crop)
    near = seen._replace(crop=closeups.zoom_in(rec.crop, window, size=size))
    whole = {"photo": closeups.boxed(rec.crop_image, window)}
    close = {"photo": crop_window(rec.image, near.crop, size=size)}
    for title, name in MESHES.items():
        mesh = getattr(rec, name)
        whole[title] = closeups.clay(mesh.vertices_mm, mesh.triangles, seen, size=size)
        close[title] = closeups.clay(mesh.vertices_mm, mesh.triangles, near, size=size)
    return whole, close


def both_presets(image: np.ndarray, setup: Setup) -> dict[str, Reconstruction]:
    """A reconstruction with each preset, on the same landmarks. Raises FaceError without a face."""
    shared = dict(model=setup.model, landmarks=find_landmarks(image)[0], size=setup.size)
    return {preset: reconstruct(image, preset=preset, **shared) for preset in PRESETS}


def left_out(rec: Reconstruction) -> dict[str, str]:
    """Stages that gave way, and why."""
    return {stage.name: stage.reason for stage in rec.stages if stage.status != "ok"}


def draw(image: np.ndarray, setup: Setup) -> tuple[dict, dict, list]:
    """Two rows for each preset; stages that gave way."""
    recs, rows = both_presets(image, setup), {}
    window = busiest(recs["default"])
    for preset, rec in recs.items():
        rows[preset], rows[f"{preset}, close"] = pictures(rec, window)
    return rows, {}, [{"preset": preset, "left_out": left_out(rec)} for preset, rec in recs.items()]


def measure(case: faces.Case, setup: Setup) -> list[dict]:
    """A record for each preset: metrics of `compare.evaluate` by title of MESHES, all on the same pixels."""
    truth = faces.default_truth(case, size=setup.size, seed=setup.seed)
    recs, runs = both_presets(truth.image, setup), {}
    for preset, rec in recs.items():
        runs["", preset] = rec
        runs["phase 1", preset] = dataclasses.replace(rec, fine=rec.phase1)
    found = compare.evaluate(truth, runs, models={"": setup.model, "phase 1": setup.model}, detected=None)
    places = {"medium": ("", "medium"), "fine, phase 1": ("phase 1", "fine"), "fine, phase 2": ("", "fine")}
    return [
        {"preset": preset, "left_out": left_out(recs[preset])}
        | {"stages": {title: found[run, preset][stage] for title, (run, stage) in places.items()}}
        for preset in recs
    ]


def summarise(records: list[dict]) -> list[dict]:
    """Mean metrics for each preset and stage, and the share of cases in which its normal error is below the stage
    before's."""
    rows = []
    for record in records:
        before = None
        for title, metrics in record["stages"].items():
            lower = {} if before is None else {"lower_share": float(metrics["normal_degrees"] < before)}
            rows.append({"preset": record["preset"], "stage": title} | metrics | lower)
            before = metrics["normal_degrees"]
    return report.means(rows, "preset", "stage")


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    return report.table(rows, _COLUMNS)


def remarks(record: dict) -> list[str]:
    """Which stages gave way, in photos and rendered faces."""
    gone = {
        f"{each.get('photo') or each['case']}, {each['preset']}, {stage}": reason
        for each in [*record["photos_left_out"], *record.get("cases", [])]
        for stage, reason in each["left_out"].items()
    }
    return report.listed("Stages left out", gone)
