"""Who plays in the video, and the video itself: an ordered folder of PNG files whose truth is known.

World "default": the embedded model with a field outside its basis; "ict": ICT-FaceKit's with 0.5 mm of such a field.
Identity, field, relief and paint are one person's, the same in all frames; pose, expression and light are the script's.
"""

import dataclasses
import functools
import pathlib

import imageio.v3 as iio
import jax
import jax.numpy as jnp
import numpy as np
from common import faces, heads, ict
from jaxtyping import Array, Float

from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul
from jaxface.synthetic_fields import off_basis_field
from jaxface.types import NUM_LANDMARKS, Landmarks, Pose, Region
from video_study.script import Script

NOISE, SHINE = 0.01, 0.05  # standard deviation of the camera's noise; the highlight's usual peak
_OFF_BASIS_MM = {"default": 1.0, "ict": ict.OFF_BASIS_MM["ict off"]}
_FACE_HEIGHT = 0.62  # of the picture's
_PIVOT_MM = (0.0, -20.0, -80.0)  # about which the head turns, from the middle of the face


@dataclasses.dataclass(frozen=True)
class Actor:
    """One person. `neutral_mm` are control vertices of `head`, `bumps_mm` the relief on its fine ones; the first
    `num_front` of both are the front of the face."""

    name: str
    head: heads.Head
    neutral_mm: Float[Array, "vertices 3"]
    bumps_mm: Float[Array, "fine_vertices"]
    num_front: int
    key: jax.Array

    def offsets_mm(self, weights: dict[str, float]) -> Float[np.ndarray, "vertices 3"]:
        """What an expression adds to the control vertices."""
        known = self.head.expression_names
        coefficients = np.zeros(len(known), np.float32)
        for name, weight in weights.items():
            coefficients[known.index(name)] = weight
        return np.tensordot(coefficients, np.asarray(self.head.expression_mm), axes=1)

    def shapes_mm(self, weights: dict[str, float]) -> tuple[Array, Array]:
        """Fine vertices (object frame) of the person with an expression: smooth, and with the relief."""
        return _refine(self.neutral_mm + self.offsets_mm(weights), self.bumps_mm, self.head)


_refine = jax.jit(heads.refine)


def default_actor(*, seed: int, levels: int = faces.LEVELS) -> Actor:
    """A person of the embedded model, bent by a smooth field of 1 mm rms outside its basis."""
    model, key = load_default(), jax.random.key(seed)
    keys = jax.random.split(key, 4)
    head = default_head(levels=levels)
    identity = jax.random.normal(keys[0], model.identity_basis_mm.shape[:1])
    neutral = face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)
    neutral = neutral + _OFF_BASIS_MM["default"] * off_basis_field(keys[1], model=model)
    bumps = jax.jit(heads.bumps_mm)(keys[2], head, model)
    return Actor("default", head, neutral, bumps, len(neutral), keys[3])


def ict_actor(head: heads.Head, *, seed: int) -> Actor:
    """A person from ICT-FaceKit's statistics, bent by a smooth field of 0.5 mm rms outside its basis."""
    keys = jax.random.split(jax.random.key(seed), 3)
    neutral = jax.jit(ict.random_neutral)(keys[0], _OFF_BASIS_MM["ict"], head)
    bumps = jax.jit(heads.bumps_mm)(keys[1], head, load_default())
    return Actor("ict", head, neutral, bumps, ict.FRONT, keys[2])


def default_head(*, levels: int) -> heads.Head:
    """The embedded model, ready to be photographed."""
    model = load_default()
    subdivision = loop_subdivision(np.asarray(model.triangles), num_vertices=len(model.mean_mm), levels=levels)
    labels = jax.nn.one_hot(model.vertex_regions, len(Region))
    fine = subdivide(jnp.concatenate([model.mean_mm, labels], axis=1), subdivision=subdivision)
    regions = jnp.clip(fine[:, 3:], 0.0, 1.0)
    corners = np.asarray(model.triangles)[np.asarray(model.landmark_triangles)]
    weights = np.asarray(model.landmark_barycentrics)
    rows = np.flatnonzero(weights.sum(axis=1) > 0.5)
    return heads.Head(
        neutral_mm=model.mean_mm,
        identity_mm=model.identity_basis_mm,
        expression_mm=model.expression_basis_mm,
        landmarks=heads.LandmarkPlaces(rows, corners[rows], weights[rows]),
        subdivision=subdivision,
        reference_mm=fine[:, :3],
        regions=regions,
        excluded=regions[:, Region.EYE_OPENING] + regions[:, Region.MOUTH_OPENING],
        hair=jnp.zeros(len(fine)),
        expression_names=model.expression_names,
    )


@dataclasses.dataclass(frozen=True)
class Film:
    """A video and its truth, a row for each frame; shapes are made when asked for, so that any length fits."""

    folder: pathlib.Path
    actor: Actor
    script: Script
    size: int
    poses: Pose
    points_px: np.ndarray  # landmarks, at MediaPipe's rows, x, y and height
    seen: np.ndarray  # 1 where a landmark is there and seen

    @property
    def num_frames(self) -> int:
        return self.script.num_frames

    def path(self, frame: int) -> pathlib.Path:
        """Where its picture is."""
        return self.folder / f"{frame:05d}.png"

    def pose(self, frame: int) -> Pose:
        """The true pose."""
        return Pose(*(jnp.asarray(rows[frame]) for rows in self.poses))

    def weights(self, frame: int) -> dict[str, float]:
        """The true expression, blendshapes by name."""
        return {name: float(rows[frame]) for name, rows in self.script.weights.items()}

    def shapes_mm(self, frame: int) -> tuple[Array, Array]:
        """True fine vertices (object frame): smooth, and with the relief."""
        return self.actor.shapes_mm(self.weights(frame))


def shoot(actor: Actor, script: Script, folder: pathlib.Path, *, size: int, shine: float = SHINE) -> Film:
    """Renders the video into `folder`, a PNG file a frame; `shine` is the highlight's peak."""
    folder.mkdir(parents=True, exist_ok=True)
    neutral_mm = actor.shapes_mm({})[0][: actor.num_front]
    poses = [_pose(script, frame, neutral_mm, size=size) for frame in range(script.num_frames)]
    film = Film(
        folder, actor, script, size, Pose(*(np.stack(rows) for rows in zip(*poses, strict=True))),
        np.zeros((script.num_frames, NUM_LANDMARKS, 3)), np.zeros((script.num_frames, NUM_LANDMARKS)),
    )  # fmt: skip
    for frame in range(script.num_frames):
        image, landmarks = _take(film, frame, neutral_mm, shine)
        points = np.concatenate([landmarks.points_px, landmarks.height_px[:, None]], axis=1)
        film.points_px[frame], film.seen[frame] = points, landmarks.confidence
        iio.imwrite(film.path(frame), image, plugin="pillow")
    return film


def _take(film: Film, frame: int, framed_mm: Array, shine: float) -> tuple[np.ndarray, Landmarks]:
    """One picture (uint8), and its landmarks."""
    actor = film.actor
    paint, behind, noise = jax.random.split(actor.key, 3)
    look = heads.Look(paint, behind, jax.random.fold_in(noise, frame), NOISE, shine)
    light = jnp.asarray(film.script.light[frame], jnp.float32)
    arguments = (film.shapes_mm(frame)[1], framed_mm, film.pose(frame), light, look, actor.head, load_default())
    picture = _photograph(*arguments, size=film.size)
    image = np.round(255.0 * np.asarray(picture.image)).astype(np.uint8)
    return image, heads.to_landmarks(picture.points_px, picture.seen, actor.head.landmarks)


_photograph = functools.partial(jax.jit, static_argnames="size")(heads.photograph)


def _pose(script: Script, frame: int, front_mm: Array, *, size: int) -> Pose:
    """Yaw first, then the nod, about a pivot in the neck that drifts a little."""
    yaw, pitch, roll = script.turns[frame]
    turn = rotation_matrix(jnp.array([0.0, yaw, 0.0]))
    rotation = matmul(rotation_matrix(jnp.array([pitch, 0.0, roll])), turn)
    low, high = jnp.min(front_mm, axis=0), jnp.max(front_mm, axis=0)
    scale = _FACE_HEIGHT * size / (high[1] - low[1]) * script.growth[frame]
    middle = 0.5 * (low + high)
    pivot = middle + jnp.array(_PIVOT_MM)
    shown = matmul(rotation, pivot[:, None])[:2, 0] * jnp.array([1.0, -1.0])
    # The pivot stays where it is when the face looks ahead, in the middle of the picture.
    home = jnp.array([0.5, 0.53]) * size + scale * jnp.array([_PIVOT_MM[0], -_PIVOT_MM[1]])
    place = home + size * jnp.asarray(script.drift[frame], jnp.float32) - scale * shown
    return Pose(rotation_vector(rotation), place, jnp.log(scale))
