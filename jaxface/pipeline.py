"""A photo in, a face out: every stage in order. The table of contents of jaxface.

io -> detection -> (regress ->) coarse -> (parse ->) coarse shading -> medium -> observe -> fine -> detail -> export.
The stages are pure functions (`frame`); after each, `checks` compares its result with the stage before on what can be
seen without truth; a stage that fails or makes things worse is left out, with its reason.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxface import checks, frame
from jaxface.detection import sources
from jaxface.execution import Clock, StageLog, run_timed
from jaxface.geometry.normals import vertex_normals
from jaxface.io.arrays import as_rgb, crop_window
from jaxface.models import tools
from jaxface.presets import PRESETS, Preset
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    FaceError,
    FineMaps,
    Landmarks,
    Mesh,
    MorphableModel,
    Parsing,
    Pose,
    Reconstruction,
)

_LEAST_SKIN = 0.02  # share of the crop below which a parsed map is not believed


def reconstruct(
    image: np.ndarray,
    *,
    model: str | MorphableModel | None = None,
    coarse: str = "landmarks",
    parsing: str = "landmarks",
    landmarks: sources.Source = None,
    face: int | None = None,
    preset: str = "default",
    size: int = 512,
    seed: int = 0,
    focal_px: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Reconstruction:
    """Reconstructs the face in one photo (height, width[, channels]; uint8, uint16, or floats in [0, 1]).

    Args:
      model: name of an installed face model, a model, or None for the best one that is openly licensed.
      coarse: what finds the coarse face: "landmarks", or "3ddfa" for that network, if installed. In the model 3ddfa_v2
        its numbers are the coarse face; in any other its pose starts the fit to the landmarks.
      parsing: what tells skin, brows and lips: "landmarks" (the fitted mesh), or "bisenet" for that network, which
        sees hair, glasses and hats too.
      landmarks: detected points, a file of them (`.npy`, `.pts`, `.json`), a detector (a function of the image, see
        `types.Detector`), or None to run MediaPipe.
      face: which face, 0 being the largest; None takes the largest.
      preset: "default" or "paper", see `presets`.
      size: side of the square crop that is refined, in pixels.
      seed: recorded with the settings; no stage draws random numbers.
      focal_px: focal length in pixels for a perspective camera; None means scaled orthographic.
      progress: called with the name of each stage as it begins.

    Raises:
      FaceError: if no usable face is found or an argument cannot be used; the message says what to do.
    """
    if preset not in PRESETS:
        raise FaceError(f"There is no preset {preset!r}; take one of {', '.join(PRESETS)}.")
    if not 64 <= size <= 4096:
        raise FaceError(f"The crop's size must lie between 64 and 4096 pixels, not {size}.")
    chosen = PRESETS[preset](size=size)
    settings = dict(preset=preset, size=size, seed=seed, focal_px=focal_px, face=face, coarse=coarse, parsing=parsing)
    settings |= {"landmarks": sources.name_of(landmarks)}
    used = tools.choose(model=model, coarse=coarse, parsing=parsing)
    log, image = StageLog(progress), as_rgb(image)
    height, width = image.shape[:2]

    log.begin("landmarks")
    start = time.perf_counter()
    points, figures = sources.find_landmarks(image, source=landmarks, face=face)
    log.end("landmarks", (figures, ""), seconds=time.perf_counter() - start)

    log.begin("templates")
    start = time.perf_counter()
    templates = frame.prepare(used.model)
    log.end("templates", ({}, ""), seconds=time.perf_counter() - start)

    camera = frame.make_camera(height=height, width=width, focal_px=focal_px)
    begin = _regress(log, image, points, camera, used)
    first, crop, face_px = _coarse(log, points, camera, templates, begin, size=size)
    window = jnp.asarray(crop_window(image, crop, size=size))
    parsed = _parse(log, image, crop, used, size=size)
    view = frame.View(camera, crop, jnp.array([width, height], jnp.float32), parsed)
    first = _refine(log, window, points, first, view, templates, chosen, face_px=face_px)
    medium_mm = _medium(log, window, points, first, view, templates, chosen)
    maps = _surface(log, window, medium_mm, first.pose, view, templates, chosen)

    log.begin("detail")
    arguments = (medium_mm, maps, first.pose, view, window, templates)
    (phase1, phase2, textures, relit), *times = run_timed(frame.put_detail, *arguments)
    verdict = checks.check_detail(maps, np.asarray(phase2.displacement_mm))
    log.end("detail", verdict, seconds=times[0], compile_seconds=times[1])
    return _assemble(
        image, np.asarray(window), crop, camera, points, first, medium_mm, (phase1, phase2), maps, textures, relit, log,
        settings, templates,
    )  # fmt: skip


def _regress(
    log: StageLog, image: np.ndarray, points: Landmarks, camera: Camera, chosen: tools.Tools
) -> CoarseFit | Pose | None:
    """What a network makes of the face: the coarse fit in the network's own model, in another the pose to start from.
    None where no network is used, or where it fails: then the landmarks do alone."""
    if chosen.regressor is None:
        return None
    log.begin("regression")
    clock, model = Clock(), chosen.model
    try:
        found = tools.regress(image, points, chosen.regressor, run=clock.run)
    except FaceError as error:
        log.end("regression", ({}, str(error)), **clock.seconds())
        return None
    if model.name != tools.REGRESSED_MODEL:
        begin = clock.run(frame.regress_pose, found.pose, points, model)
        note = f"only the pose is used: shapes are those of {tools.REGRESSED_MODEL}, and the face model is {model.name}"
        log.end("regression", ({}, ""), **clock.seconds(), note=note)
        return begin
    fit, side = clock.run(frame.regress_shape, *found, points, camera, model)
    return fit if log.end("regression", checks.check_coarse(fit, face_px=float(side)), **clock.seconds()) else None


def _parse(log: StageLog, image: np.ndarray, crop: Crop, chosen: tools.Tools, *, size: int) -> Parsing | None:
    """What a network sees on the crop; None where no network is used, or where it sees no skin."""
    if chosen.parser is None:
        return None
    log.begin("parsing")
    clock = Clock()
    parsing = tools.parse(image, crop, chosen.parser, size=size, run=clock.run)
    figures = {"skin_share": float(np.mean(parsing.indicators[..., 0])), "visible": float(np.mean(parsing.visible))}
    reason = "" if figures["skin_share"] > _LEAST_SKIN else "the network sees no skin where the face is"
    return parsing if log.end("parsing", (figures, reason), **clock.seconds()) else None


def _coarse(
    log: StageLog,
    points: Landmarks,
    camera: Camera,
    templates: frame.Templates,
    begin: CoarseFit | Pose | None,
    *,
    size: int,
) -> tuple[CoarseFit, Crop, float]:
    """Coarse stage on landmarks, the crop and the face's size in pixels; without a coarse shape there is nothing."""
    log.begin("coarse")
    (fit, centre, side), *times = run_timed(frame.fit_coarse, points, camera, templates, begin)
    verdict = checks.check_coarse(fit, face_px=float(side))
    if not log.end("coarse", verdict, seconds=times[0], compile_seconds=times[1]):
        raise FaceError(f"The face could not be fitted: {log.reports[-1].reason}.")
    return fit, frame.square_crop(centre, side, size=size), float(side)


def _refine(
    log: StageLog,
    window: Array,
    points: Landmarks,
    fit: CoarseFit,
    view: frame.View,
    templates: frame.Templates,
    preset: Preset,
    *,
    face_px: float,
) -> CoarseFit:
    """The coarse fit gone on with the skin's shading, unless that strays from the landmarks or explains nothing."""
    if not preset.coarse_shading:
        return fit
    log.begin("coarse shading")
    clock = Clock()
    refined = clock.run(frame.refine_coarse, fit, points, window, view.camera, view.crop, templates)
    residuals = _compare(
        clock, window, [(each.vertices_mm, each.pose) for each in (fit, refined)], view, templates, preset
    )
    verdict = checks.check_refined(refined, fit, face_px=face_px, residuals=residuals)
    return refined if log.end("coarse shading", verdict, **clock.seconds()) else fit


def _medium(
    log: StageLog,
    window: Array,
    points: Landmarks,
    first: CoarseFit,
    view: frame.View,
    templates: frame.Templates,
    preset: Preset,
) -> Array:
    """The medium shape, or the coarse one where the medium fails its checks or explains the photo worse."""
    log.begin("medium")
    clock = Clock()
    second = clock.run(frame.deform, first, points, view.camera, templates, preset.stiffness)
    shapes = [(each.vertices_mm, first.pose) for each in (first, second)]
    residuals = _compare(clock, window, shapes, view, templates, preset)
    verdict = checks.check_medium(second, first, triangles=np.asarray(templates.model.triangles), residuals=residuals)
    return second.vertices_mm if log.end("medium", verdict, **clock.seconds()) else first.vertices_mm


def _compare(
    clock: Clock, window: Array, shapes: list, view: frame.View, templates: frame.Templates, preset: Preset
) -> np.ndarray:
    """How far the photo is from the shading of two shapes in their poses."""
    vertices_mm, poses = jax.tree.map(lambda *leaves: jnp.stack(leaves), *shapes)
    arguments = (window, vertices_mm, poses, view, templates)
    return np.asarray(clock.run(frame.shading_residuals, *arguments, schedule=preset.schedule))


def _surface(
    log: StageLog,
    window: Array,
    vertices_mm: Array,
    pose: Pose,
    view: frame.View,
    templates: frame.Templates,
    preset: Preset,
) -> FineMaps:
    """Fine stage with its checks: a phase that fails them gives way to the height map before it."""
    log.begin("fine")
    arguments = (window, vertices_mm, pose, view, templates, preset.weights)
    maps, seconds, compile_seconds = run_timed(frame.fit_surface, *arguments, schedule=preset.schedule)
    verdict = checks.check_phase(maps, np.asarray(maps.phase1_height_px), image=np.asarray(window))
    if not log.end("fine phase 1", verdict, seconds=seconds, compile_seconds=compile_seconds):
        maps = maps._replace(phase1_height_px=maps.medium_height_px)
    verdict = checks.check_phase(maps, np.asarray(maps.height_px), image=np.asarray(window))
    if not log.end("fine phase 2", verdict, seconds=0.0):
        maps = frame.with_height(maps, maps.phase1_height_px)
    return maps if bool(maps.finite) else frame.without_fine(maps, window)


def _assemble(
    image, window, crop, camera, points, first, medium_mm, phases, maps, textures, relit, log, settings, templates
):
    """Everything as host arrays in one record."""
    model, fine_triangles = templates.model, np.asarray(templates.detail.subdivision.triangles)
    neutral_mm = run_timed(frame.neutral_shape, first.identity, model).value

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
        neutral=base(neutral_mm), coarse=base(first.vertices_mm), medium=base(medium_mm),
        phase1=dense(phases[0].vertices_mm),
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
