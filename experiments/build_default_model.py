"""Builds the embedded face model, jaxface/morphable/data/default_face.npz.

    python experiments/build_default_model.py

About 30 s; prints the size (under 0.5 MB) and the measures of the mean and of the identity basis.

Origin. Everything comes from this folder's code and from what two dependencies ship:
  - the official portraits of Grace Hopper (U.S. Navy; matplotlib's grace_hopper.jpg) and Eileen Collins (NASA;
    scikit-image's astronaut), both works of the U.S. government in the public domain;
  - the face-mesh networks and the connectivity list of MediaPipe 0.10.14 (Apache-2.0).
No scan, no data set and no other face model is used. Proportions that the network gets wrong are pulled toward
published anthropometric means (sources in default_model/mean_face.py and identity.py).
"""

import pathlib

import numpy as np
from absl import app, flags
from default_model import expressions, identity, mean_face, portraits, surface, topology

from jaxface.geometry.subdivision import loop_matrix

OUTPUT = flags.DEFINE_string("output", "jaxface/morphable/data/default_face.npz", "where the model is written")
EYE_BULGE_MM, CAVITY_MM = 1.3, -7.0
OUTER_CANTHI_MM = 90.0
LEVELS = 2


def build() -> dict[str, np.ndarray]:
    """All arrays of the file."""
    meshes = portraits.portrait_meshes()
    mirror = meshes["mirror"]
    skin = topology.symmetric_surface(portraits.surface_triangles(), mirror)
    holes = topology.hole_triangles()
    triangles = np.concatenate([skin, *holes.values()])
    mean = mean_face.mean_face(meshes, skin)
    identities = identity.identity_basis(mean, triangles, mirror)
    shapes = expressions.expression_basis(mean, skin, mirror)
    for name, figure in identity.report(mean, identities).items():
        print(f"std of {name}: {figure:.2f} mm")

    matrix, fine_triangles = loop_matrix(triangles, num_vertices=portraits.NUM_POINTS, levels=LEVELS)
    unsmooth = _unsmoothing(matrix[: portraits.NUM_POINTS].toarray())
    control = unsmooth @ mean
    left, right = (matrix[point] @ control for point in portraits.OUTER_CANTHI)
    control *= OUTER_CANTHI_MM / np.linalg.norm(left - right)
    vertices = matrix @ control
    labels = surface.vertex_regions(triangles, fine_triangles, holes, mirror, len(vertices))
    fields = surface.relief(vertices, fine_triangles, labels)
    return {
        "mean_mm": control.astype(np.float32),
        "identity_mm": np.einsum("ij,njk->nik", unsmooth, identities).astype(np.float16),
        "expression_mm": np.einsum("ij,njk->nik", unsmooth, list(shapes.values())).astype(np.float16),
        "expression_names": np.array(list(shapes)),
        "triangles": triangles.astype(np.int16),
        "uvs": surface.mean_value_uvs(mean, triangles).astype(np.float32),
        "relief": fields.astype(np.float16),
        "relief_of_mean_mm": np.array([EYE_BULGE_MM, EYE_BULGE_MM, 0.0], np.float32),
        "relief_of_expression_mm": _relief_of(list(shapes)),
        "landmark_regions": surface.landmark_regions(mirror),
        "vertex_regions": labels,
        "albedo": np.round(255 * surface.albedo(vertices, labels, mean)).astype(np.uint8),
    }


def _unsmoothing(smoothing):
    """Control net from targets: Loop smoothing pulls vertices inward, so the net has to overshoot.

    Four terms of the Neumann series of the inverse: within 0.1 mm on average; the exact inverse ripples on the lips.
    """
    rest = np.eye(len(smoothing)) - smoothing
    return sum(np.linalg.matrix_power(rest, power) for power in range(4))


def _relief_of(names):
    """Closing an eye flattens its bulge; opening the jaw deepens the mouth."""
    weights = np.zeros((len(names), 3), np.float32)
    weights[names.index("eyeBlink_R"), 0] = -EYE_BULGE_MM
    weights[names.index("eyeBlink_L"), 1] = -EYE_BULGE_MM
    weights[names.index("jawOpen"), 2] = CAVITY_MM
    return weights


def main(_):
    path = pathlib.Path(OUTPUT.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **build())
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    app.run(main)
