"""Photographs of faces whose shape is known, and the conditions in which each identity is seen."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.morphable.default import load_default
from jaxface.rendering.camera import project
from jaxface.synthetic import preset_light, synthetic_face
from jaxface.types import Landmarks, Region

LIGHTS = ("soft", "side", "top")
YAW = 30  # degrees, positive towards the subject's left; the other half of the cases is frontal
LEVELS = 2  # of subdivision: edges of about 0.7 mm, which carry pores


@dataclasses.dataclass(frozen=True)
class Case:
    """Which face in which condition."""

    world: str  # "default", "ict" or "ict off"
    identity: int
    light: str
    yaw: int

    @property
    def name(self) -> str:
        return f"{self.world} {self.identity} {self.light} {self.yaw:+d}"


@dataclasses.dataclass(frozen=True)
class Truth:
    """A photograph and its surface in image pixels, with and without relief, on the same triangles.

    `excluded` is 1 on vertices that are not judged (eyeballs, inside of the mouth, scalp), else 0.
    """

    image: np.ndarray
    vertices_px: jax.Array
    smooth_px: jax.Array
    triangles: jax.Array
    excluded: jax.Array
    px_per_mm: float
    landmarks: Landmarks


def make_cases(world: str, *, count: int) -> list[Case]:
    """`count` cases in pairs: each identity once frontal and once turned, under the same light, so that the pair tells
    what turning costs. Lights take turns, and so do the sides turned to."""
    cases = []
    for index in range(count):
        identity, turned = divmod(index, 2)
        yaw = turned * (YAW if identity % 2 else -YAW)
        cases.append(Case(world, identity, LIGHTS[identity % len(LIGHTS)], yaw))
    return cases


def identity_key(case: Case, *, seed: int) -> jax.Array:
    """The same for all conditions of an identity."""
    return jax.random.fold_in(jax.random.key(seed), case.identity)


def default_truth(case: Case, *, size: int, seed: int) -> Truth:
    """A face of the default model with smooth fields outside its basis, creases, lumps and pores."""
    model = load_default()
    face = synthetic_face(
        identity_key(case, seed=seed), model=model, size=size, yaw=float(np.radians(case.yaw)),
        light=preset_light(case.light), levels=LEVELS,
    )  # fmt: skip
    place = functools.partial(project, pose=face.pose, camera=face.camera)
    return Truth(
        image=np.asarray(face.image),
        vertices_px=place(face.vertices_mm),
        smooth_px=place(face.smooth_mm),
        triangles=face.triangles,
        excluded=_openings(),
        px_per_mm=float(jnp.exp(face.pose.log_scale)),
        landmarks=face.landmarks,
    )


@functools.cache
def _openings() -> jax.Array:
    """Share of eye and mouth opening at the fine vertices of the default model."""
    model = load_default()
    regions = model.vertex_regions
    is_open = (regions == Region.EYE_OPENING) | (regions == Region.MOUTH_OPENING)
    subdivision = loop_subdivision(model.triangles, num_vertices=regions.shape[0], levels=LEVELS)
    return subdivide(is_open.astype(jnp.float32)[:, None], subdivision=subdivision)[:, 0]


def noisy_landmarks(truth: Truth, *, seed: int) -> Landmarks:
    """True points with 1.5 px of noise at 512, where they are seen."""
    spread = 1.5 * truth.image.shape[0] / 512
    noise = np.random.default_rng(seed).normal(0.0, spread, truth.landmarks.points_px.shape)
    return truth.landmarks._replace(points_px=truth.landmarks.points_px + jnp.asarray(noise, jnp.float32))
