"""What a tracked clip leaves behind, from the journal's chunks in their order (host side)."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxface.export.animation import write_animation
from jaxface.export.clip import write_clip
from jaxface.export.expressions import as_arkit
from jaxface.export.glb import write_glb
from jaxface.export.meshes import surface_normals, write_ply
from jaxface.io.arrays import host_array
from jaxface.morphable.linear import expression_offsets
from jaxface.morphable.pose import rotation_matrix
from jaxface.tracking.frame_steps import PANEL
from jaxface.tracking.person import DetailSums, Person, add_texture, fuse_person, no_texture
from jaxface.tracking.person_fit import Fused
from jaxface.tracking.records import Track
from jaxface.tracking.reports import write_report, write_track_result, write_tracking_csv
from jaxface.tracking.run import Run
from jaxface.tracking.second_pass import overlay
from jaxface.types import Camera, Pose

FILES = ("mean.glb", "mean.ply", "animation.glb", "overlay.mp4", "tracking.csv", "report.png", "result.json")
_CAPTIONS, _STRIP = ("input", "coarse", "medium", "fine"), 28


def write_all(run: Run, fused: Fused, track: Track, sums: DetailSums, *, num_chunks: int) -> None:
    """The person, the animation, the overlay and the reports; result.json comes last."""
    run.progress("outputs", 0, len(FILES))
    person = _person(run, track, sums)
    maps = person.textures
    texture = host_array(maps.albedo)
    write_glb(run.folder / "mean.glb", person.mesh, normals=person.normals, albedo_texture=texture)
    write_ply(run.folder / "mean.ply", person.mesh, normals=person.normals, colours=person.colours)
    run.progress("outputs", 2, len(FILES))
    _write_animation(run, fused, track, texture, normal_map=host_array(maps.normals_tangent))
    run.progress("outputs", 3, len(FILES))
    pictures = _captioned(overlay(run, num_chunks=num_chunks))
    write_clip(run.folder / "overlay.mp4", pictures, frames_per_second=track.frames_per_second)
    write_tracking_csv(run.folder / "tracking.csv", track)
    write_report(run.folder / "report.png", track)
    write_track_result(run.folder / "result.json", track)
    run.progress("outputs", len(FILES), len(FILES))


def _person(run: Run, track: Track, sums: DetailSums) -> Person:
    template = run.full.templates.detail
    texture_sums = no_texture(template)
    painted = sorted(path.stem for path in (run.journal.folder / "texture").glob("*.npz") if path.stem != "filling")
    for stem in painted:
        arrays = run.journal.load(f"texture/{stem}")
        albedo, weight = (jnp.asarray(arrays[name], jnp.float32) for name in ("albedo", "weight"))
        texture_sums = _add_texture(texture_sums, albedo, weight)
    filling = jnp.asarray(run.journal.load("texture/filling")["albedo"], jnp.float32)
    neutral_mm = jnp.asarray(track.neutral.vertices_mm)
    return fuse_person(neutral_mm, sums, texture_sums, filling, templates=run.full.templates)


_add_texture = jax.jit(add_texture)


def _write_animation(run: Run, fused: Fused, track: Track, texture: np.ndarray, *, normal_map: np.ndarray) -> None:
    model, neutral = run.full.templates.model, track.neutral
    offsets_mm = host_array(expression_offsets(jnp.asarray(track.identity), model=model))
    names, morphs_mm, weights = as_arkit(model.expression_names, offsets_mm, track.expression)
    write_animation(
        run.folder / "animation.glb", neutral, normals=surface_normals(neutral.vertices_mm, neutral.triangles),
        morphs_mm=morphs_mm, names=names, weights=weights, rotations=_rotations(track.pose),
        translations_mm=_translations_mm(track.pose, fused.camera), times_s=_key_times_s(track),
        albedo_texture=texture, normal_map=normal_map,
    )  # fmt: skip


@jax.jit
def _turn(rotation_vectors):
    return jax.vmap(rotation_matrix)(rotation_vectors)


def _rotations(pose: Pose) -> np.ndarray:
    return np.asarray(_turn(jnp.asarray(pose.rotation_vector)))


def _translations_mm(pose: Pose, camera: Camera) -> np.ndarray:
    """Where the head is beside the camera's axis; its distance is that of the mean, as one eye cannot tell it."""
    from_middle = (pose.translation_px - camera.principal_point_px) * np.exp(-pose.log_scale)[:, None]
    return np.concatenate([from_middle * np.array([[1.0, -1.0]]), np.zeros((len(from_middle), 1))], axis=1)


def _key_times_s(track: Track) -> np.ndarray:
    """The frames' own times, from 0; photos follow one another at the clip's rate."""
    times_s = np.asarray(track.times_s, np.float64)
    if len(times_s) > 1 and np.all(np.diff(times_s) > 0.0):
        return times_s - times_s[0]
    return np.arange(len(times_s)) / track.frames_per_second


def _captioned(stills: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Each still under a strip that names its parts."""
    strip = Image.new("RGB", (PANEL * len(_CAPTIONS), _STRIP), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(16)
    for place, caption in enumerate(_CAPTIONS):
        draw.text(((place + 0.5) * PANEL, _STRIP / 2), caption, fill=(40, 40, 40), font=font, anchor="mm")
    for still in stills:
        yield np.concatenate([np.asarray(strip), still])
