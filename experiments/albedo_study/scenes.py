"""A face before the fine stage, on a photo or on a rendered photograph whose truth is known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import faces, program, truth
from figure_study import two_shapes

from jaxface.detection.sources import find_landmarks
from jaxface.execution import run_timed
from jaxface.rendering.clay import lambert
from jaxface.synthetic import SyntheticFace
from jaxface.types import Crop, FineInputs, Landmarks, MorphableModel, Region

OPENINGS = (Region.EYE_OPENING, Region.MOUTH_OPENING)


class Scene(NamedTuple):
    """What the fine stage sees of a face, and the shapes that this was drawn from."""

    inputs: FineInputs
    shapes: two_shapes.Shapes

    @property
    def window(self) -> np.ndarray:
        return np.asarray(self.inputs.image)

    @property
    def base_mm(self) -> jax.Array:
        """The medium shape, or the coarse one where the pipeline would keep that."""
        return jnp.asarray(self.shapes.vertices_mm["medium" if self.shapes.kept else "coarse"])


class World(NamedTuple):
    """A rendered photograph with all that is true of it, and its shape as `truth` takes it."""

    face: SyntheticFace
    truth: faces.Truth
    landmarks: Landmarks  # true points with noise: no detector is on trial


def make_world(case: faces.Case, *, size: int, seed: int) -> World:
    """A case with its truth."""
    face = faces.photograph(case, size=size, seed=seed)
    true = faces.truth_of(face)
    return World(face, true, faces.noisy_landmarks(true, seed=seed + 1000 * case.identity + abs(case.yaw)))


def fit_scene(
    image: np.ndarray, landmarks: Landmarks, model: MorphableModel, *, preset: str, size: int, whole: bool = False
) -> Scene:
    """What the fine stage sees of a face with these landmarks, after coarse and medium stage; `whole` takes the whole
    (square) photograph for the crop, so that the truth's maps lie on it pixel on pixel. Raises FaceError."""
    shapes = two_shapes.fit_shapes(image, landmarks, model, preset=preset, size=size)
    if whole:
        whole_photo = Crop(jnp.zeros(2), jnp.float32(1.0))
        shapes = shapes._replace(face=program.look(shapes.face, image, whole_photo, size=size))
    scene = Scene(None, shapes)
    return scene._replace(inputs=program.see(shapes.face, scene.base_mm, model))


def crop_photo(image: np.ndarray, model: MorphableModel, *, size: int) -> np.ndarray:
    """The crop about the coarse face. Raises FaceError without one."""
    return np.asarray(program.locate(image, find_landmarks(image)[0], model, size=size).window)


def shaded(normals_image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """A map of normals in clay, on white."""
    clay = np.asarray(run_timed(lambert, jnp.asarray(normals_image)).value) ** (1.0 / 2.2)
    return np.where(np.asarray(covered) > 0.5, np.clip(0.8 * clay, 0.0, 1.0), 1.0)


def judge(world: World, scenes: list[Scene]) -> truth.Field:
    """Where the true face and all of ours are seen, less openings and rim."""
    covers = [np.asarray(scene.inputs.covered) > 0.5 for scene in scenes]
    return truth.judge(world.truth, covers, size=world.truth.image.shape[0])


def true_regions(case: faces.Case, *, size: int, seed: int) -> dict[str, np.ndarray]:
    """Where the rendered photograph truly shows skin, brows and lips, and eyes or an open mouth (bool, by name)."""
    face = faces.default_truth(case, size=size, seed=seed)
    names = {"eyebrow": (Region.EYEBROW,), "mouth": (Region.MOUTH,), "openings": OPENINGS}
    drawn = {
        name: truth.draw(face.vertices_px, face.triangles, faces.share(of), size=size) for name, of in names.items()
    }
    found = {name: view.covered & (view.values > 0.5) for name, view in drawn.items()}
    skin = drawn["mouth"].covered & ~np.logical_or.reduce(list(found.values()))
    return {"skin": skin, **found}
