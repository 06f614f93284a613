"""A model from its authors' files into our one record: closed, unwrapped, with landmarks, regions and colours."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxface.models import parts, transfer
from jaxface.models.embedding import Embedding, anchors, embed_landmarks
from jaxface.models.openings import close_openings
from jaxface.models.source import SourceModel
from jaxface.models.unwrap import cylindrical_uvs
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68, Detector, MorphableModel


def convert(source: SourceModel, *, name: str, licence: str, detect: Detector) -> MorphableModel:
    """The model ready for every stage (host, some ten seconds: keep the result).

    Raises FaceError if `detect` finds no face on the mean shape, or one that most landmarks have no place on.
    """
    source, is_membrane = close_openings(source)
    embedding = embed_landmarks(source, detect=detect, name=name)
    match = transfer.correspond(source.mean_mm, anchors(embedding.points_mm, source=source))
    vertex_parts = parts.tell_parts(source, embedding) if source.parts is None else source.parts
    embedding = parts.embed_irises(source, vertex_parts, embedding)
    regions = transfer.label_openings(_regions(vertex_parts, match), match, is_membrane)
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
        vertex_parts=whole(vertex_parts),
        ibug_vertices=whole(_ibug_vertices(source, embedding)),
        albedo=floats(_albedo(source, vertex_parts, match)),
        name=name,
        licence=licence,
        expression_names=source.expression_names,
        expression_bounds=source.expression_bounds,
        articulation=jax.tree.map(floats, source.articulation),
    )


def _regions(vertex_parts: Int[np.ndarray, "vertices"], match: transfer.Correspondence) -> Int[np.ndarray, "vertices"]:
    """Carried labels; pieces other than the skin have that of their part."""
    labels = transfer.carried_regions(match)
    for part, region in parts.REGIONS.items():
        labels[vertex_parts == part] = region
    return labels


def _albedo(
    source: SourceModel, vertex_parts: Int[np.ndarray, "vertices"], match: transfer.Correspondence
) -> Float[np.ndarray, "vertices 3"]:
    """The file's colours, else carried ones with eyes and teeth."""
    if source.colours is not None:
        return source.colours
    return parts.paint(transfer.carried_albedo(match), source.mean_mm, vertex_parts)


def _ibug_vertices(source: SourceModel, embedding: Embedding) -> Int[np.ndarray, "68"]:
    """The file's own 68 points; where it lists none, the vertices nearest to the embedded ones."""
    triangles, weights = embedding.triangles[list(IBUG_68)], embedding.barycentrics[list(IBUG_68)]
    nearest = np.take_along_axis(source.triangles[triangles], weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    nearest = np.where(weights.sum(axis=1) > 0.0, nearest, -1)
    return np.where(source.ibug_vertices >= 0, source.ibug_vertices, nearest)
