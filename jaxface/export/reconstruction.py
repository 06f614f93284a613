"""The record of one face (host arrays)."""

import dataclasses
import os

import numpy as np

from jaxface.types import Camera, CoarseFit, Crop, FineMaps, Landmarks, Mesh, MorphableModel, StageReport, TextureMaps


@dataclasses.dataclass(frozen=True, repr=False)
class Reconstruction:
    """Everything known about one face after the pipeline. Where a stage was left out, its mesh is that of the stage
    before and `stages` tells why. `neutral` is the fitted identity without expression, in the model's own pose.
    `fine_normals` are those of `fine`, with the detail; the normal map of `textures` adds it to those of `medium`."""

    image: np.ndarray
    crop_image: np.ndarray
    crop: Crop
    camera: Camera
    landmarks: Landmarks
    coarse_fit: CoarseFit
    neutral: Mesh
    coarse: Mesh
    medium: Mesh
    phase1: Mesh
    fine: Mesh
    fine_normals: np.ndarray
    fine_colours: np.ndarray
    maps: FineMaps
    textures: TextureMaps
    relit: np.ndarray
    stages: tuple[StageReport, ...]
    settings: dict[str, object]
    model: MorphableModel
    model_name: str
    model_licence: str
    expression_names: tuple[str, ...]

    def save(self, folder: str | os.PathLike, *, mesh: str = "dense") -> None:
        """Writes meshes, maps, overview and report into `folder`; `mesh` is "dense" or "base" (see
        `export.result_folder.write_all`)."""
        from jaxface.export.result_folder import write_all

        write_all(folder, self, mesh=mesh)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        left_out = [stage.name for stage in self.stages if stage.status != "ok"]
        return (
            f"Reconstruction of a face in a photo of {width} x {height} pixels, with the model {self.model_name}\n"
            f"  fine: {self.fine!r}; coarse: {self.coarse!r}\n"
            f"  stages: {', '.join(stage.name for stage in self.stages)}\n"
            f"  left out: {', '.join(left_out) or 'none'}"
        )
