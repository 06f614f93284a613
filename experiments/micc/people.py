"""One person from each video: three neutral meshes, as coarse, medium and fine stage leave them.

All three are on the triangles of the subdivided model, so that they differ in shape alone, not in how densely they are
sampled. Their first vertices are those of the model, and carry its landmarks.
"""

import pathlib
import shutil
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from common import program

from jaxface.evaluation.surfaces import FaceSurface
from jaxface.io.atomic import new_file
from jaxface.io.surfaces import read_surface
from jaxface.io.video import open_clip
from jaxface.mapping import chunk_length
from jaxface.models import store
from jaxface.models.result_landmarks import result_landmarks
from jaxface.morphable.linear import face_shape
from jaxface.tracking.records import FRAME_STATES, Track, TrackSettings
from jaxface.tracking.track import WORK, track

STAGES = ("coarse", "medium", "fine")
MESHES = "meshes.npz"  # in a video's folder, written last


class Variant(NamedTuple):
    """How videos become people: the name of an installed face model, whose settings, and how frames become one."""

    model: str = "default"
    preset: str = "default"
    fuse: str = "bundle"

    @property
    def name(self) -> str:
        """Short, for tables."""
        return self.fuse + self.differences

    @property
    def differences(self) -> str:
        """What is not usual in model and preset."""
        preset = "" if self.preset == "default" else f", {self.preset} preset"
        return preset + ("" if self.model == "default" else f", {self.model} model")


class Sampling(NamedTuple):
    """Which frames: at most `max_frames`, every `stride`-th from the first; without a stride, as many, spread over the
    whole video."""

    max_frames: int
    stride: int | None = None


class Person(NamedTuple):
    """Neutral faces (object frame, mm) by stage, how many frames are in each state, and what to know about them."""

    surfaces: dict[str, FaceSurface]
    frames: dict[str, int]
    notes: tuple[str, ...]


def choose_settings(video: pathlib.Path, variant: Variant, *, size: int, sampling: Sampling) -> TrackSettings:
    """How to track a video. Frames that were sampled are no neighbours in time. Chunks are of one length whatever the
    video's, so that everything compiles once. Raises FaceError for a video that cannot be read."""
    total, most = open_clip(video).num_frames, sampling.max_frames
    stride = sampling.stride or max(1, total // most)
    spare = 0 if sampling.stride else total - 1 - stride * (min(most, -(-total // stride)) - 1)
    return TrackSettings(
        **variant._asdict(), size=size, start=spare // 2, stride=stride, max_frames=most, ordered=False,
        chunk=chunk_length(size=size, num_frames=most, override=None),
    )  # fmt: skip


def reconstruct(video: pathlib.Path, folder: pathlib.Path, *, settings: TrackSettings) -> Person:
    """The person in a video. `folder` holds what was done: an interrupted run goes on there, of a finished one the
    tracker's results for the eye and meshes.npz stay, and are only read. Raises FaceError."""
    if not (folder / MESHES).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _store(folder, track(video, folder, settings=settings))
    for done in (WORK, "frames"):  # what the tracker needs to go on is large, and no longer needed
        shutil.rmtree(folder / done, ignore_errors=True)
    with np.load(folder / MESHES) as stored:
        surfaces = {
            stage: FaceSurface(stored[stage].astype(np.float64), stored["triangles"], stored[f"{stage}_landmarks"])
            for stage in STAGES
        }
        return Person(surfaces, dict(zip(FRAME_STATES, stored["frames"].tolist(), strict=True)), tuple(stored["notes"]))


def smooth_shapes(found: Track) -> dict[str, np.ndarray]:
    """Fine vertices of the shared identity alone, and with what the medium stage adds."""
    model = store.resolve(found.settings.model)
    neutral = jnp.zeros(model.expression_basis_mm.shape[0])
    coarse = face_shape(jnp.asarray(found.identity, jnp.float32), neutral, model=model)
    medium = jnp.asarray(found.neutral.vertices_mm, jnp.float32)
    shapes = {"coarse": coarse, "medium": medium}
    return {stage: np.asarray(program.to_fine(shape, model)) for stage, shape in shapes.items()}


def _store(folder: pathlib.Path, found: Track) -> None:
    fine_mm, triangles = read_surface(folder / "mean.ply")
    shapes = smooth_shapes(found) | {"fine": np.asarray(fine_mm, np.float32)}
    landmarks = {
        f"{stage}_landmarks": result_landmarks(folder / "mean.ply", shape, triangles)[0]
        for stage, shape in shapes.items()
    }
    rest = {
        "triangles": triangles,
        "frames": np.array([found.status.count(state) for state in FRAME_STATES]),
        "notes": np.array(found.notes, dtype=str),
    }
    with new_file(folder / MESHES) as fresh:
        np.savez_compressed(fresh, **shapes, **landmarks, **rest)
