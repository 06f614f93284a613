"""What is prepared once per morphable model: its factorised Laplacian, smooth surface, skin and texture layout."""

import functools
from typing import NamedTuple

from jaxface import presets
from jaxface.energies.skin import SkinPatches, skin_patches
from jaxface.geometry.subdivision import Subdivision, loop_subdivision
from jaxface.stages import detail, medium
from jaxface.types import MorphableModel


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
