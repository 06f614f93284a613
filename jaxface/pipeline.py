"""A photo in, a face out: every stage in order. The table of contents of jaxface.

io -> detection -> coarse -> medium -> observe -> fine -> detail -> export. The stages are pure functions of one frame;
`frames` holds the one vmap. After each stage `checks` compares its result with the stage before on what can be seen
without truth; a stage that fails or makes things worse is left out, with its reason.
"""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxface import checks
from jaxface.detection import sources
from jaxface.execution import run_timed
from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.geometry.subdivision import Subdivision, loop_subdivision
from jaxface.io.arrays import as_rgb, crop_window
from jaxface.morphable.default import load_default
from jaxface.presets import PRESETS, FineWeights, Preset
from jaxface.rendering.camera import crop_camera, crop_image, crop_pose, project
from jaxface.rendering.clay import relight, render_clay
from jaxface.rendering.lighting import shading
from jaxface.stages import coarse, detail, fine, medium, observe
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    DetailMesh,
    FaceError,
    FineMaps,
    Landmarks,
    MediumFit,
    Mesh,
    MorphableModel,
    Reconstruction,
    StageReport,
    TextureMaps,
)

MARGIN = 1.2  # side of the crop over the longer side of the face mesh


class Templates(NamedTuple):
    """What is prepared once per morphable model."""

    model: MorphableModel
    medium: medium.MediumTemplate
    surface: Subdivision
    detail: detail.DetailTemplate


@functools.lru_cache(maxsize=2)
def default_templates() -> Templates:
    """The embedded model with its factorised Laplacian, smooth surface and texture layout (seconds, once a process)."""
    return prepare(load_default())


def prepare(model: MorphableModel) -> Templates:
    """Templates for any morphable model; keep the result."""
    surface = loop_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=1)
    return Templates(model, medium.prepare(model), surface, detail.prepare(model))


def make_camera(*, height: int, width: int, focal_px: float | None = None) -> Camera:
    """Scaled orthographic, or perspective with the principal point in the photo's middle."""
    inverse = 0.0 if focal_px is None else 1.0 / focal_px
    centre = np.array([(width - 1) / 2.0, (height - 1) / 2.0], np.float32)
    return Camera(jnp.float32(inverse), jnp.asarray(centre))


# --- The stages as pure functions of one frame ---


def fit_shape(
    landmarks: Landmarks, camera: Camera, templates: Templates
) -> tuple[CoarseFit, MediumFit, Float[Array, "2"], Float[Array, ""]]:
    """Coarse and medium stage, then the middle and the longer side of the face mesh in the image."""
    first = coarse.run(landmarks, model=templates.model, camera=camera)
    second = medium.run(first, landmarks, model=templates.model, template=templates.medium, camera=camera)
    points = project(second.vertices_mm, first.pose, camera=camera)[:, :2]
    low, high = jnp.min(points, axis=0), jnp.max(points, axis=0)
    return first, second, 0.5 * (low + high), jnp.max(high - low)


def square_crop(centre_px: Float[Array, "2"], side_px: Float[Array, ""], *, size: int) -> Crop:
    """A window of MARGIN times the face around its middle, to be resampled to `size` pixels."""
    side = MARGIN * side_px
    return Crop(centre_px - 0.5 * side, size / side)


def _within(crop: Crop, *, size: int, image_size_px: Float[Array, "2"]) -> Float[Array, "size size"]:
    """1 where a crop pixel lies on the photo."""
    steps = jnp.arange(size) / crop.zoom
    inside = [(crop.offset_px[k] + steps > -0.5) & (crop.offset_px[k] + steps < image_size_px[k] - 0.5) for k in (0, 1)]
    return (inside[1][:, None] & inside[0][None, :]).astype(jnp.float32)


def fit_surface(
    image: Float[Array, "size size 3"],
    vertices_mm: Float[Array, "vertices 3"],
    fit: CoarseFit,
    camera: Camera,
    crop: Crop,
    image_size_px: Float[Array, "2"],
    templates: Templates,
    weights: FineWeights,
    *,
    schedule,
) -> FineMaps:
    """Fine stage on the crop, from the medium mesh as the crop's camera sees it."""
    inputs = observe.run(
        image, vertices_mm, crop_pose(fit.pose, crop), camera=crop_camera(camera, crop), model=templates.model,
        surface=templates.surface, inside=_within(crop, size=image.shape[0], image_size_px=image_size_px),
    )  # fmt: skip
    return fine.run(inputs, weights=weights, schedule=schedule)


def put_detail(
    vertices_mm: Float[Array, "vertices 3"],
    maps: FineMaps,
    fit: CoarseFit,
    camera: Camera,
    crop: Crop,
    image: Float[Array, "size size 3"],
    templates: Templates,
) -> tuple[DetailMesh, DetailMesh, TextureMaps, Array]:
    """Displaced meshes of both phases, baked textures, and the face under a new light."""
    pose, window = crop_pose(fit.pose, crop), crop_camera(camera, crop)
    shared = dict(model=templates.model, template=templates.detail)
    first = detail.run(vertices_mm, maps._replace(height_px=maps.phase1_height_px), pose, window, **shared)
    second = detail.run(vertices_mm, maps, pose, window, **shared)
    textures = detail.bake(second, maps, pose, window, **shared)
    return first, second, textures, relight(maps.albedo, maps.normals_image, maps.mask, background=image)


def frames(
    images: Float[Array, "frames height width 3"],
    landmarks: Landmarks,
    *,
    camera: Camera,
    templates: Templates,
    preset: Preset,
    size: int,
) -> tuple[CoarseFit, MediumFit, Crop, FineMaps]:
    """Many frames of one size in parallel: coarse, medium and fine stage under one vmap (jit it).

    `landmarks` has a leading frame axis. No frame is left out here; look at the `finite` flags.
    """
    image_size_px = jnp.array([images.shape[2], images.shape[1]], jnp.float32)

    def frame(image, points):
        first, second, centre, side = fit_shape(points, camera, templates)
        crop = square_crop(centre, side, size=size)
        window = crop_image(image, crop, size=size)
        maps = fit_surface(
            window, second.vertices_mm, first, camera, crop, image_size_px, templates, preset.weights,
            schedule=preset.schedule,
        )  # fmt: skip
        return first, second, crop, maps

    return jax.vmap(frame)(images, landmarks)


# --- One photo, with checks ---


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
      landmarks: detected points, a file of them (`.npy`, `.pts`), or None to run MediaPipe.
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
    settings = dict(preset=preset, size=size, seed=seed, focal_px=focal_px, face=face)
    log, image = _Log(progress), as_rgb(image)
    height, width = image.shape[:2]

    log.begin("landmarks")
    start = time.perf_counter()
    points, figures = sources.find_landmarks(image, source=landmarks, face=face, landmarker_task=landmarker_task)
    log.end("landmarks", (figures, ""), seconds=time.perf_counter() - start)

    log.begin("templates")
    start = time.perf_counter()
    templates = default_templates()
    log.end("templates", ({}, ""), seconds=time.perf_counter() - start)

    camera = make_camera(height=height, width=width, focal_px=focal_px)
    first, medium_mm, crop = _shape(log, points, camera, templates, size=size)
    window = crop_window(image, crop, size=size)
    maps = _surface(
        log, window, medium_mm, first, camera, crop, (width, height), templates, PRESETS[preset](size=size)
    )

    log.begin("detail")
    arguments = (medium_mm, maps, first, camera, crop, jnp.asarray(window), templates)
    (phase1, phase2, textures, relit), seconds, compile_seconds = run_timed(put_detail, *arguments)
    log.end("detail", ({"largest_mm": float(jnp.max(jnp.abs(phase2.displacement_mm)))}, ""),
            seconds=seconds, compile_seconds=compile_seconds)  # fmt: skip
    return _assemble(
        image, window, crop, camera, points, first, medium_mm, (phase1, phase2), maps, textures, relit, log, settings
    )


def _shape(
    log: _Log, points: Landmarks, camera: Camera, templates: Templates, *, size: int
) -> tuple[CoarseFit, Array, Crop]:
    """Coarse and medium stage with their checks; without a coarse shape there is nothing to return."""
    log.begin("shape")
    (first, second, centre, side), seconds, compile_seconds = run_timed(fit_shape, points, camera, templates)
    if not log.end("coarse", checks.check_coarse(first, face_px=float(side)), seconds=seconds,
                   compile_seconds=compile_seconds):  # fmt: skip
        raise FaceError(f"The face could not be fitted: {log.reports[-1].reason}.")
    verdict = checks.check_medium(second, first, triangles=np.asarray(templates.model.triangles))
    kept = log.end("medium", verdict, seconds=0.0)
    crop = square_crop(centre, side, size=size)
    return first, second.vertices_mm if kept else first.vertices_mm, crop


def _surface(
    log: _Log,
    window: np.ndarray,
    vertices_mm: Array,
    fit: CoarseFit,
    camera: Camera,
    crop: Crop,
    image_size: tuple[int, int],
    templates: Templates,
    preset: Preset,
) -> FineMaps:
    """Fine stage with its checks: a phase that fails them gives way to the height map before it."""
    log.begin("fine")
    arguments = (jnp.asarray(window), vertices_mm, fit, camera, crop, jnp.array(image_size, jnp.float32), templates)
    (maps), seconds, compile_seconds = run_timed(fit_surface, *arguments, preset.weights, schedule=preset.schedule)
    verdict = checks.check_phase(maps, np.asarray(maps.medium_height_px), np.asarray(maps.phase1_height_px), image=window)
    if not log.end("fine phase 1", verdict, seconds=seconds, compile_seconds=compile_seconds):
        maps = maps._replace(phase1_height_px=maps.medium_height_px)
    verdict = checks.check_phase(maps, np.asarray(maps.phase1_height_px), np.asarray(maps.height_px), image=window)
    if not log.end("fine phase 2", verdict, seconds=0.0):
        maps = with_height(maps, maps.phase1_height_px)
    return maps


def with_height(maps: FineMaps, height_px: Float[Array, "height width"]) -> FineMaps:
    """The maps with another height map, its normals and its shading."""
    normals = depth_normals(height_px)
    return maps._replace(height_px=height_px, normals_image=normals, shading=shading(normals, maps.light))


def _assemble(image, window, crop, camera, points, first, medium_mm, phases, maps, textures, relit, log, settings):
    """Everything as host arrays in one record."""
    templates = default_templates()
    model, fine_triangles = templates.model, np.asarray(templates.detail.subdivision.triangles)

    def base(vertices):
        return Mesh(*(np.asarray(x) for x in (vertices, model.triangles, model.uvs, model.uv_triangles)))

    def dense(vertices):
        return Mesh(np.asarray(vertices), fine_triangles, np.asarray(templates.detail.uvs), np.asarray(templates.detail.uv_triangles))

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
        pictures[name] = np.asarray(run_timed(_clay, *map(_as_arrays, arguments), size=size).value)
    return pictures


def _as_arrays(tree):
    return jax.tree.map(jnp.asarray, tree)


def _clay(vertices_mm, triangles, pose, camera, crop, *, size):
    return render_clay(vertices_mm, triangles, crop_pose(pose, crop), camera=crop_camera(camera, crop), size=size)
