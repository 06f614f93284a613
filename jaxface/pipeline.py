"""A photo in, a face out: every stage in order. The table of contents of jaxface.

io -> detection -> coarse -> medium -> observe -> fine -> detail -> export. The stages are pure functions
(`frame`); after each, `checks` compares its result with the stage before on what can be seen without truth; a stage
that fails or makes things worse is left out, with its reason.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxface import checks, frame
from jaxface.detection import sources
from jaxface.execution import run_timed
from jaxface.geometry.normals import vertex_normals
from jaxface.io.arrays import as_rgb, crop_window
from jaxface.models import store
from jaxface.presets import PRESETS, Preset
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    FaceError,
    FineMaps,
    Landmarks,
    MediumFit,
    Mesh,
    MorphableModel,
    Reconstruction,
    StageReport,
)


class _Log:
    """Collects the stage reports and tells `progress` what begins."""

    def __init__(self, progress: Callable[[str], None] | None):
        self.reports: list[StageReport] = []
        self._progress = progress or (lambda stage: None)

    def begin(self, stage: str) -> None:
        self._progress(stage)

    def end(self, stage: str, verdict: checks.Verdict, *, seconds: float, compile_seconds: float = 0.0) -> bool:
        figures, reason = verdict
        status = "left out" if reason else "ok"
        figures = dict(figures, compile_seconds=compile_seconds)
        self.reports.append(StageReport(stage, status, reason, seconds, figures))
        return not reason


def reconstruct(
    image: np.ndarray,
    *,
    model: str | MorphableModel | None = None,
    landmarks: Landmarks | str | None = None,
    face: int | None = None,
    preset: str = "default",
    size: int = 512,
    seed: int = 0,
    focal_px: float | None = None,
    landmarker_task: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Reconstruction:
    """Reconstructs the face in one photo (height, width[, channels]; uint8, uint16, or floats in [0, 1]).

    Args:
      model: name of an installed face model, a model, or None for the best one that is openly licensed.
      landmarks: detected points, a file of them (`.npy`, `.pts`, `.json`), or None to run MediaPipe.
      face: which face, 0 being the largest; None takes the largest.
      preset: "default" or "paper", see `presets`.
      size: side of the square crop that is refined, in pixels.
      seed: recorded with the settings; no stage draws random numbers.
      focal_px: focal length in pixels for a perspective camera; None means scaled orthographic.
      landmarker_task: path of `face_landmarker.task`, needed by MediaPipe from 0.10.30 on.
      progress: called with the name of each stage as it begins.

    Raises:
      FaceError: if no usable face is found or an argument cannot be used; the message says what to do.
    """
    if preset not in PRESETS:
        raise FaceError(f"There is no preset {preset!r}; take one of {', '.join(PRESETS)}.")
    if not 64 <= size <= 4096:
        raise FaceError(f"The crop's size must lie between 64 and 4096 pixels, not {size}.")
    chosen = PRESETS[preset](size=size)
    settings = dict(preset=preset, size=size, seed=seed, focal_px=focal_px, face=face)
    log, image = _Log(progress), as_rgb(image)
    height, width = image.shape[:2]

    log.begin("landmarks")
    start = time.perf_counter()
    points, figures = sources.find_landmarks(image, source=landmarks, face=face, landmarker_task=landmarker_task)
    log.end("landmarks", (figures, ""), seconds=time.perf_counter() - start)

    log.begin("templates")
    start = time.perf_counter()
    templates = frame.prepare(store.resolve(model) if model is None or isinstance(model, str) else model)
    log.end("templates", ({}, ""), seconds=time.perf_counter() - start)

    camera = frame.make_camera(height=height, width=width, focal_px=focal_px)
    first, second, crop = _shape(log, points, camera, templates, chosen.stiffness, size=size)
    window = crop_window(image, crop, size=size)
    view = (first, camera, crop, jnp.array([width, height], jnp.float32), templates)
    medium_mm = _choose_medium(log, window, first, second, view, chosen)
    maps = _surface(log, window, medium_mm, view, chosen)

    log.begin("detail")
    arguments = (medium_mm, maps, first, camera, crop, jnp.asarray(window), templates)
    (phase1, phase2, textures, relit), *times = run_timed(frame.put_detail, *arguments)
    verdict = checks.check_detail(maps, np.asarray(phase2.displacement_mm))
    log.end("detail", verdict, seconds=times[0], compile_seconds=times[1])
    return _assemble(
        image, window, crop, camera, points, first, medium_mm, (phase1, phase2), maps, textures, relit, log, settings,
        templates,
    )  # fmt: skip


def _shape(
    log: _Log, points: Landmarks, camera: Camera, templates: frame.Templates, stiffness: float, *, size: int
) -> tuple[CoarseFit, MediumFit, Crop]:
    """Coarse and medium stage; without a coarse shape there is nothing to return."""
    log.begin("shape")
    (first, second, centre, side), *times = run_timed(frame.fit_shape, points, camera, templates, stiffness)
    verdict = checks.check_coarse(first, face_px=float(side))
    if not log.end("coarse", verdict, seconds=times[0], compile_seconds=times[1]):
        raise FaceError(f"The face could not be fitted: {log.reports[-1].reason}.")
    return first, second, frame.square_crop(centre, side, size=size)


def _choose_medium(
    log: _Log, window: np.ndarray, first: CoarseFit, second: MediumFit, view: tuple, preset: Preset
) -> Array:
    """The medium shape, or the coarse one where the medium fails its checks or explains the photo worse."""
    log.begin("medium")
    shapes = jnp.stack([first.vertices_mm, second.vertices_mm])
    arguments = (jnp.asarray(window), shapes, *view)
    residuals, *times = run_timed(frame.shading_residuals, *arguments, schedule=preset.schedule)
    triangles = np.asarray(view[-1].model.triangles)
    verdict = checks.check_medium(second, first, triangles=triangles, residuals=np.asarray(residuals))
    kept = log.end("medium", verdict, seconds=times[0], compile_seconds=times[1])
    return second.vertices_mm if kept else first.vertices_mm


def _surface(log: _Log, window: np.ndarray, vertices_mm: Array, view: tuple, preset: Preset) -> FineMaps:
    """Fine stage with its checks: a phase that fails them gives way to the height map before it."""
    log.begin("fine")
    arguments = (jnp.asarray(window), vertices_mm, *view, preset.weights)
    maps, seconds, compile_seconds = run_timed(frame.fit_surface, *arguments, schedule=preset.schedule)
    verdict = checks.check_phase(maps, np.asarray(maps.phase1_height_px), image=window)
    if not log.end("fine phase 1", verdict, seconds=seconds, compile_seconds=compile_seconds):
        maps = maps._replace(phase1_height_px=maps.medium_height_px)
    verdict = checks.check_phase(maps, np.asarray(maps.height_px), image=window)
    if not log.end("fine phase 2", verdict, seconds=0.0):
        maps = frame.with_height(maps, maps.phase1_height_px)
    return maps if bool(maps.finite) else frame.without_fine(maps, jnp.asarray(window))


def _assemble(
    image, window, crop, camera, points, first, medium_mm, phases, maps, textures, relit, log, settings, templates
):
    """Everything as host arrays in one record."""
    model, fine_triangles = templates.model, np.asarray(templates.detail.subdivision.triangles)

    def base(vertices):
        return Mesh(*(np.asarray(x) for x in (vertices, model.triangles, model.uvs, model.uv_triangles)))

    def dense(vertices):
        return Mesh(
            np.asarray(vertices),
            fine_triangles,
            np.asarray(templates.detail.uvs),
            np.asarray(templates.detail.uv_triangles),
        )

    return Reconstruction(
        image=image, crop_image=window, crop=crop, camera=camera, landmarks=points, coarse_fit=first,
        coarse=base(first.vertices_mm), medium=base(medium_mm), phase1=dense(phases[0].vertices_mm),
        fine=dense(phases[1].vertices_mm), fine_normals=np.asarray(phases[1].normals),
        base_normals=np.asarray(vertex_normals(phases[1].base_mm, fine_triangles)),
        fine_colours=np.asarray(phases[1].colours), maps=jax.tree.map(np.asarray, maps),
        textures=jax.tree.map(np.asarray, textures), relit=np.asarray(relit), stages=tuple(log.reports),
        settings=settings, model_name=model.name, model_licence=model.licence, expression_names=model.expression_names,
    )  # fmt: skip


def render_shapes(rec: Reconstruction) -> dict[str, np.ndarray]:
    """Clay pictures of the coarse, medium, phase 1 and fine meshes, as the crop's camera sees them."""
    size = rec.crop_image.shape[0]
    pictures = {}
    for name in ("coarse", "medium", "phase1", "fine"):
        mesh: Mesh = getattr(rec, name)
        arguments = (mesh.vertices_mm, mesh.triangles, rec.coarse_fit.pose, rec.camera, rec.crop)
        pictures[name] = np.asarray(run_timed(frame.clay_picture, *map(_as_arrays, arguments), size=size).value)
    return pictures


def _as_arrays(tree):
    return jax.tree.map(jnp.asarray, tree)
