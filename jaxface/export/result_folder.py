"""One folder a face: everything a reconstruction leaves behind (host side)."""

import os

import numpy as np

from jaxface.export.maps import write_maps
from jaxface.export.meshes import write_glb, write_obj, write_ply
from jaxface.export.overview import write_overview
from jaxface.export.report import write_result
from jaxface.io.atomic import new_folder
from jaxface.types import Reconstruction

RESULT = "result.json"


def write_all(folder: str | os.PathLike, rec: Reconstruction, *, renders: dict[str, np.ndarray]) -> None:
    """Writes meshes, maps, overview and report; `folder` appears, or is replaced, only when all is there.

    `renders`: see `overview.write_overview`. The parent of `folder` must exist. Raises FaceError where `folder` is
    not an earlier result.
    """
    textures = rec.textures
    # The normal map adds the detail to the base's normals; with the fine mesh's own it would count twice.
    look = {
        "normals": np.asarray(rec.base_normals),
        "albedo_texture": np.asarray(textures.albedo),
        "normal_map": np.asarray(textures.normals_tangent),
    }
    with new_folder(folder, marker=RESULT) as fresh:
        write_glb(fresh / "mesh.glb", rec.fine, **look)
        write_obj(
            fresh / "mesh.obj", rec.fine, normals=np.asarray(rec.fine_normals), albedo_texture=look["albedo_texture"]
        )
        write_ply(fresh / "neutral.ply", rec.neutral)
        write_ply(fresh / "coarse.ply", rec.coarse)
        write_ply(fresh / "medium.ply", rec.medium)
        write_ply(
            fresh / "fine.ply", rec.fine, normals=np.asarray(rec.fine_normals), colours=np.asarray(rec.fine_colours)
        )
        write_maps(fresh / "maps", rec)
        write_overview(fresh / "overview.png", rec, renders=renders)
        write_result(fresh / RESULT, rec)
