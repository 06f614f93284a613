"""The embedded model's face without eyes, teeth and sockets: an open mask of skin."""

import functools

import numpy as np

from jaxface.morphable.cut import cut_model, face_of
from jaxface.morphable.default import load_default
from jaxface.types import MorphableModel, Part, Region


@functools.cache
def face_mask() -> MorphableModel:
    face = face_of(load_default())
    parts, regions = np.asarray(face.vertex_parts), np.asarray(face.vertex_regions)
    hidden = (parts != Part.SKIN) | (regions == Region.EYE_OPENING)
    return cut_model(face, ~hidden[np.asarray(face.triangles)].any(axis=1))
