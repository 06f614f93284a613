"""The neutral face of a smiling portrait has its mouth at rest: identity and expression are told apart.

    python experiments/neutral_faces.py --model=ict

About a minute on 2 cores. Two public-domain portraits: Eileen Collins, who smiles (from scikit-image), and Grace
Hopper, who does not (from matplotlib). Each is shown as a photo, as the coarse fit to landmarks, as the same gone on
with the skin's shading, and as the latter's identity with expression 0. Prints how high the mouth's corners lie above
the middle between the inner lips, and the gap between these, in mm. Writes experiments/results/neutral_faces.png.
Expected: Collins' fits have raised corners and parted lips; both neutral faces have a mouth like the mean face's, whose
numbers are printed first.
"""

import pathlib
from typing import NamedTuple

import jax
import numpy as np
from absl import app, flags
from common import panels, portraits, program, report, runner

from jaxface.detection.sources import find_landmarks
from jaxface.models import store
from jaxface.types import MorphableModel

MODEL = flags.DEFINE_string("model", "default", "name of an installed face model")
SIZE = flags.DEFINE_integer("size", 384, "side of each picture, pixels", lower_bound=64)
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where neutral_faces.png goes")

# Among iBUG's points: the corners of the mouth, and the middle of the upper and of the lower inner lip.
_MOUTH = (48, 54, 62, 66)


class Faces(NamedTuple):
    """One portrait: pictures by title, the photo first, and shapes (mm) by title."""

    pictures: dict[str, np.ndarray]
    shapes_mm: dict[str, jax.Array]


def mouth(vertices_mm: jax.Array, *, model: MorphableModel) -> tuple[float, float]:
    """Height of the mouth's corners above the middle between the inner lips, and the gap between these (mm);
    NaN where the model does not know the points."""
    vertices = np.asarray(model.ibug_vertices)[list(_MOUTH)]
    if (vertices < 0).any():
        return float("nan"), float("nan")
    right, left, upper, lower = np.asarray(vertices_mm)[vertices]
    return float(0.5 * (right + left - upper - lower)[1]), float(np.linalg.norm(upper - lower))


def fit_portrait(image: np.ndarray, model: MorphableModel, *, size: int) -> Faces:
    """The coarse fits and the neutral face, all as the photo's camera sees them. Raises FaceError without a face."""
    face = program.locate(image, find_landmarks(image)[0], model, size=size)
    first, refined = face.fit, program.shade(face, model).fit
    shown = {
        "landmarks": (first.vertices_mm, first.pose),
        "with shading": (refined.vertices_mm, refined.pose),
        "neutral": (program.neutral(refined.identity, model), refined.pose),
    }
    pictures = {"photo": np.asarray(face.window)}
    for title, (vertices_mm, pose) in shown.items():
        pictures[title] = program.clay(vertices_mm, model.triangles, pose, face.camera, face.crop, size=size)
    return Faces(pictures, {title: vertices_mm for title, (vertices_mm, _) in shown.items()})


def main(_) -> None:
    """Fits, numbers, picture."""
    with runner.sentences():
        model = store.resolve(MODEL.value)
        found = {name: fit_portrait(image, model, size=SIZE.value) for name, image in portraits.load([]).items()}

    def describe(vertices_mm):
        lift, gap = mouth(vertices_mm, model=model)
        return f"corners {lift:+.1f} mm, lips {gap:.1f} mm apart"

    print(f"Model {model.name}, mean face: {describe(model.mean_mm)}")
    lines = {name: {title: describe(mm) for title, mm in each.shapes_mm.items()} for name, each in found.items()}
    for name, each in lines.items():
        for title, line in each.items():
            print(f"{name}, {title}: {line}")
    folder = pathlib.Path(OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    figure = panels.grid({name: each.pictures for name, each in found.items()}, captions=lines)
    report.save_figure(folder / "neutral_faces.png", figure)


if __name__ == "__main__":
    app.run(main)
