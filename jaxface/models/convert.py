"""A model from its authors' files into our one record: closed, unwrapped, with landmarks, regions and colours."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from jaxface.geometry.topology import components
from jaxface.models import transfer
from jaxface.models.embedding import Embedding, anchors, embed_landmarks
from jaxface.models.openings import close_openings
from jaxface.models.source import SourceModel
from jaxface.models.unwrap import cylindrical_uvs
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68, Detector, MorphableModel, Part, Region

# Where a face shows what is neither skin nor hidden.
_REGION_OF_PART = {
    Part.RIGHT_EYE: Region.EYE_OPENING,
    Part.LEFT_EYE: Region.EYE_OPENING,
    Part.UPPER_TEETH: Region.MOUTH_OPENING,
    Part.LOWER_TEETH: Region.MOUTH_OPENING,
    Part.TONGUE: Region.MOUTH_OPENING,
    Part.INSIDE: Region.OUTSIDE,
}
_EYEBALL_MM = 35.0  # a piece that stays within this of an eye's middle is an eyeball


def convert(source: SourceModel, *, name: str, licence: str, detect: Detector) -> MorphableModel:
    """The model ready for every stage (host, some ten seconds: keep the result).

    Raises FaceError if `detect` finds no face on the mean shape, or one that most landmarks have no place on.
    """
    source, is_membrane = close_openings(source)
    embedding = embed_landmarks(source, detect=detect, name=name)
    match = transfer.correspond(source.mean_mm, anchors(embedding.points_mm, source=source))
    parts = _parts(source, embedding) if source.parts is None else source.parts
    regions = transfer.label_openings(_regions(parts, match), match, is_membrane)
    uvs, uv_triangles = source.uvs, source.uv_triangles
    if uvs is None:
        uvs, uv_triangles = cylindrical_uvs(source.mean_mm, source.triangles)
    floats, whole = (lambda x: jnp.asarray(x, jnp.float32)), (lambda x: jnp.asarray(x, jnp.int32))
    return MorphableModel(
        mean_mm=floats(source.mean_mm),
        identity_basis_mm=floats(source.identity_mm),
        expression_basis_mm=floats(source.expression_mm),
        triangles=whole(source.triangles),
        uvs=floats(uvs),
        uv_triangles=whole(uv_triangles),
        landmark_triangles=whole(embedding.triangles),
        landmark_barycentrics=floats(embedding.barycentrics),
        landmark_regions=load_default().landmark_regions,
        vertex_regions=whole(regions),
        vertex_parts=whole(parts),
        ibug_vertices=whole(_ibug_vertices(source, embedding)),
        albedo=floats(transfer.carried_albedo(match) if source.colours is None else source.colours),
        name=name,
        licence=licence,
        expression_names=source.expression_names,
        expression_bounds=source.expression_bounds,
        articulation=jax.tree.map(floats, source.articulation),
    )


def _parts(source: SourceModel, embedding: Embedding) -> Int[np.ndarray, "vertices"]:
    """The piece that landmarks lie on is the skin, a piece around an eye's middle an eyeball, any other the inside."""
    piece = components(source.triangles, num_vertices=len(source.mean_mm))
    used = piece[source.triangles]
    skin = used[embedding.triangles[embedding.barycentrics.sum(axis=1) > 0.0], 0][0]  # landmarks lie on one piece
    eyes = np.stack([embedding.points_mm[list(corners)].mean(axis=0) for corners in ((33, 133), (362, 263))])
    parts = np.full(len(piece), Part.SKIN, np.int32)
    for other in np.setdiff1d(used, skin):
        members = piece == other
        farthest = np.linalg.norm(source.mean_mm[members][:, None] - eyes[None], axis=-1).max(axis=0)
        eye = (Part.RIGHT_EYE, Part.LEFT_EYE)[np.argmin(farthest)]
        parts[members] = eye if farthest.min() < _EYEBALL_MM else Part.INSIDE
    return parts


def _regions(parts: Int[np.ndarray, "vertices"], match: transfer.Correspondence) -> Int[np.ndarray, "vertices"]:
    """Carried labels; pieces other than the skin have that of their part."""
    labels = transfer.carried_regions(match)
    for part, region in _REGION_OF_PART.items():
        labels[parts == part] = region
    return labels


def _ibug_vertices(source: SourceModel, embedding: Embedding) -> Int[np.ndarray, "68"]:
    """The file's own 68 points; where it lists none, the vertices nearest to the embedded ones."""
    triangles, weights = embedding.triangles[list(IBUG_68)], embedding.barycentrics[list(IBUG_68)]
    nearest = np.take_along_axis(source.triangles[triangles], weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    nearest = np.where(weights.sum(axis=1) > 0.0, nearest, -1)
    return np.where(source.ibug_vertices >= 0, source.ibug_vertices, nearest)
