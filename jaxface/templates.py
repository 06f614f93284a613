"""What is prepared once per morphable model: its factorised Laplacian, smooth surface, skin and texture layout."""

import functools
from typing import NamedTuple

import numpy as np

from jaxface import presets
from jaxface.energies.skin import SkinPatches, skin_patches
from jaxface.geometry.subdivision import Subdivision, loop_subdivision
from jaxface.stages import detail, medium
from jaxface.types import Mesh, MorphableModel


class Templates(NamedTuple):
    """A model and all that depends on it alone."""

    model: MorphableModel
    patches: SkinPatches
    medium: medium.MediumTemplate
    surface: Subdivision
    detail: detail.DetailTemplate


@functools.lru_cache(maxsize=2)
def prepare(model: MorphableModel) -> Templates:
    """Prepares a model (seconds; once a model and process)."""
    surface = loop_subdivision(model.triangles, num_vertices=model.mean_mm.shape[0], levels=1)
    medium_template = medium.prepare(model, weights=presets.default().medium)
    return Templates(model, skin_patches(model), medium_template, surface, detail.prepare(model))


def model_mesh(vertices_mm: np.ndarray, model: MorphableModel) -> Mesh:
    """A shape of the model as a mesh on the host."""
    triangles, uvs, uv_triangles = (np.asarray(x) for x in (model.triangles, model.uvs, model.uv_triangles))
    parts = np.asarray(model.vertex_parts)[triangles[:, 0]]
    return Mesh(np.asarray(vertices_mm, np.float32), triangles, uvs, uv_triangles, parts)


def fine_mesh(vertices_mm: np.ndarray, template: detail.DetailTemplate) -> Mesh:
    """A shape of the subdivided model as a mesh on the host."""
    corners = (template.subdivision.triangles, template.uvs, template.uv_triangles, template.parts)
    return Mesh(np.asarray(vertices_mm, np.float32), *(np.asarray(values) for values in corners))
