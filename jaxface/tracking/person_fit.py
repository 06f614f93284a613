"""From every frame's own face to one person: identity, then pose and expression of each frame (host side)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import checks
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.morphable.pose import rotation_matrix
from jaxface.stages import bundle
from jaxface.tracking.first_pass import Looked, chunk_name
from jaxface.tracking.frame_steps import Shared, Sight, State
from jaxface.tracking.named_arrays import at, join, pack, stack, unpack
from jaxface.tracking.run import Run
from jaxface.types import Camera

ROUNDS = 2  # of the bundle; one can leave the person worse than none, measured on a rendered clip
_MEDIUM_FRAMES = 16  # spread over the clip: enough for a mean
_TURNED_AWAY_DEGREES = 75.0


class Fused(NamedTuple):
    """The person, and all frames of them (leading axis; `reason` is empty where a frame counts)."""

    shared: Shared
    single_identity: np.ndarray
    state: State
    motion: np.ndarray
    camera: Camera
    image_size_px: np.ndarray
    confidence: np.ndarray
    reason: list[str]
    name: list[str]
    time_s: np.ndarray
    notes: list[str]


def fuse(run: Run, looked: Looked, shared: Shared) -> Fused:
    """One identity for all frames, then every frame settled on it."""
    chunks = [_without_pictures(_load(run, "look", k)) for k in range(looked.num_chunks)]
    singles = join([unpack(each, "state", kind=State).face.identity for each in chunks])
    good = np.concatenate([each["reason"] for each in chunks]) == ""
    if run.settings.fuse == "mean":
        identity, step = jnp.asarray(singles[good].mean(axis=0)), "look"
    else:
        identity, step = _bundle(run, chunks, shared)
    return _settle(run, chunks, shared._replace(identity=identity), singles, step)


def _load(run: Run, step: str, index: int) -> dict[str, np.ndarray]:
    return run.journal.load(chunk_name(step, index=index))


def _without_pictures(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What may stay in memory for all frames."""
    confidence = arrays["sight.landmarks.confidence"].mean(axis=1)
    kept = {name: array for name, array in arrays.items() if name not in ("sight.window", "information", "vector")}
    kept = {name: array for name, array in kept.items() if not name.startswith("sight.landmarks")}
    return kept | {"confidence": confidence}


def _bundle(run: Run, chunks: list[dict], shared: Shared) -> tuple[jax.Array, str]:
    """Gauss-Newton over identity and all frames' motion, a chunk at a time; also the step that holds the last faces."""
    identity, before = _solve(run, "look", chunks), "look"
    for number in range(ROUNDS):
        step = f"bundle{number}"
        for index in range(len(chunks)):
            name = chunk_name(step, index=index)
            if not run.journal.has(name):
                faces = _faces(run, before, index)
                sight = unpack(_load(run, "look", index), "sight", kind=Sight)
                face, opinion = run.fetch("rejoin", sight, faces, shared=shared._replace(identity=identity))
                good = (chunks[index]["reason"] == "") & np.isfinite(opinion.vector).all(axis=-1)
                sums = {
                    "information": opinion.information[good].sum(axis=0),
                    "vector": opinion.vector[good].sum(axis=0),
                }
                run.commit(name, pack(face=face) | sums)
            run.progress("bundle", number * len(chunks) + index + 1, ROUNDS * len(chunks))
        run.writer.flush()
        identity, before = _solve(run, step, chunks), step
    return identity, before


def _solve(run: Run, step: str, chunks: list[dict]) -> jax.Array:
    """The identity that all chunks' sums ask for; added up in order, one in memory at a time."""
    information, vector = 0.0, 0.0
    for index in range(len(chunks)):
        arrays = _load(run, step, index)
        information, vector = information + arrays["information"], vector + arrays["vector"]
    number = float(sum(int(each["num_good"]) for each in chunks))
    return _fuse(jnp.asarray(information), jnp.asarray(vector), num_frames=number)


_fuse = jax.jit(bundle.fuse)


def _faces(run: Run, step: str, index: int) -> FaceUnknowns:
    arrays = _load(run, step, index)
    return unpack(arrays, "state", kind=State).face if step == "look" else unpack(arrays, "face", kind=FaceUnknowns)


def _settle(run: Run, chunks: list[dict], shared: Shared, singles: np.ndarray, before: str) -> Fused:
    for index, chunk in enumerate(chunks):
        name = chunk_name("settle", index=index)
        if not run.journal.has(name):
            sight = unpack(_load(run, "look", index), "sight", kind=Sight)
            settled = run.fetch("settle", sight, _faces(run, before, index), shared=shared)
            reasons = [
                reason or _judge(at(settled.state, index=row), at(sight, index=row))
                for row, reason in enumerate(chunk["reason"])
            ]
            arrays = pack(state=settled.state) | {"motion": settled.motion, "reason": np.array(reasons)}
            run.commit(name, arrays)
        run.progress("settle", index + 1, len(chunks))
    run.writer.flush()
    settled = [_load(run, "settle", k) for k in range(len(chunks))]
    return _add_medium(run, _collect(chunks, settled, shared, singles))


def _judge(state: State, sight: Sight) -> str:
    """Why a frame should not count, if it should not."""
    if not state.finite:
        return "the fit did not stay finite"
    away = np.degrees(
        np.arccos(np.clip(float(rotation_matrix(jnp.asarray(state.face.pose.rotation_vector))[2, 2]), -1.0, 1.0))
    )
    if away > _TURNED_AWAY_DEGREES:
        return "the face is turned away"
    face_px = float(sight.window.shape[0] / sight.crop.zoom)
    if state.residual_px > checks.MAX_COARSE_RESIDUAL * face_px:
        return "the landmarks do not look like this person's face"
    return ""


def _collect(chunks: list[dict], settled: list[dict], shared: Shared, singles: np.ndarray) -> Fused:
    state = join([unpack(each, "state", kind=State) for each in settled])
    reason = [str(each) for chunk in settled for each in chunk["reason"]]
    return Fused(
        shared=shared,
        single_identity=singles,
        state=state,
        motion=np.concatenate([each["motion"] for each in settled]),
        camera=join([unpack(each, "sight.camera", kind=Camera) for each in chunks]),
        image_size_px=np.concatenate([each["sight.image_size_px"] for each in chunks]),
        confidence=np.concatenate([each["confidence"] for each in chunks]),
        reason=reason,
        name=[str(each) for chunk in chunks for each in chunk["name"]],
        time_s=np.concatenate([each["time_s"] for each in chunks]),
        notes=[],
    )


def _add_medium(run: Run, fused: Fused) -> Fused:
    """The person with what the medium stage adds, the mean over some frames, unless shading tells against it."""
    good = np.flatnonzero([not each for each in fused.reason])
    if not len(good):
        return fused
    chosen = good[np.unique(np.linspace(0, len(good) - 1, _MEDIUM_FRAMES).round().astype(int))]
    offsets_mm, residuals = [], []
    for start in range(0, len(chosen), run.chunk):
        name = chunk_name("medium", index=start // run.chunk)
        if not run.journal.has(name):
            rows = chosen[start : start + run.chunk]
            sights = stack([_sight(run, int(t)) for t in rows])
            faces = jax.tree.map(lambda leaf, rows=rows: leaf[rows], fused.state.face)
            offset_mm, residual = run.fetch("deform", sights, faces, shared=fused.shared)
            finite = np.isfinite(offset_mm).all(axis=(1, 2))
            run.commit(name, {"offset_mm": offset_mm[finite], "residuals": residual[finite]})
            run.writer.flush()
        arrays = run.journal.load(name)
        offsets_mm.append(arrays["offset_mm"])
        residuals.append(arrays["residuals"])
    before, after = np.median(np.concatenate(residuals), axis=0) if len(np.concatenate(residuals)) else (0.0, 1.0)
    if not after <= before:
        note = "medium stage left out: its shading explains the frames worse than the coarse shape's"
        return fused._replace(notes=[note])
    offset_mm = jnp.asarray(np.concatenate(offsets_mm).mean(axis=0))
    return fused._replace(shared=fused.shared._replace(offset_mm=offset_mm))


def _sight(run: Run, frame: int) -> Sight:
    chunk = unpack(_load(run, "look", frame // run.chunk), "sight", kind=Sight)
    return at(chunk, index=frame % run.chunk)
