"""One folder a face: everything a reconstruction leaves behind (host side)."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxface.export.maps import write_maps
from jaxface.export.meshes import write_glb, write_obj, write_ply
from jaxface.export.overview import write_overview
from jaxface.export.reconstruction import Reconstruction
from jaxface.export.report import write_result
from jaxface.io.atomic import new_folder

RESULT = "result.json"
SMOOTH = ("neutral", "coarse", "medium")


def write_all(folder: str | os.PathLike, rec: Reconstruction) -> None:
    """Writes meshes, maps, overview and report; `folder` appears, or is replaced, only when all is there.

    The parent of `folder` must exist. Raises FaceError where `folder` is
    not an earlier result.
    """
    textures = rec.textures
    # The normal map adds the detail to the base's normals; with the fine mesh's own it would count twice.
    look = {
        "normals": np.asarray(rec.base_normals),
        "albedo_texture": np.asarray(textures.albedo),
        "normal_map": np.asarray(textures.normals_tangent),
    }
    detailed = {"normals": np.asarray(rec.fine_normals)}
    with new_folder(folder, marker=RESULT) as fresh, ThreadPoolExecutor() as pool:  # compressing takes most of the time
        jobs = [
            pool.submit(write_glb, fresh / "mesh.glb", rec.fine, **look),
            pool.submit(write_obj, fresh / "mesh.obj", rec.fine, **detailed, albedo_texture=look["albedo_texture"]),
            pool.submit(write_maps, fresh / "maps", rec),
            pool.submit(write_overview, fresh / "overview.png", rec),
            pool.submit(write_ply, fresh / "fine.ply", rec.fine, **detailed, colours=np.asarray(rec.fine_colours)),
            *(pool.submit(write_ply, fresh / f"{name}.ply", getattr(rec, name)) for name in SMOOTH),
        ]
        for job in jobs:
            job.result()
        write_result(fresh / RESULT, rec)
