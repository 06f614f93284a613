"""What is done to the photos of a batch on the host between the stages: faces found, crops cut, records gathered."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxface import program, templates
from jaxface.detection import sources
from jaxface.execution import Clock, Times
from jaxface.export.reconstruction import Reconstruction
from jaxface.io.arrays import as_rgb, crop_window, host_array
from jaxface.mapping import at, frame_map, pad, stack
from jaxface.models import tools
from jaxface.network_outputs import parse_each, regress_each
from jaxface.network_view import share
from jaxface.presets import Preset
from jaxface.program import Extras
from jaxface.rendering.camera import make_camera
from jaxface.stage_log import StageLog, run_stages
from jaxface.state import Shared, State, View
from jaxface.types import FaceError, Landmarks, MorphableModel
from jaxface.verdicts import reason


class Photo(NamedTuple):
    """A photo in [0, 1] with the landmarks of the face meant; `row` is its number in the batch."""

    row: int
    image: np.ndarray
    landmarks: Landmarks
    source: sources.Source


def find_faces(
    images: Sequence[np.ndarray], each: Sequence[sources.Source], log: StageLog, *, face: int | None
) -> tuple[list[Photo], dict[int, FaceError]]:
    """The photos that show a usable face, and by row what is wrong with the others."""
    seen: list[Photo] = []
    failed: dict[int, FaceError] = {}
    for row, (image, source) in enumerate(zip(images, each, strict=True)):
        log.begin("landmarks")
        try:
            rgb = as_rgb(image)
            landmarks, figures = sources.find_landmarks(rgb, source=source, face=face)
        except FaceError as error:
            failed[row] = error
            continue
        log.end("landmarks", row, figures)
        seen.append(Photo(row, rgb, landmarks, source))
    return seen, failed


def prepare(model: MorphableModel, preset: Preset, log: StageLog, *, rows: list[int]) -> Shared:
    """What all photos share."""
    log.begin("templates")
    shared = share(templates.prepare(model), preset)
    for row in rows:
        log.end("templates", row, {})
    return shared


def look(seen: list[Photo], *, focal_px: float | None, length: int) -> View:
    """The photos' views, padded to `length`, as far as they are known before a face is fitted."""
    views = []
    for photo in seen:
        height, width = photo.image.shape[:2]
        camera = make_camera(height=height, width=width, focal_px=focal_px)
        size, counts = (host_array(numbers, dtype=np.float32) for numbers in ([width, height], 1.0))
        views.append(View(photo.landmarks, camera, size, counts))
    return pad(stack(views), length=length)


@contextlib.contextmanager
def compiling(views: View, shared: Shared, used: tools.Tools, *, size: int) -> Iterator[None]:
    """Compiles the later stages in a thread of its own while the earlier ones run. Networks change what is seen: with
    them each stage compiles in its turn."""
    wanted = threading.Event()
    wanted.set()

    def work():
        with contextlib.suppress(Exception):  # the stage itself will meet it again, and tell
            program.compile_all(views, shared, size=size, wanted=wanted.is_set)

    thread = threading.Thread(target=work, name="compile")
    if used.regressor is None and used.parser is None:
        thread.start()
    try:
        yield
    finally:
        wanted.clear()
        if thread.ident is not None:
            thread.join()


def run_regression(
    seen: list[Photo], views: View, used: tools.Tools, shared: Shared, log: StageLog
) -> tuple[State, View]:
    """What a network makes of the faces: fits that are ready, or the poses to start from. Nothing without a network."""
    state, rows = State(), [photo.row for photo in seen]
    if used.regressor is None:
        return state, views
    log.begin("regression")
    clock = Clock()
    images, landmarks = [photo.image for photo in seen], [photo.landmarks for photo in seen]
    found, reasons = regress_each(images, landmarks, used, run=clock.run)
    views = views._replace(regression=pad(found, length=len(views.counts)))
    note = (
        f"only the pose is used: shapes are those of {tools.REGRESSED_MODEL}, and the face model is {used.model.name}"
    )
    for row, why in zip(rows, reasons, strict=True):
        log.end("regression", row, {}, why=why, note=note, **clock.seconds())
    if not used.shape_is_regressed:
        return state, views
    before = [log.reports[row].pop() for row in rows]
    state, _ = run_stages([program.REGRESSION], state, views, shared=shared, log=log, rows=rows)
    for row, why, report in zip(rows, reasons, before, strict=True):
        last = log.reports[row][-1]
        log.reports[row][-1] = dataclasses.replace(
            last, reason=why or last.reason, seconds=last.seconds + report.seconds
        )
    return state, views


def cut(
    seen: list[Photo], views: View, state: State, used: tools.Tools, log: StageLog, *, size: int, shared: Shared
) -> View:
    """The views with their crops, windows and what a network sees on them."""
    length = len(views.counts)
    crops = frame_map(program.cut_out, size=size)(state, views, shared=shared)
    each = [at(jax.tree.map(np.asarray, crops), index=place) for place in range(len(seen))]
    windows = [crop_window(photo.image, crop, size=size) for photo, crop in zip(seen, each, strict=True)]
    # Without what the coarse fit alone takes: the stages' programs are then those of photos without a network.
    views = views._replace(crop=crops, window=pad(stack(windows), length=length), regression=None)
    if used.parser is None:
        return views
    log.begin("parsing")
    clock = Clock()
    parsing, verdicts = parse_each([photo.image for photo in seen], each, used, size=size, run=clock.run)
    for photo, verdict in zip(seen, verdicts, strict=True):
        log.end("parsing", photo.row, verdict.figures, why=reason("parsing", verdict), **clock.seconds())
    return views._replace(parsing=pad(parsing, length=length))


def records(
    seen: list[Photo], state: State, views: View, *, shared: Shared, settings: dict[str, object], log: StageLog
) -> dict[int, Reconstruction]:
    """Everything known about each face, by row."""
    log.begin("textures")
    extras, seconds, compile_seconds = frame_map(program.finish).timed(state, views, shared=shared)
    state = State(state.fit, state.shape_mm, mesh=state.mesh)  # the maps hold what is kept of the rest
    known = jax.tree.map(np.asarray, (state, views, extras))
    times = Times(seconds=seconds / len(seen), compile_seconds=compile_seconds / len(seen))
    for photo in seen:
        log.end("textures", photo.row, {}, **times)
    return {
        photo.row: _record(photo, at(known, index=place), shared, settings, tuple(log.reports[photo.row]))
        for place, photo in enumerate(seen)
    }


def _record(
    photo: Photo, known: tuple[State, View, Extras], shared: Shared, settings: dict, stages: tuple
) -> Reconstruction:
    state, view, extras = known
    model, detail = shared.templates.model, shared.templates.detail
    base, dense = (lambda shape: templates.model_mesh(shape, model)), (lambda shape: templates.fine_mesh(shape, detail))
    return Reconstruction(
        image=photo.image, crop_image=host_array(view.window), crop=view.crop, camera=view.camera,
        landmarks=photo.landmarks, coarse_fit=state.fit, neutral=base(extras.neutral_mm),
        coarse=base(state.fit.vertices_mm), medium=base(state.shape_mm), phase1=dense(extras.phase1_mm),
        fine=dense(state.mesh.vertices_mm), fine_normals=host_array(state.mesh.normals),
        fine_colours=host_array(state.mesh.colours), maps=extras.maps, textures=extras.textures,
        relit=host_array(extras.relit), stages=stages,
        settings=settings | {"landmarks": sources.name_of(photo.source)}, model=model, model_name=model.name,
        model_licence=model.licence, expression_names=model.expression_names,
    )  # fmt: skip
