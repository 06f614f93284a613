"""From settled frames to a steady motion: the temporal energy over the whole clip (host side)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.energies.landmarks import FaceUnknowns
from jaxface.evaluation import motion
from jaxface.io.arrays import host_array
from jaxface.mapping import at
from jaxface.solvers.trajectory import smooth_trajectory
from jaxface.tracking.frame_steps import TrackedPerson, place
from jaxface.tracking.person_fit import Fused
from jaxface.types import MorphableModel, Pose, Region

STRENGTH = 20.0  # of the temporal energy at --smooth=1, per mm^2 of acceleration; measured on rendered clips
_LEVER_MM = 80.0  # from the head's middle to the face: what a turn moves
_QUICK_MM = 0.3  # per frame^2: what bends faster means to; with a plain square nods at 2 Hz lost a third
_ROUNDS = 6
_LONGEST_GAP_S = 1.0  # frames without a face are bridged over at most this
_POSE = 6  # numbers of a pose
_JITTER_VERTICES = 200


class Smoothed(NamedTuple):
    """Every frame's face, steady and as it was, and what became of each frame."""

    face: FaceUnknowns
    raw: FaceUnknowns
    status: tuple[str, ...]


def smooth(fused: Fused, *, strength: float, ordered: bool, model: MorphableModel) -> Smoothed:
    """Bridges the frames that do not count and steadies the rest; photos in no order stay as they are."""
    good = np.array([not reason for reason in fused.reason])
    if not good.any():
        raise ValueError("no frame counts")
    estimates = _as_rows(fused.face)
    raw = _bridged(estimates, good)
    rows = raw
    if ordered and strength > 0.0:
        information = np.where(good[:, None, None], fused.motion, 0.0).astype(np.float32)
        px_per_mm = float(np.exp(np.median(fused.face.pose.log_scale[good])))
        rows = np.asarray(
            _smooth(
                jnp.asarray(np.where(good[:, None], estimates, 0.0), jnp.float32),
                jnp.asarray(information),
                stiffness=_stiffness(model, px_per_mm),
                strength=jnp.float32(strength * STRENGTH),
                quick=jnp.float32(_QUICK_MM),
                num_rounds=_ROUNDS,
            )
        )
        low, high = model.expression_bounds
        rows = np.concatenate([rows[:, :_POSE], np.clip(rows[:, _POSE:], low, high)], axis=1)
    identity = np.broadcast_to(np.asarray(fused.person.identity), (len(rows), len(fused.person.identity)))
    status = _status(good, fused.time_s, ordered=ordered)
    return Smoothed(_as_faces(rows, identity), _as_faces(raw, identity), status)


_smooth = jax.jit(smooth_trajectory, static_argnames="num_rounds")


def jitter_figures(fused: Fused, smoothed: Smoothed) -> dict[str, float]:
    """Mean acceleration and spread of the head's surface in the camera frame, with and without the temporal term."""
    model = fused.person.shared.templates.model
    on_face = np.flatnonzero(np.asarray(model.vertex_regions) < Region.OUTSIDE)
    chosen = jnp.asarray(on_face[:: max(1, len(on_face) // _JITTER_VERTICES)])
    figures = {}
    for name, faces in (("", smoothed.face), ("raw_", smoothed.raw)):
        rows = range(len(fused.reason))
        paths = np.stack(
            [np.asarray(_place(at(faces, index=t), at(fused.camera, index=t), chosen, fused.person)) for t in rows]
        )
        figures[f"{name}jitter_mm_per_frame2"] = float(motion.jitter(paths)) if len(paths) > 2 else 0.0
        figures[f"{name}spread_mm"] = float(motion.spread(paths))
    return figures


@jax.jit
def _place(face, camera, chosen, person: TrackedPerson):
    return place(face, camera, shared=person)[chosen]


def _as_rows(face: FaceUnknowns) -> np.ndarray:
    """In the order of `bundle.Motion`'s numbers."""
    pose = face.pose
    return np.concatenate(
        [pose.rotation_vector, pose.translation_px, pose.log_scale[:, None], face.expression], axis=1
    ).astype(np.float64)


def _as_faces(rows: np.ndarray, identity: np.ndarray) -> FaceUnknowns:
    x = host_array(rows, dtype=np.float32)
    return FaceUnknowns(Pose(x[:, :3], x[:, 3:5], x[:, 5]), host_array(identity, dtype=np.float32), x[:, _POSE:])


def _bridged(rows: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Frames that do not count lie on straight lines between those that do; at the ends the nearest holds."""
    times, seen = np.arange(len(rows)), np.flatnonzero(good)
    return np.stack([np.interp(times, seen, column[seen]) for column in rows.T], axis=1)


def _status(good: np.ndarray, times_s: np.ndarray, *, ordered: bool) -> tuple[str, ...]:
    """A frame in a short gap is bridged, one in a long gap or at an end is lost; photos are never bridged."""
    seen = np.flatnonzero(good)
    states = []
    for t, is_good in enumerate(good):
        after = int(np.searchsorted(seen, t))
        inside = ordered and 0 < after < len(seen)
        short = inside and times_s[seen[after]] - times_s[seen[after - 1]] <= _LONGEST_GAP_S
        states.append("ok" if is_good else "bridged" if short else "lost")
    return tuple(states)


def _stiffness(model: MorphableModel, px_per_mm: float) -> jax.Array:
    """Millimetres of the surface for a unit of each unknown."""
    is_face = np.asarray(model.vertex_regions) < Region.BORDER
    basis_mm = np.asarray(model.expression_basis_mm)[:, is_face]
    moves_mm = np.sqrt(np.mean(np.sum(basis_mm**2, axis=2), axis=1))
    return jnp.asarray(np.concatenate([[_LEVER_MM] * 3, [1.0 / px_per_mm] * 2, [_LEVER_MM], moves_mm]), jnp.float32)
