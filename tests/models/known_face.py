"""The embedded model's face as a source with known landmarks, labels and colours, and a detector that knows them."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from models import tiny_bfm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from jaxface.models import portrait
from jaxface.models.source import SourceModel
from jaxface.morphable.cut import cut_model, face_of
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import at_vertices, landmark_positions
from jaxface.types import IBUG_68, NUM_LANDMARKS, Landmarks, MorphableModel, Part, Region

SURFACE = 468


@functools.cache
def the_model() -> MorphableModel:
    """The embedded model's face without eye sockets. Its vertices stand in another order: i < 468 is nearest to
    landmark i."""
    whole = face_of(load_default())
    is_socket = (np.asarray(whole.vertex_regions) == Region.EYE_OPENING) & (np.asarray(whole.vertex_parts) == Part.SKIN)
    face = cut_model(whole, ~is_socket[np.asarray(whole.triangles)].any(axis=1))
    mean_mm, skin = np.asarray(face.mean_mm), np.asarray(face.vertex_parts) == Part.SKIN
    points_mm = np.asarray(landmark_positions(face.mean_mm, model=face))[:SURFACE]
    gaps_mm = cdist(points_mm, mean_mm) + np.where(skin, 0.0, 1e3)
    _, nearest = linear_sum_assignment(gaps_mm)
    order = np.concatenate([nearest, np.setdiff1d(np.arange(len(mean_mm)), nearest)])
    place = np.argsort(order)
    triangles = place[np.asarray(face.triangles)]
    rows, corners = np.where(triangles < SURFACE)
    first = np.unique(triangles[rows, corners], return_index=True)[1]
    weights = np.zeros((NUM_LANDMARKS, 3), np.float32)
    weights[np.arange(SURFACE), corners[first]] = 1.0
    return dataclasses.replace(
        at_vertices(face, order),
        triangles=jnp.asarray(triangles, jnp.int32),
        landmark_triangles=jnp.asarray(np.append(rows[first], np.zeros(NUM_LANDMARKS - SURFACE)), jnp.int32),
        landmark_barycentrics=jnp.asarray(weights),
        ibug_vertices=jnp.asarray(IBUG_68, jnp.int32),
    )


def make_source(**changes) -> SourceModel:
    """That face as its own reader would give it, without iBUG points."""
    model = the_model()
    fields = {
        "mean_mm": np.asarray(model.mean_mm),
        "identity_mm": np.asarray(model.identity_basis_mm),
        "expression_mm": np.asarray(model.expression_basis_mm),
        "expression_names": model.expression_names,
        "expression_bounds": model.expression_bounds,
        "triangles": np.asarray(model.triangles),
        "uvs": np.asarray(model.uvs),
        "uv_triangles": np.asarray(model.uv_triangles),
        "colours": np.asarray(model.albedo),
        "ibug_vertices": np.full(68, -1, np.int32),
        "note": "known",
    }
    return SourceModel(**(fields | changes))


def cut_open(source: SourceModel) -> SourceModel:
    """Without what fills eyes and mouth; vertices that are left over go."""
    labels = np.asarray(the_model().vertex_regions)
    inside = np.isin(labels, (Region.EYE_OPENING, Region.MOUTH_OPENING))
    keep = ~inside[source.triangles].any(axis=1)
    used, corners = np.unique(source.triangles[keep], return_inverse=True)
    triangles = corners.reshape(-1, 3).astype(np.int32)
    return dataclasses.replace(
        source,
        mean_mm=source.mean_mm[used],
        identity_mm=source.identity_mm[:, used],
        expression_mm=source.expression_mm[:, used],
        colours=None if source.colours is None else source.colours[used],
        uvs=None if source.uvs is None else source.uvs[used],
        uv_triangles=None if source.uvs is None else triangles,
        triangles=triangles,
    )


class Witness:
    """A detector that finds vertex i of each photographed shape as landmark i: it watches `portrait.take`."""

    def __init__(self, monkeypatch):
        self.moved_px = np.zeros((NUM_LANDMARKS, 2))
        self.looks, self.shots = 0, []
        take = portrait.take

        def watched(vertices_mm, colours, view, *, sitter):
            self.shots.append((vertices_mm, view, sitter))
            return take(vertices_mm, colours, view, sitter=sitter)

        monkeypatch.setattr(portrait, "take", watched)

    def __call__(self, image):
        vertices_mm, view, sitter = self.shots[-1]
        self.looks += 1
        points_px = np.zeros((NUM_LANDMARKS, 2), np.float32)
        seen = portrait.locate(vertices_mm[:SURFACE], view, centre_mm=sitter.centre_mm)
        points_px[:SURFACE] = np.asarray(seen)[:, :2]
        points = jnp.asarray(points_px + self.moved_px, jnp.float32)
        return [Landmarks(points, jnp.zeros(NUM_LANDMARKS), jnp.ones(NUM_LANDMARKS))]


def as_bfm() -> tiny_bfm.TinyFace:
    """The embedded model as the writers of BFM files take it."""
    source = make_source()
    parts = []
    for basis in (source.identity_mm, source.expression_mm):
        columns = basis.reshape(len(basis), -1).T.astype(np.float64)
        deviations = np.linalg.norm(columns, axis=0)
        parts += [columns / deviations, deviations]
    mean_mm = source.mean_mm.astype(np.float64)
    return tiny_bfm.TinyFace(mean_mm, source.triangles, np.array(IBUG_68), *parts, source.colours)
