"""Photographs of faces whose shape is known, and the conditions in which each identity is seen."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.morphable.cut import face_of
from jaxface.morphable.default import load_default
from jaxface.rendering.camera import project
from jaxface.synthetic import FaceSettings, SyntheticFace, preset_light, synthetic_face
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
    return truth_of(photograph(case, size=size, seed=seed))


def photograph(case: Case, *, size: int, seed: int, settings: FaceSettings = FaceSettings()) -> SyntheticFace:
    """The same with the maps it was rendered from; `settings` changes what is on its skin."""
    light, yaw = preset_light(case.light), float(np.radians(case.yaw))
    key, model = identity_key(case, seed=seed), load_default()
    return synthetic_face(key, model=model, size=size, yaw=yaw, light=light, settings=settings, levels=LEVELS)


def truth_of(face: SyntheticFace) -> Truth:
    """What is judged by, of a face of the default model."""
    place = functools.partial(project, pose=face.pose, camera=face.camera)
    return Truth(
        image=np.asarray(face.image),
        vertices_px=place(face.vertices_mm),
        smooth_px=place(face.smooth_mm),
        triangles=face.triangles,
        excluded=share((Region.EYE_OPENING, Region.MOUTH_OPENING)),
        px_per_mm=float(jnp.exp(face.pose.log_scale)),
        landmarks=face.landmarks,
    )


@functools.cache
def share(regions: tuple[Region, ...]) -> jax.Array:
    """Of some labels together, at the fine vertices of the default model's face."""
    model = face_of(load_default())
    is_one = np.isin(np.asarray(model.vertex_regions), regions).astype(np.float32)
    subdivision = loop_subdivision(model.triangles, num_vertices=is_one.size, levels=LEVELS)
    return subdivide(jnp.asarray(is_one)[:, None], subdivision=subdivision)[:, 0]


def noisy_landmarks(truth: Truth, *, seed: int) -> Landmarks:
    """True points with 1.5 px of noise at 512, where they are seen."""
    spread = 1.5 * truth.image.shape[0] / 512
    noise = np.random.default_rng(seed).normal(0.0, spread, truth.landmarks.points_px.shape)
    return truth.landmarks._replace(points_px=truth.landmarks.points_px + jnp.asarray(noise, jnp.float32))
