"""Albedos and surfaces by each detail term, beside what is true. Parts of albedo_ablation.py."""

import jax
import jax.numpy as jnp
import numpy as np
from common import faces, program, report, truth
from common.runner import Setup

from albedo_study import scenes, terms
from jaxface.detection.sources import find_landmarks
from jaxface.evaluation.metrics import high_pass
from jaxface.execution import run_timed
from jaxface.presets import PRESETS
from jaxface.rendering.lighting import shading
from jaxface.types import FaceError, FineMaps

RELIEF_MM = 2.0  # sigma of the high-pass within which relief and texture are told apart
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_CONFIDENT = 0.5  # where the fine stage counts a pixel as skin
BEFORE = "before the fine stage"  # the row of the surface that all terms start from
COLUMNS = {
    "preset": ("preset", ""),
    "detail term": ("term", ""),
    "cases": ("cases", ""),
    "albedo error (%)": ("albedo_error_percent", ".1f"),
    "relief left in albedo": ("relief_left", ".2f"),
    "texture kept": ("texture_kept", ".2f"),
    "normal error (deg)": ("normal_degrees", ".3f"),
    "RMSE (mm)": ("rmse_mm", ".4f"),
    "correlation with true relief": ("relief_correlation", ".3f"),
    "least normal error in": ("least_normal_error_share", "share"),
}


def fit(scene: scenes.Scene, *, term: str, preset: str) -> FineMaps:
    """The fine stage on a scene with one of `terms.TERMS`. Raises FaceError where it does not stay finite."""
    chosen = terms.with_detail(PRESETS[preset](size=scene.window.shape[0]).fine, term)
    maps = run_timed(terms.run, scene.inputs, chosen).value
    if not maps.finite:
        raise FaceError(f"The fine stage broke down with the term {term} of the preset {preset}: take another photo.")
    return jax.tree.map(np.asarray, maps)


def draw(image: np.ndarray, setup: Setup) -> tuple[dict, dict, list]:
    """A row for each preset. Raises FaceError without a face."""
    landmarks, rows = find_landmarks(image)[0], {}
    for preset in PRESETS:
        scene = scenes.fit_scene(image, landmarks, setup.model, preset=preset, size=setup.size)
        rows[preset] = pictures(scene, preset=preset)
    return rows, {}, []


def measure(case: faces.Case, setup: Setup) -> list[dict]:
    """Figures by preset and term, all on the same pixels; under `BEFORE`, the surface before the fine stage."""
    world, model = scenes.make_world(case, size=setup.size, seed=setup.seed), setup.model
    drawn = {
        preset: scenes.fit_scene(world.truth.image, world.landmarks, model, preset=preset, size=setup.size, whole=True)
        for preset in PRESETS
    }
    field = scenes.judge(world, list(drawn.values()))
    found = []
    for preset, scene in drawn.items():
        before = _errors(field, scene, scene.base_mm, truth.face_triangles(model))
        found.append({"preset": preset, "term": BEFORE} | before)
        for term in terms.TERMS:
            maps = fit(scene, term=term, preset=preset)
            fine_mm = program.displace(scene.shapes.face, scene.base_mm, maps, model)
            surface = _errors(field, scene, fine_mm, truth.fine_face_triangles(model))
            figures = albedo_figures(world, maps, field) | surface | _relief(maps, field)
            found.append({"preset": preset, "term": term} | figures)
    return found


def _errors(field: truth.Field, scene: scenes.Scene, vertices_mm, triangles: np.ndarray) -> dict[str, float]:
    face = scene.shapes.face
    shape = truth.place(vertices_mm, triangles, face.fit.pose, face.camera, size=len(field.mask))
    return truth.shape_errors(field, shape)


def albedo_figures(world: scenes.World, maps: FineMaps, field: truth.Field) -> dict[str, float]:
    """How far the albedo is from the true one (rms, relative, each channel scaled to fit), and how much of the shading
    of the true relief, and of the true texture, is found in it: regression of its high-passed logarithm on both."""
    mask = field.facing & (maps.confidence > _CONFIDENT)
    ours, true = (np.asarray(x, np.float64)[mask] for x in (maps.albedo, world.face.albedo))
    scale = np.sum(ours * true, axis=0) / np.sum(ours * ours, axis=0)
    error = np.sqrt(np.mean((scale * ours - true) ** 2) / np.mean(true**2))
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


def _relief(maps: FineMaps, field: truth.Field) -> dict[str, float]:
    """Correlation of what the fine stage changed with the true relief, both along the normal, high-passed."""
    along = field.smooth.normals_image[..., 2]
    ours = along * (maps.height_px - maps.medium_height_px)
    true = along * (field.view.height_px - field.smooth.height_px)
    mask = field.facing & (maps.confidence > _CONFIDENT)
    return {"relief_correlation": truth.correlation(field, ours, true, mask=mask, sigma_mm=RELIEF_MM)}


def summarise(records: list[dict]) -> list[dict]:
    """Means for each preset and row, and in how many cases a term has the least normal error of all terms."""
    best = {}
    for record in records:
        if record["term"] != BEFORE:
            key = record["case"], record["preset"]
            best[key] = min(best.get(key, record), record, key=lambda each: each["normal_degrees"])
    marked = [
        each if each["term"] == BEFORE
        else each | {"least_normal_error_share": float(each is best[each["case"], each["preset"]])}
        for each in records
    ]  # fmt: skip
    return report.means(marked, "preset", "term")


def table(rows: list[dict]) -> list[str]:
    """Markdown of the summary."""
    return report.table(rows, COLUMNS)


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
