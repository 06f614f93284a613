"""A tracked clip against the truth of its film: the person, each frame's shape, steadiness, blinks."""

from collections.abc import Iterator
from typing import NamedTuple

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np
from common import faces, truth

from jaxface.detection.sources import find_landmarks
from jaxface.evaluation import motion
from jaxface.evaluation.alignment import procrustes, transform
from jaxface.morphable.linear import face_shape, has_landmark, landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.rendering.camera import orthographic, project
from jaxface.tracking.records import Track
from jaxface.types import FaceError, Landmarks, MorphableModel, Pose, Region
from video_study.film import Film
from video_study.script import blink_frames

NUM_POINTS = 1000  # of the truth, for ICP: a third of accuracy.py's, as there are many frames
_SURFACE_POINTS = 2000  # of the truth, for its jitter
_BLINK_REACH = 2  # frames either side of the shut one in which the tracked lids may be shut
# MediaPipe's points on the upper and lower lids, those that iBUG's 68 know too.
_LIDS = ((160, 144), (158, 153), (385, 380), (387, 373))


class Figures(NamedTuple):
    """What is known about one track. By frame: RMSE of the shape, NaN where not all tracks are "ok"; yaw; the eyes'
    opening. Mean acceleration of the surface and of the landmarks' errors, mm/frame^2; rms of these errors."""

    rmse_mm: np.ndarray
    yaw_degrees: np.ndarray
    lids_mm: np.ndarray
    acceleration_mm: float
    error_acceleration_mm: float
    landmark_mm: float


@jax.jit
def _shape(expression, identity, neutral_mm, model):
    """The tracked person with an expression: what the fitted neutral adds to the model stays."""
    rest = face_shape(identity, jnp.zeros_like(expression), model=model)
    return face_shape(identity, expression, model=model) + neutral_mm - rest


@jax.jit
def _neutral(identity, model):
    return face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)


def tracked_shape(track: Track, frame: int, *, model: MorphableModel) -> jax.Array:
    """The shape of one frame, object frame."""
    parts = (track.expression[frame], track.identity, track.neutral.vertices_mm)
    return _shape(*(jnp.asarray(part, jnp.float32) for part in parts), model)


def tracked_pose(track: Track, frame: int) -> Pose:
    """The pose of one frame."""
    return Pose(*(jnp.asarray(rows[frame], jnp.float32) for rows in track.pose))


def ok_frames(track: Track) -> np.ndarray:
    """Indices of the frames that were tracked, not bridged."""
    return np.flatnonzero(np.array(track.status) == "ok")


def people(track: Track, *, model: MorphableModel) -> dict[str, jax.Array]:
    """Neutral faces by name: the clip's, the same by its coefficients alone, and what each frame alone says."""
    found = {"clip": jnp.asarray(track.neutral.vertices_mm, jnp.float32)}
    found["coefficients"] = _neutral(jnp.asarray(track.identity, jnp.float32), model)
    for frame in ok_frames(track):
        found[f"frame {frame}"] = _neutral(jnp.asarray(track.single_identity[frame], jnp.float32), model)
    return found


def identity_errors(film: Film, people_mm: dict[str, jax.Array], *, model: MorphableModel) -> dict[str, float]:
    """RMSE (mm) of each neutral face after similarity ICP: the true one's points as seen from the front."""
    smooth, rough = film.actor.shapes_mm({})
    frontal = _frontal(smooth[: film.actor.num_front], size=film.size)
    head, rows = film.actor.head, _common_rows(film, model)
    places = head.landmarks
    there = np.sum(places.weights[..., None] * np.asarray(smooth)[places.corners], axis=1)
    there = there[np.isin(places.rows, rows)].astype(np.float64)
    shapes = {}
    for name, vertices in people_mm.items():
        own = np.asarray(landmark_positions(vertices, model=model), np.float64)[rows]
        moved = transform(np.asarray(vertices, np.float64), similarity=procrustes(own, there))
        shapes[name] = _draw(jnp.asarray(moved, jnp.float32), frontal, model, size=film.size)
    return _errors(film, smooth, rough, frontal, shapes)


def frame_errors(film: Film, tracks: dict[str, Track], frame: int, *, model: MorphableModel) -> dict[str, float]:
    """RMSE (mm) of one frame's shape in each track after similarity ICP, all on the same true points."""
    shapes = {
        name: _draw(tracked_shape(track, frame, model=model), tracked_pose(track, frame), model, size=film.size)
        for name, track in tracks.items()
    }
    return _errors(film, *film.shapes_mm(frame), film.pose(frame), shapes)


def figures(film: Film, tracks: dict[str, Track], *, model: MorphableModel) -> dict[str, Figures]:
    """Every track's figures, and under "truth" the film's own."""
    found = {name: np.full(film.num_frames, np.nan) for name in tracks}
    shared = set.intersection(*(set(ok_frames(track).tolist()) for track in tracks.values()))
    for frame in sorted(shared):
        for name, error in frame_errors(film, tracks, frame, model=model).items():
            found[name][frame] = error
    rows = _common_rows(film, model)
    results = {name: _track_figures(film, track, found[name], rows, model) for name, track in tracks.items()}
    nothing, true_mm = np.zeros(film.num_frames), film.points_px / _px_per_mm(film)
    jitter = motion.jitter(_true_surface(film))
    results["truth"] = Figures(nothing, _yaws(film.poses), lid_gaps(true_mm), jitter, 0.0, 0.0)
    return results


def still_figures(film: Film, track: Track, *, model: MorphableModel) -> dict[str, float]:
    """Standard deviation of the tracked vertices over time (mm) and their acceleration (mm/frame^2); where the film is
    still, all of it is error."""
    return {
        "spread_mm": motion.spread(_tracked_surface(film, track, model=model)),
        "jitter_mm_per_frame2": motion.jitter(_tracked_surface(film, track, model=model)),
    }


def detected_blink(film: Film) -> float | None:
    """How far the lids close in what the detector sees (mm at the true scale); None where it does not see every
    frame's face."""
    try:
        found = [find_landmarks(iio.imread(film.path(frame), plugin="pillow"))[0] for frame in range(film.num_frames)]
    except FaceError:
        return None
    points_px = np.stack([np.asarray(each.points_px, np.float64) for each in found])
    return blink_depth(lid_gaps(points_px / _px_per_mm(film)))


def lid_gaps(landmarks_mm: np.ndarray) -> np.ndarray:
    """Mean distance of upper from lower lids in each frame, from rows of MediaPipe's points."""
    upper, lower = np.array(_LIDS).T
    return np.linalg.norm(landmarks_mm[:, upper] - landmarks_mm[:, lower], axis=-1).mean(axis=1)


def blink_depth(lids_mm: np.ndarray) -> float:
    """How far the lids close in the blinks, against the upper quartile of their opening (mm); the mean of both."""
    shut = [lids_mm[max(at - _BLINK_REACH, 0) : at + _BLINK_REACH + 1].min() for at in blink_frames(len(lids_mm))]
    return float(np.percentile(lids_mm, 75) - np.mean(shut))


def camera_mm(vertices_mm: jax.Array, pose: Pose, *, size: int) -> np.ndarray:
    """The camera frame about the picture's middle, in mm at the pose's own scale."""
    px = np.asarray(project(vertices_mm, pose, camera=orthographic()), np.float64)
    middle = (size - 1) / 2.0
    centred = (px - np.array([[middle, middle, 0.0]])) * np.array([[1.0, -1.0, 1.0]])
    return centred * np.exp(-float(pose.log_scale))


def _track_figures(film, track, rmse_mm, rows, model) -> Figures:
    points_mm, points_px = [], []
    for frame in range(film.num_frames):
        points_mm.append(landmark_positions(tracked_shape(track, frame, model=model), model=model))
        points_px.append(project(points_mm[-1], tracked_pose(track, frame), camera=orthographic()))
    # At the true scale: how large a face is and how far away, no photograph shows.
    errors_mm = ((np.array(points_px, np.float64) - film.points_px) / _px_per_mm(film))[:, rows]
    errors_mm[..., 2] -= errors_mm[..., 2].mean()
    return Figures(
        rmse_mm=rmse_mm,
        yaw_degrees=_yaws(track.pose),
        lids_mm=lid_gaps(np.array(points_mm, np.float64)),
        acceleration_mm=motion.jitter(_tracked_surface(film, track, model=model)),
        error_acceleration_mm=motion.jitter(errors_mm),
        landmark_mm=float(np.sqrt(np.mean(np.sum(errors_mm**2, axis=-1)))),
    )


def _px_per_mm(film: Film) -> np.ndarray:
    return np.exp(film.poses.log_scale.astype(np.float64))[:, None, None]


def _tracked_surface(film: Film, track: Track, *, model: MorphableModel) -> Iterator[np.ndarray]:
    chosen = np.asarray(model.vertex_regions) < Region.EYE_OPENING
    for frame in range(film.num_frames):
        shape_mm = tracked_shape(track, frame, model=model)
        yield camera_mm(shape_mm, tracked_pose(track, frame), size=film.size)[chosen]


def _yaws(poses: Pose) -> np.ndarray:
    """In degrees, from where the nose points."""
    ahead = np.stack([np.asarray(rotation_matrix(jnp.asarray(v, jnp.float32)))[:, 2] for v in poses.rotation_vector])
    return np.degrees(np.arctan2(ahead[:, 0], ahead[:, 2]))


def _common_rows(film: Film, model: MorphableModel) -> np.ndarray:
    """Landmarks that both know, without the outline, whose points slide."""
    theirs = np.asarray(has_landmark(model))
    inner = np.asarray(model.landmark_regions) != Region.BORDER
    return np.intersect1d(film.actor.head.landmarks.rows, np.flatnonzero(theirs & inner))


def _true_surface(film: Film) -> Iterator[np.ndarray]:
    judged = np.flatnonzero(np.asarray(film.actor.head.excluded) < 0.05)
    judged = judged[:: max(1, len(judged) // _SURFACE_POINTS)]
    for frame in range(film.num_frames):
        yield camera_mm(film.shapes_mm(frame)[1][judged], film.pose(frame), size=film.size)


def _frontal(front_mm: jax.Array, *, size: int) -> Pose:
    low, high = np.asarray(front_mm).min(axis=0), np.asarray(front_mm).max(axis=0)
    scale = 0.8 * size / (high[1] - low[1])
    middle = 0.5 * (low + high)[:2] * np.array([1.0, -1.0]) * scale
    place = jnp.asarray(0.5 * size - middle, jnp.float32)
    return Pose(rotation_vector(jnp.eye(3)), place, jnp.log(jnp.float32(scale)))


def _draw(vertices_mm, pose, model, *, size) -> truth.Shape:
    return truth.place(vertices_mm, truth.face_triangles(model), pose, orthographic(), size=size)


def _errors(film: Film, smooth, rough, pose: Pose, shapes: dict[str, truth.Shape]) -> dict[str, float]:
    """RMSE of each shape, all on the pixels where the truth and all of them are seen."""
    head, size = film.actor.head, film.size
    rough_px, smooth_px = (project(mm, pose, camera=orthographic()) for mm in (rough, smooth))
    nothing = Landmarks(jnp.zeros((0, 2)), jnp.zeros(0), jnp.zeros(0))
    face = faces.Truth(
        np.zeros((size, size, 3)), rough_px, smooth_px, head.subdivision.triangles, head.excluded,
        float(np.exp(pose.log_scale)), nothing,
    )  # fmt: skip
    (found,) = truth.errors(face, {(): shapes}, size=size, num_points=NUM_POINTS).values()
    return {name: each["rmse_mm"] for name, each in found.items()}
