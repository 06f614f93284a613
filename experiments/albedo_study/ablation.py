"""Albedos and surfaces by each detail term, beside what is true. Parts of albedo_ablation.py."""

import jax
import jax.numpy as jnp
import numpy as np
from accuracy_study import compare, report
from common import program

from albedo_study import scenes, terms
from jaxface.evaluation.metrics import high_pass, high_pass_correlation
from jaxface.execution import run_timed
from jaxface.presets import PRESETS
from jaxface.rendering.camera import project
from jaxface.rendering.lighting import shading
from jaxface.types import FaceError, FineMaps, MorphableModel

RELIEF_MM = 2.0  # sigma of the high-pass within which relief and texture are told apart
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_CONFIDENT = 0.5  # where the fine stage counts a pixel as skin
BEFORE = "before the fine stage"  # the row of the surface that all terms start from
COLUMNS = {
    "albedo error (%)": ("albedo_error_percent", ".1f"),
    "relief left in albedo": ("relief_left", ".2f"),
    "texture kept": ("texture_kept", ".2f"),
    "normal error (deg)": ("normal_degrees", ".3f"),
    "RMSE (mm)": ("rmse_mm", ".4f"),
    "correlation with true relief": ("relief_correlation", ".3f"),
}


def fit(scene: scenes.Scene, *, term: str, preset: str) -> FineMaps:
    """The fine stage on a scene with one of `terms.TERMS`. Raises FaceError where it does not stay finite."""
    chosen = PRESETS[preset](size=scene.window.shape[0])
    maps = run_timed(terms.run, scene.inputs, chosen.weights, term=term, schedule=chosen.schedule).value
    if not maps.finite:
        raise FaceError(f"The fine stage broke down with the term {term} of the preset {preset}: take another photo.")
    return jax.tree.map(np.asarray, maps)


def measure(world: scenes.World, model: MorphableModel) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by preset and term, all on the same pixels; under `BEFORE`, the surface before the fine stage."""
    image = np.asarray(world.face.image)
    fixed = dict(size=len(image), whole=True)
    drawn = {preset: scenes.fit_scene(image, world.landmarks, model, preset=preset, **fixed) for preset in PRESETS}
    field = scenes.judge(world, list(drawn.values()))
    found = {}
    for preset, scene in drawn.items():
        medium_px = _place(scene.base_mm, scene)
        medium = compare.draw_shape(medium_px, compare.face_triangles(model), size=len(field.mask))
        found[preset] = {BEFORE: compare.shape_errors(field, medium)}
        for term in terms.TERMS:
            maps = fit(scene, term=term, preset=preset)
            surface = compare.shape_errors(field, _fine_shape(scene, maps, model))
            found[preset][term] = albedo_figures(world, maps, field) | surface | _relief(maps, field)
    return found


def albedo_figures(world: scenes.World, maps: FineMaps, field: compare.Field) -> dict[str, float]:
    """How far the albedo is from the true one (rms, relative, each channel scaled to fit), and how much of the shading
    of the true relief, and of the true texture, is found in it: regression of its high-passed logarithm on both."""
    mask = field.facing & (maps.confidence > _CONFIDENT)
    ours, truth = (np.asarray(x, np.float64)[mask] for x in (maps.albedo, world.face.albedo))
    scale = np.sum(ours * truth, axis=0) / np.sum(ours * ours, axis=0)
    error = np.sqrt(np.mean((scale * ours - truth) ** 2) / np.mean(truth**2))
    smooth = np.asarray(run_timed(shading, jnp.asarray(field.smooth.normals_image), world.face.light).value)
    lit = {"true": world.face.albedo * world.face.shading, "smooth": world.face.albedo * smooth}
    logs = {name: _log(values) for name, values in lit.items()}
    signals = (_log(maps.albedo), logs["true"] - logs["smooth"], _log(world.face.albedo))
    high, relief, texture = (
        high_pass(signal, mask=mask, sigma_px=RELIEF_MM * field.px_per_mm)[mask] for signal in signals
    )
    (left, kept), *_ = np.linalg.lstsq(np.stack([relief, texture], axis=1), high, rcond=None)
    return {"albedo_error_percent": 100.0 * float(error), "relief_left": float(left), "texture_kept": float(kept)}


def _log(colours) -> np.ndarray:
    return np.log(np.maximum(np.asarray(colours, np.float64) @ _LUMINANCE, 1e-3))


def _relief(maps: FineMaps, field: compare.Field) -> dict[str, float]:
    """Correlation of what the fine stage changed with the true relief, both along the normal, high-passed."""
    along = field.smooth.normals_image[..., 2]
    ours = along * (maps.height_px - maps.medium_height_px)
    truth = along * (field.view.height_px - field.smooth.height_px)
    sigma_px = RELIEF_MM * field.px_per_mm
    value = high_pass_correlation(ours, truth, mask=field.facing & (maps.confidence > _CONFIDENT), sigma_px=sigma_px)
    return {"relief_correlation": float(np.nan_to_num(value))}


def _fine_shape(scene: scenes.Scene, maps: FineMaps, model: MorphableModel) -> compare.Shape:
    """The mesh that the maps lead to."""
    vertices_mm = program.displace(scene.shapes.face, scene.base_mm, maps, model)
    triangles = compare.fine_face_triangles(model)
    return compare.draw_shape(_place(vertices_mm, scene), triangles, size=scene.window.shape[0])


def _place(vertices_mm, scene: scenes.Scene):
    face = scene.shapes.face
    return project(vertices_mm, face.fit.pose, camera=face.camera)


def summarise(cases: list[dict]) -> list[dict]:
    """Means for each preset and row, and in how many cases a term has the least normal error of all terms."""
    rows = []
    for preset, by_term in cases[0].items():
        for term in by_term:
            found = [case[preset][term] for case in cases]
            row = {"preset": preset, "term": term, "cases": len(found)}
            row |= {key: float(np.mean([figures[key] for figures in found])) for key in found[0]}
            if term != BEFORE:
                best = [min(terms.TERMS, key=lambda name, c=case: c[preset][name]["normal_degrees"]) for case in cases]
                row["least_normal_error_share"] = best.count(term) / len(cases)
            rows.append(row)
    return rows


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    cells = [["preset", "detail term", "cases", *COLUMNS, "least normal error in"]]
    for row in rows:
        figures = [format(row[key], style) if key in row else "-" for key, style in COLUMNS.values()]
        share = row.get("least_normal_error_share")
        last = "-" if share is None else f"{100 * share:.0f} %"
        cells.append([row["preset"], row["term"], str(row["cases"]), *figures, last])
    return report.format_table(cells)


def pictures(scene: scenes.Scene, *, preset: str) -> dict[str, np.ndarray]:
    """One row of the figure: the photo, the albedos, and the surfaces they lead to."""
    found = {term: fit(scene, term=term, preset=preset) for term in terms.TERMS}
    row = {"photo": scene.window}
    row |= {f"albedo, {term}": _beside_photo(maps, scene.window) for term, maps in found.items()}
    row |= {f"depth, {term}": scenes.shaded(maps.normals_image, maps.mask) for term, maps in found.items()}
    return row


def _beside_photo(maps: FineMaps, window: np.ndarray) -> np.ndarray:
    """The skin's albedo in the photo, each channel as bright as there: only what varies is of interest."""
    weight = maps.confidence[..., None]
    gain = np.sum(weight * window, axis=(0, 1)) / np.maximum(np.sum(weight * maps.albedo, axis=(0, 1)), 1e-6)
    return np.clip(weight * gain * maps.albedo + (1.0 - weight) * window, 0.0, 1.0)
