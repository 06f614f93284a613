"""One folder a face: everything a reconstruction leaves behind (host side)."""

import dataclasses
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np

from jaxface.export.expressions import as_arkit
from jaxface.export.glb import Morphs, write_glb
from jaxface.export.maps import write_maps
from jaxface.export.meshes import surface_normals, write_obj, write_ply
from jaxface.export.overview import write_overview
from jaxface.export.reconstruction import Reconstruction
from jaxface.export.report import write_result
from jaxface.io.atomic import new_folder
from jaxface.morphable.linear import expression_offsets
from jaxface.types import FaceError

RESULT = "result.json"
SMOOTH = ("neutral", "coarse", "medium")


def write_all(folder: str | os.PathLike, rec: Reconstruction, *, mesh: str = "dense") -> None:
    """Writes meshes, maps, overview and report; `folder` appears, or is replaced, only when all is there.

    `mesh` says what `mesh.glb` is: "dense", the fine mesh, or "base", the model's own vertices with its expressions as
    morph targets and the detail as normal map. The parent of `folder` must exist. Raises FaceError where `folder` is
    not an earlier result.
    """
    if mesh not in ("dense", "base"):
        raise FaceError(f'A mesh is written "dense" or "base", not {mesh!r}.')
    write_mesh = _write_dense if mesh == "dense" else _write_base
    texture, detailed = np.asarray(rec.textures.albedo), {"normals": np.asarray(rec.fine_normals)}
    with new_folder(folder, marker=RESULT) as fresh, ThreadPoolExecutor() as pool:  # compressing takes most of the time
        jobs = [
            pool.submit(write_mesh, fresh / "mesh.glb", rec),
            pool.submit(write_obj, fresh / "mesh.obj", rec.fine, **detailed, albedo_texture=texture),
            pool.submit(write_maps, fresh / "maps", rec),
            pool.submit(write_overview, fresh / "overview.png", rec),
            pool.submit(write_ply, fresh / "fine.ply", rec.fine, **detailed, colours=np.asarray(rec.fine_colours)),
            *(pool.submit(write_ply, fresh / f"{name}.ply", getattr(rec, name)) for name in SMOOTH),
        ]
        for job in jobs:
            job.result()
        write_result(fresh / RESULT, rec)


def _write_dense(path: pathlib.Path, rec: Reconstruction) -> None:
    """All detail is in the vertices: a normal map would have nothing to add."""
    texture = np.asarray(rec.textures.albedo)
    write_glb(path, rec.fine, normals=np.asarray(rec.fine_normals), albedo_texture=texture)


def _write_base(path: pathlib.Path, rec: Reconstruction) -> None:
    """At the photo's weights the shape is the medium mesh; at 0 its expression is gone."""
    weights = np.asarray(rec.coarse_fit.expression)
    offsets_mm = np.asarray(expression_offsets(jnp.asarray(rec.coarse_fit.identity), model=rec.model))
    names, targets_mm, shown = as_arkit(rec.expression_names, offsets_mm, weights[None])
    neutral_mm = rec.medium.vertices_mm - np.tensordot(shown[0], targets_mm, axes=1)
    write_glb(
        path,
        dataclasses.replace(rec.medium, vertices_mm=neutral_mm.astype(np.float32)),
        normals=surface_normals(neutral_mm, rec.medium.triangles),
        albedo_texture=np.asarray(rec.textures.albedo),
        normal_map=np.asarray(rec.textures.normals_tangent),
        morphs=Morphs(names, targets_mm, shown[0]),
    )
