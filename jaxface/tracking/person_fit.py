"""From every frame's own face to one person: identity, then pose and expression of each frame (host side)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxface import program
from jaxface.energies.landmarks import FaceUnknowns
from jaxface.mapping import at, frame_map, join, stack
from jaxface.stages import bundle
from jaxface.state import View
from jaxface.tracking.first_pass import Looked, chunk_name
from jaxface.tracking.frame_steps import LOOK_SIZE, TrackedPerson, put, rejoin, settle
from jaxface.tracking.named_arrays import pack, unpack
from jaxface.tracking.run import Run
from jaxface.types import Camera
from jaxface.verdicts import reason

ROUNDS = 2  # of the bundle; one can leave the person worse than none, measured on a rendered clip
_MEDIUM_FRAMES = 16  # spread over the clip: enough for a mean


class Fused(NamedTuple):
    """The person, and all frames of them (leading axis; `reason` is empty where a frame counts)."""

    person: TrackedPerson
    single_identity: np.ndarray
    face: FaceUnknowns
    residual_px: np.ndarray
    shading_residual: np.ndarray
    motion: np.ndarray
    camera: Camera
    image_size_px: np.ndarray
    confidence: np.ndarray
    reason: list[str]
    name: list[str]
    time_s: np.ndarray
    notes: list[str]


def fuse(run: Run, looked: Looked) -> Fused:
    """One identity for all frames, then every frame settled on it."""
    chunks = [_without_pictures(_load(run, "look", k)) for k in range(looked.num_chunks)]
    singles = join([unpack(each, "face", kind=FaceUnknowns).identity for each in chunks])
    good = np.concatenate([each["reason"] for each in chunks]) == ""
    if run.settings.fuse == "mean":
        identity, step = jnp.asarray(singles[good].mean(axis=0)), "look"
    else:
        identity, step = _bundle(run, chunks)
    return _settle(run, chunks, _person(run, identity), singles, step)


def _person(run: Run, identity: jax.Array) -> TrackedPerson:
    return TrackedPerson(run.look, identity, jnp.zeros_like(run.look.templates.model.mean_mm))


def _load(run: Run, step: str, index: int) -> dict[str, np.ndarray]:
    return run.journal.load(chunk_name(step, index=index))


def _without_pictures(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What may stay in memory for all frames."""
    confidence = arrays["view.landmarks.confidence"].mean(axis=1)
    large = ("view.window", "view.parsing", "view.landmarks", "information", "vector")
    return {name: array for name, array in arrays.items() if not name.startswith(large)} | {"confidence": confidence}


def _bundle(run: Run, chunks: list[dict]) -> tuple[jax.Array, str]:
    """Gauss-Newton over identity and all frames' motion, a chunk at a time; also the step that holds the last faces."""
    identity, before = _solve(run, "look", chunks), "look"
    for number in range(ROUNDS):
        step = f"bundle{number}"
        for index in range(len(chunks)):
            name = chunk_name(step, index=index)
            if not run.journal.has(name):
                view = unpack(_load(run, "look", index), "view", kind=View)
                faces, person = _faces(run, before, index), _person(run, identity)
                face, opinion = run.fetch(frame_map(rejoin), faces, view, shared=person)
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
    information: np.ndarray | float = 0.0
    vector: np.ndarray | float = 0.0
    for index in range(len(chunks)):
        arrays = _load(run, step, index)
        information, vector = information + arrays["information"], vector + arrays["vector"]
    number = float(sum(int(each["num_good"]) for each in chunks))
    return _fuse(jnp.asarray(information), jnp.asarray(vector), num_frames=number)


_fuse = jax.jit(bundle.fuse)


def _faces(run: Run, step: str, index: int) -> FaceUnknowns:
    return unpack(_load(run, step, index), "face", kind=FaceUnknowns)


def _settle(run: Run, chunks: list[dict], person: TrackedPerson, singles: np.ndarray, before: str) -> Fused:
    for index, chunk in enumerate(chunks):
        name = chunk_name("settle", index=index)
        if not run.journal.has(name):
            view = unpack(_load(run, "look", index), "view", kind=View)
            settled, verdicts = run.fetch(frame_map(settle), _faces(run, before, index), view, shared=person)
            reasons = [why or reason("person", at(verdicts, index=row)) for row, why in enumerate(chunk["reason"])]
            fit = settled.fit
            arrays = pack(face=FaceUnknowns(fit.pose, fit.identity, fit.expression)) | {
                "residual_px": fit.residual_px, "shading_residual": settled.shading_residual,
                "motion": settled.motion, "reason": np.array(reasons),
            }  # fmt: skip
            run.commit(name, arrays)
        run.progress("settle", index + 1, len(chunks))
    run.writer.flush()
    settled = [_load(run, "settle", k) for k in range(len(chunks))]
    return _add_medium(run, _collect(chunks, settled, person, singles))


def _collect(chunks: list[dict], settled: list[dict], person: TrackedPerson, singles: np.ndarray) -> Fused:
    def joined(parts: list[dict], name: str) -> np.ndarray:
        return np.concatenate([each[name] for each in parts])

    return Fused(
        person=person,
        single_identity=singles,
        face=join([unpack(each, "face", kind=FaceUnknowns) for each in settled]),
        residual_px=joined(settled, "residual_px"),
        shading_residual=joined(settled, "shading_residual"),
        motion=joined(settled, "motion"),
        camera=join([unpack(each, "view.camera", kind=Camera) for each in chunks]),
        image_size_px=joined(chunks, "view.image_size_px"),
        confidence=joined(chunks, "confidence"),
        reason=[str(each) for each in joined(settled, "reason")],
        name=[str(each) for each in joined(chunks, "name")],
        time_s=joined(chunks, "time_s"),
        notes=[],
    )


def _add_medium(run: Run, fused: Fused) -> Fused:
    """The person with what the medium stage adds: the mean over some frames, those of them whose verdict is good. Where
    most are left out, so is the stage; a note says in how many it is."""
    good = np.flatnonzero([not each for each in fused.reason])
    if not len(good):
        return fused
    chosen = good[np.unique(np.linspace(0, len(good) - 1, _MEDIUM_FRAMES).round().astype(int))]
    starts = range(0, len(chosen), run.chunk)
    for index, start in enumerate(starts):
        name = chunk_name("medium", index=index)
        if not run.journal.has(name):
            run.commit(name, _deform(run, fused, chosen[start : start + run.chunk]))
            run.writer.flush()
    chunks = [run.journal.load(chunk_name("medium", index=index)) for index in range(len(starts))]
    reasons = [str(each) for chunk in chunks for each in chunk["reason"]]
    left_out = [each for each in reasons if each]
    if left_out:
        where = f"in {len(left_out)} of {len(reasons)} frames"
        usual = max(left_out, key=left_out.count)
        fused = fused._replace(notes=[f"medium stage left out {where}: {usual}"])
    if 2 * len(left_out) > len(reasons):
        return fused
    offset_mm = jnp.asarray(np.concatenate([chunk["offset_mm"] for chunk in chunks]).mean(axis=0))
    return fused._replace(person=fused.person._replace(offset_mm=offset_mm))


def _deform(run: Run, fused: Fused, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What the medium stage adds to some frames (mm), without those of which it is left out, and why it is."""
    views = run.padded(stack([_view(run, int(row)) for row in rows]))
    faces = run.padded(jax.tree.map(lambda leaf: leaf[rows], fused.face))
    state, _ = run.call(frame_map(put, size=LOOK_SIZE), faces, views.camera, shared=fused.person)
    state, verdicts = run.stage(program.MEDIUM, state, views, shared=run.look)
    offset_mm = np.asarray(state.shape_mm)[: len(rows)] - np.asarray(state.fit.vertices_mm)[: len(rows)]
    reasons = np.array([reason("medium", at(verdicts, index=row)) for row in range(len(rows))])
    return {"offset_mm": offset_mm[reasons == ""], "reason": reasons}


def _view(run: Run, frame: int) -> View:
    chunk = unpack(_load(run, "look", frame // run.chunk), "view", kind=View)
    return at(chunk, index=frame % run.chunk)
