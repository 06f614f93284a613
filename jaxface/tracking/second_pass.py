"""The second pass over a clip: light, depth and detail of every frame, and what the person gains (host side)."""

import contextlib
import itertools
import os
import pathlib
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxface import program
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.energies.temporal import DetailState, filter_detail, unseen_detail
from jaxface.export.meshes import write_obj, write_ply
from jaxface.io.arrays import host_array
from jaxface.io.atomic import new_file
from jaxface.io.video import read_frames
from jaxface.mapping import at, frame_map, join, stack
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import cropped
from jaxface.stages import detail
from jaxface.state import Shared, State, View
from jaxface.templates import fine_mesh
from jaxface.tracking.first_pass import ABSENT, chunk_name, cut_window
from jaxface.tracking.frame_steps import PANEL, aim, lift, put
from jaxface.tracking.named_arrays import pack, unpack
from jaxface.tracking.person import DetailSums, add_detail, no_detail
from jaxface.tracking.person_fit import Fused
from jaxface.tracking.run import Run
from jaxface.tracking.smoothing import Smoothed
from jaxface.tracking.threads import prefetch
from jaxface.types import Crop
from jaxface.verdicts import Verdict, reason

DETAIL_STRENGTH = 2.0  # of the detail's steadiness at --smooth=1, in units of trust: a gain of 1/2 (not yet measured)
_KEY_FRAMES = 9  # frames whose albedo is painted on the person
_QUALITY = 92  # of the overlay's stills


class Carried(NamedTuple):
    """What goes from chunk to chunk, and which chunk comes next."""

    detail: DetailState
    sums: DetailSums
    next_chunk: np.ndarray


def refine(run: Run, fused: Fused, smoothed: Smoothed) -> DetailSums:
    """Refines all frames that were not refined before; results of each are in the journal and in `frames/`."""
    carried = _carried(run)
    first = int(carried.next_chunk)
    crops = _aim(run, fused, smoothed)
    keys = key_frames(fused, smoothed)
    (run.folder / "frames").mkdir(parents=True, exist_ok=True)
    number = len(fused.reason)
    with contextlib.closing(prefetch(_seen(run, fused, smoothed, crops, first), depth=2 * run.chunk)) as stream:
        for index in itertools.count(first):
            seen = list(itertools.islice(stream, run.chunk))
            if not seen:
                break
            carried = _refine_chunk(run, fused, keys, index, seen, carried)
            run.progress("refine", min((index + 1) * run.chunk, number), number)
    run.writer.flush()
    return carried.sums


def key_frames(fused: Fused, smoothed: Smoothed) -> list[int]:
    """The most frontal frame, then others spread evenly over the turns of the head."""
    good = np.flatnonzero([not reason for reason in fused.reason])
    turns = np.asarray(jax.vmap(rotation_matrix)(jnp.asarray(smoothed.face.pose.rotation_vector[good])))
    frontal = int(good[np.argmax(turns[:, 2, 2])])
    by_yaw = good[np.argsort(np.arctan2(turns[:, 0, 2], turns[:, 2, 2]), kind="stable")]
    spread = by_yaw[np.linspace(0, len(by_yaw) - 1, min(_KEY_FRAMES, len(by_yaw))).round().astype(int)]
    return list(dict.fromkeys([frontal, *(int(t) for t in spread)]))


def load_light(run: Run, *, num_chunks: int) -> np.ndarray:
    """Light of every frame."""
    return np.concatenate([run.journal.load(chunk_name("refine", index=k))["light"] for k in range(num_chunks)])


def load_notes(run: Run, *, num_chunks: int) -> list[str]:
    """What was left out of each frame, empty where nothing was."""
    chunks = [run.journal.load(chunk_name("refine", index=k))["note"] for k in range(num_chunks)]
    return [str(note) for chunk in chunks for note in chunk]


def overlay(run: Run, *, num_chunks: int) -> Iterator[np.ndarray]:
    """The pictures of the overlay, frame after frame."""
    for index in range(num_chunks):
        arrays = run.journal.load(chunk_name("refine", index=index))
        for still in np.split(arrays["stills"], arrays["still_ends"][:-1]):
            yield iio.imread(still.tobytes(), plugin="pillow")


def _carried(run: Run) -> Carried:
    if run.journal.has("refine/carried"):
        return unpack(run.journal.load("refine/carried"), "carried", kind=Carried)
    template = run.full.templates.detail
    sums = no_detail(template)
    return Carried(unseen_detail(num_vertices=sums.weight.shape[0]), sums, np.array(0))


def _aim(run: Run, fused: Fused, smoothed: Smoothed) -> Crop:
    number = len(fused.reason)
    crops = []
    for start in range(0, number, run.chunk):
        rows = slice(start, min(start + run.chunk, number))
        face, camera = jax.tree.map(lambda leaf, rows=rows: leaf[rows], (smoothed.face, fused.camera))
        crops.append(run.fetch(frame_map(aim, size=run.settings.size), face, camera, shared=fused.person))
    return join(crops)


def _seen(run: Run, fused: Fused, smoothed: Smoothed, crops: Crop, first: int) -> Iterator[tuple[FaceUnknowns, View]]:
    """Faces and views with their windows, from the first chunk that is not done."""
    reader = iter(read_frames(run.clip, first=first * run.chunk))
    for t in range(first * run.chunk, len(fused.reason)):
        with run.timeline.lane("decode"):
            frame = next(reader, None)
            image = None if frame is None else frame.image
            crop = at(crops, index=t)
            window, parsing = cut_window(image, crop, run.tools, size=run.settings.size)
        view = View(
            landmarks=ABSENT, camera=at(fused.camera, index=t), image_size_px=host_array(fused.image_size_px[t]),
            counts=host_array(image is not None and not fused.reason[t], dtype=np.float32), crop=crop,
            window=host_array(window), parsing=parsing,
        )  # fmt: skip
        yield at(smoothed.face, index=t), view


def _refine_chunk(
    run: Run, fused: Fused, keys: list[int], index: int, seen: list[tuple[FaceUnknowns, View]], carried: Carried
) -> Carried:
    number, host_faces, host_views = len(seen), stack([face for face, _ in seen]), stack([view for _, view in seen])
    faces, views = run.padded((host_faces, host_views))
    views = views._replace(counts=np.where(np.arange(run.chunk) < number, views.counts, np.float32(0.0)))
    state, _ = run.call(frame_map(put, size=run.settings.size), faces, views.camera, shared=fused.person)
    verdicts = {}
    for stage in program.surface_stages(run.full):
        state, verdicts[stage.name] = run.stage(stage, state, views, shared=run.full)
    strength = DETAIL_STRENGTH * run.settings.smooth if run.settings.ordered else 0.0
    with run.timeline.lane("device"):
        steady_mm, detail_state, sums = _steady(
            state.mesh, jnp.asarray(views.counts), carried.detail, carried.sums, strength=strength
        )
    for row in range(number):
        if index * run.chunk + row in keys:
            _paint(run, at(state, index=row), at(views, index=row), index * run.chunk + row, keys)
    meshes, pictures, height_px = run.call(frame_map(lift), state, views, steady_mm, shared=run.full)
    known = jax.tree.map(
        lambda leaf: np.asarray(leaf)[:number], (state.scene.light, height_px, state.scene.covered, pictures)
    )
    light, height_px, mask, pictures = known
    carried = jax.tree.map(np.asarray, Carried(detail_state, sums, np.array(index + 1)))
    dense = jax.tree.map(np.asarray, meshes) if run.settings.meshes else None
    run.writer.submit(_write_frames, run, index, host_faces, host_views, light, height_px, mask, dense)
    stills = [_still(host_views.window[row], pictures[row]) for row in range(number)]
    arrays = {
        "light": light,
        "note": np.array([_note(verdicts, row) if host_views.counts[row] else "" for row in range(number)]),
        "stills": np.concatenate(stills),
        "still_ends": np.cumsum([len(still) for still in stills]),
    }
    run.commit(chunk_name("refine", index=index), arrays)
    run.commit("refine/carried", pack(carried=carried))
    return carried


@jax.jit
def _steady(mesh, counts, state, sums, *, strength):
    """Detail steadied over time, and the person's sums with these frames, one after the other."""
    trust = mesh.trust * counts[:, None]
    steady_mm, state = filter_detail(mesh.displacement_mm, trust, state, strength=strength)
    mesh = mesh._replace(trust=trust)
    sums, _ = jax.lax.scan(lambda sums, each: (add_detail(sums, each), None), sums, mesh)
    return steady_mm, state, sums


def _paint(run: Run, state: State, view: View, number: int, keys: list[int]) -> None:
    """What a key frame shows of the person's albedo; the first of them, the most frontal, also the whole texture."""
    albedo, weight = _see(state, view, run.full)
    run.commit(
        f"texture/{number:06d}", {"albedo": np.asarray(albedo, np.float16), "weight": np.asarray(weight, np.float16)}
    )
    if number == keys[0]:
        run.commit("texture/filling", {"albedo": np.asarray(_bake(state, view, run.full), np.float16)})


@jax.jit
def _see(state: State, view: View, shared: Shared):
    crop_pose, crop_camera = cropped(state.fit.pose, view.camera, view.crop)
    maps = program.fine_maps(state)
    return detail.seen_albedo(state.mesh, maps, crop_pose, crop_camera, template=shared.templates.detail)


@jax.jit
def _bake(state: State, view: View, shared: Shared):
    return program.texture(state, program.fine_maps(state), view, shared).albedo


def _note(verdicts: dict[str, Verdict], row: int) -> str:
    """The first stage that was left out of a frame, and why."""
    for name, verdict in verdicts.items():
        if why := reason(name, at(verdict, index=row)):
            return f"{name} left out: {why}"
    return ""


def _still(window: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Input, coarse, medium and fine in a row, as the bytes of a JPEG."""
    small = np.asarray(Image.fromarray(window).resize((PANEL, PANEL), Image.Resampling.LANCZOS))
    row = np.concatenate([small, *pictures], axis=1)
    return np.frombuffer(iio.imwrite("<bytes>", row, plugin="pillow", extension=".jpeg", quality=_QUALITY), np.uint8)


def _write_frames(run: Run, index: int, faces, views, light, height_px, mask, dense) -> None:
    """`frames/000123.npz` and, if wanted, the frame's mesh."""
    with run.timeline.lane("write"):
        for row in range(len(light)):
            stem = run.folder / "frames" / f"{index * run.chunk + row:06d}"
            face, crop = at(faces, index=row), at(views.crop, index=row)
            px_per_mm = np.exp(face.pose.log_scale) * crop.zoom
            height_mm = np.where(mask[row] > 0.5, height_px[row] / px_per_mm, np.nan).astype(np.float16)
            arrays = pack(pose=face.pose, crop=crop, expression=face.expression) | {
                "identity": face.identity, "light": light[row], "height_mm": height_mm, "px_per_mm": px_per_mm,
                "counts": views.counts[row],
            }  # fmt: skip
            _write_npz(stem.with_suffix(".npz"), arrays)
            if dense is not None:
                write_mesh(stem, at(dense, index=row), run.full.templates.detail, kind=run.settings.meshes)


def write_mesh(stem: pathlib.Path, shape: detail.Displaced, template: detail.DetailTemplate, *, kind: str) -> None:
    """A frame's mesh as `kind`, "ply" or "obj", without colours: those are the person's."""
    mesh = fine_mesh(host_array(shape.vertices_mm), template)
    write = write_ply if kind == "ply" else write_obj
    write(stem.with_suffix(f".{kind}"), mesh, normals=host_array(shape.normals))


def _write_npz(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Compressed, and without a clock in it: the same arrays are the same bytes."""
    with new_file(path) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
