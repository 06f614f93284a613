"""Faces of ICT-FaceKit (MIT, USC ICT): other people's geometry, painted and creased by our synthetic world.

Geometry, with 100 identity components ~ N(0, 1), is ICT's own; in the world "ict off" a smooth field outside its basis
is added, as no model holds every face. Relief and paint are functions of a point on the default model's mean face, so a
thin-plate spline through the 68 iBUG landmarks carries ICT's neutral face there. The spline places creases, lips and
brows; the shape that is judged stays ICT's.
"""

import functools
import os
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from common import heads
from common.faces import LEVELS, Case, Truth, default_truth, identity_key
from common.heads import Head, LandmarkPlaces
from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.models import catalogue, store
from jaxface.models.readers.ict import read
from jaxface.models.source import SourceModel
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul
from jaxface.rendering.camera import orthographic, project
from jaxface.synthetic import preset_light
from jaxface.synthetic_fields import unexplained_field
from jaxface.types import IBUG_68, Part, Pose, Region

OFF_BASIS_MM = {"ict": 0.0, "ict off": 0.5}  # rms of the field outside the basis

# Of the head's vertices: the front of the face comes first, then the rest of the part "face", eyeballs and mouth last.
FRONT, _FACE, _HEAD = 6706, 9409, 14062
_HAIRLINE_MM = (88.0, 96.0)  # above the middle of the eyes, on ICT's neutral
_NOISE = 0.004


def define_flag() -> flags.FlagHolder:
    """--ict_dir, where the data is."""
    usual = "in $JAXFACE_TEST_DATA or ../shared/data"
    return flags.DEFINE_string("ict_dir", None, f"FaceXModel folder, or the tar that holds it; default: {usual}")


def is_installed() -> bool:
    """Whether the face model is."""
    return catalogue.is_installed(catalogue.find("ict"))


def usual_models() -> list[str]:
    """The face models that are fitted where none is named."""
    return ["default", "ict"] if is_installed() else ["default"]


def worlds(path: pathlib.Path | None) -> dict[str, Callable[..., Truth]]:
    """Photographers by world; without a path ICT's are missing. Raises FaceError."""
    if path is None:
        return {"default": default_truth}
    return {"default": default_truth} | dict.fromkeys(OFF_BASIS_MM, functools.partial(ict_truth, ict=load(path)))


def find(path: str | None) -> pathlib.Path | None:
    """The ICT-FaceKit data, named or beside the tests' data, or None with a printed reason."""
    if path is not None:
        if not pathlib.Path(path).exists():
            raise app.UsageError(f"--ict_dir={path} does not exist; name the FaceXModel folder or an archive of it.")
        return pathlib.Path(path)
    beside = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("JAXFACE_TEST_DATA", beside))
    for candidate in (folder / "FaceXModel", folder / "ict-facekit.tar.xz"):
        if candidate.exists():
            return candidate
    print("ICT-FaceKit is left out: neither --ict_dir nor $JAXFACE_TEST_DATA leads to it.")
    return None


def load(path: pathlib.Path) -> Head:
    """Reads the FaceXModel folder, or an archive of it, and prepares it for photographs. Raises FaceError."""
    return _prepare(read(path, part="head"))


def _landmark_places(source: SourceModel) -> LandmarkPlaces:
    """Where the installed model "ict" has its landmarks, but for those on the membranes that close its eyes and mouth;
    the inner 51 of iBUG's 68 if it is not installed."""
    if not is_installed():
        corners = np.repeat(source.ibug_vertices[17:, None], 3, axis=1)
        return LandmarkPlaces(np.array(IBUG_68[17:]), corners, np.full(corners.shape, 1.0 / 3.0, np.float32))
    model = store.resolve("ict")
    corners = np.asarray(model.triangles)[np.asarray(model.landmark_triangles)]
    weights = np.asarray(model.landmark_barycentrics)
    is_there = (weights.sum(axis=1) > 0.5) & ~((corners >= _FACE) & (weights > 0.0)).any(axis=1)
    rows = np.flatnonzero(is_there)
    # A corner without weight may be a membrane's, which the head does not have.
    return LandmarkPlaces(rows, np.where(corners < _FACE, corners, 0)[rows], weights[rows])


def _prepare(source: SourceModel) -> Head:
    neutral, triangles, landmarks = source.mean_mm, source.triangles, source.ibug_vertices
    model = load_default()
    subdivision = loop_subdivision(triangles, num_vertices=len(neutral), levels=LEVELS)
    fine = functools.partial(subdivide, subdivision=subdivision)
    there = np.asarray(landmark_positions(model.mean_mm, model=model), np.float64)[list(IBUG_68)]
    carry = RBFInterpolator(neutral[landmarks], there, kernel="linear", smoothing=0.5, degree=1)
    reference = carry(neutral)
    labels = np.asarray(model.vertex_regions)[cKDTree(np.asarray(model.mean_mm)).query(reference)[1]]
    labels[FRONT:_HEAD] = Region.SKIN
    labels[_HEAD:] = np.where(source.parts[_HEAD:] <= Part.LEFT_EYE, Region.EYE_OPENING, Region.MOUTH_OPENING)
    front = np.arange(len(neutral)) < FRONT
    excluded = ~front | (labels == Region.EYE_OPENING) | (labels == Region.MOUTH_OPENING)
    height = neutral[:, 1] - neutral[landmarks[36:48], 1].mean()
    hair = np.clip((height - _HAIRLINE_MM[0]) / (_HAIRLINE_MM[1] - _HAIRLINE_MM[0]), 0.0, 1.0)
    columns = np.stack([excluded, hair], axis=1)
    excluded, hair = fine(jnp.asarray(columns, jnp.float32)).T
    names, expression_mm, _ = as_arkit(
        source.expression_names, source.expression_mm, np.zeros((0, len(source.expression_names)))
    )
    return Head(
        neutral_mm=jnp.asarray(neutral),
        identity_mm=jnp.asarray(source.identity_mm),
        expression_mm=jnp.asarray(expression_mm),
        landmarks=_landmark_places(source),
        subdivision=subdivision,
        reference_mm=fine(jnp.asarray(reference, jnp.float32)),
        regions=fine(jax.nn.one_hot(labels, len(Region))),
        excluded=excluded,
        hair=hair,
        expression_names=names,
    )


def ict_truth(case: Case, *, ict: Head, size: int, seed: int) -> Truth:
    """A photograph of a random ICT identity; landmarks are those that ICT's face has, at their MediaPipe rows."""
    key = jax.random.fold_in(identity_key(case, seed=seed), 1)
    light, yaw = preset_light(case.light), jnp.float32(np.radians(case.yaw))
    off_mm = jnp.float32(OFF_BASIS_MM[case.world])
    picture, smooth, scale = _photograph(key, yaw, light, off_mm, ict, load_default(), size=size)
    landmarks = heads.to_landmarks(picture.points_px, picture.seen, ict.landmarks)
    triangles = ict.subdivision.triangles
    return Truth(
        np.asarray(picture.image), picture.vertices_px, smooth, triangles, ict.excluded, float(scale), landmarks
    )


@functools.partial(jax.jit, static_argnames="size")
def _photograph(key, yaw, light, off_mm, ict, model, *, size):
    keys = jax.random.split(key, 6)
    control = random_neutral(keys[0], off_mm, ict)
    smooth, vertices = heads.refine(control, heads.bumps_mm(keys[1], ict, model), ict)
    pose = _pose(keys[2], yaw, smooth[:FRONT], size=size)
    look = heads.Look(*keys[3:], noise_size=_NOISE)
    picture = heads.photograph(vertices, vertices[:FRONT], pose, light, look, ict, model, size=size)
    return picture, project(smooth, pose, camera=orthographic()), jnp.exp(pose.log_scale)


def random_neutral(key: jax.Array, off_mm: jax.Array | float, ict: Head) -> jax.Array:
    """A neutral face (object frame, mm) from ICT's statistics, with a field of rms `off_mm` outside its basis."""
    coefficients = jax.random.normal(key, ict.identity_mm.shape[:1])
    control = ict.neutral_mm + jnp.tensordot(coefficients, ict.identity_mm, axes=1, precision="highest")
    shapes_mm = jnp.concatenate([ict.identity_mm, ict.expression_mm])
    return control + off_mm * unexplained_field(jax.random.fold_in(key, 1), ict.neutral_mm, shapes_mm)


def _pose(key, yaw, front_mm, *, size):
    """The front of the face in the middle, two thirds of the picture's height; a few degrees of pitch and roll."""
    pitch, roll = 0.06 * jax.random.uniform(key, (2,), minval=-1.0)
    nod = rotation_matrix(jnp.stack([pitch, 0.0 * yaw, roll]))
    rotation = matmul(nod, rotation_matrix(yaw * jnp.array([0.0, 1.0, 0.0])))
    turned = matmul(front_mm, rotation.T)[:, :2]
    low, high = jnp.min(turned, axis=0), jnp.max(turned, axis=0)
    scale = 0.66 * size / (high[1] - low[1])
    middle = 0.5 * (low + high) * scale * jnp.array([1.0, -1.0])
    return Pose(rotation_vector(rotation), jnp.array([0.5, 0.53]) * size - middle, jnp.log(scale))
