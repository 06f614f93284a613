"""The medium shape and both phases of the fine stage: pictures of a photo, errors on faces of known shape. Parts of
multi_scale.py."""

import dataclasses

import numpy as np
from accuracy_study import compare, faces, report
from scipy.ndimage import uniform_filter

from figure_study import closeups
from jaxface.geometry.normals import depth_normals
from jaxface.io.arrays import crop_window
from jaxface.types import MorphableModel, Reconstruction

# Meshes of a reconstruction by title.
MESHES = {"medium": "medium", "fine, phase 1": "phase1", "fine, phase 2": "fine"}
_COLUMNS = {
    "normal error (deg)": ("normal_degrees", ".2f"),
    "RMSE (mm)": ("rmse_mm", ".3f"),
    "hp relief, 2 mm": ("relief_hp2", ".3f"),
    "hp relief, 4 mm": ("relief_hp4", ".3f"),
    "hp height, 2 mm": ("height_hp2", ".3f"),
    "hp height, 4 mm": ("height_hp4", ".3f"),
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


def stage_errors(
    truth: faces.Truth, recs: dict[str, Reconstruction], model: MorphableModel
) -> dict[str, dict[str, dict[str, float]]]:
    """Metrics of `compare.evaluate` by preset and title of MESHES, all on the same pixels."""
    runs = {}
    for preset, rec in recs.items():
        runs["", preset] = rec
        runs["phase 1", preset] = dataclasses.replace(rec, fine=rec.phase1)
    found = compare.evaluate(truth, runs, models={"": model, "phase 1": model}, detected=None)
    return {
        preset: {
            "medium": found["", preset]["medium"],
            "fine, phase 1": found["phase 1", preset]["fine"],
            "fine, phase 2": found["", preset]["fine"],
        }
        for preset in recs
    }


def summarise(records: list[dict]) -> list[dict]:
    """Mean metrics for each preset and stage, and the share of cases in which its normal error is below the stage
    before's."""
    rows = []
    for preset in dict.fromkeys(record["preset"] for record in records):
        mine, before = [record["stages"] for record in records if record["preset"] == preset], None
        for title in MESHES:
            row = {"preset": preset, "stage": title, "cases": len(mine)}
            for key in mine[0][title]:
                row[key] = float(np.mean([stages[title][key] for stages in mine]))
            if before is not None:
                errors = np.array([[stages[t]["normal_degrees"] for t in (before, title)] for stages in mine])
                row["lower_share"] = float(np.mean(errors[:, 1] < errors[:, 0]))
            rows.append(row)
            before = title
    return rows


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    cells = [["preset", "stage", "cases", *_COLUMNS, "normal error below the stage before in"]]
    for row in rows:
        figures = [format(row[key], style) if key in row else "-" for key, style in _COLUMNS.values()]
        lower = f"{100 * row['lower_share']:.0f} %" if "lower_share" in row else "-"
        cells.append([row["preset"], row["stage"], str(row["cases"]), *figures, lower])
    return report.format_table(cells)
