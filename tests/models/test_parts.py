"""Eyeballs, teeth and tongue of a model: irises on the front of eyes that turn, colours, pieces."""

import dataclasses

import numpy as np
import pytest
import trimesh
from models.known_face import make_source

from jaxface.models import parts
from jaxface.models.embedding import Embedding
from jaxface.types import NUM_LANDMARKS, Part

CENTRES = {Part.RIGHT_EYE: (-31.0, 30.0, 40.0), Part.LEFT_EYE: (31.0, 31.0, 40.0)}
RADIUS = 12.0


def make_eyes(*, turns: bool):
    """Two spheres and nothing else; the second expression turns the right one to the subject's left."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=RADIUS)
    count = len(ball.vertices)
    mean = np.concatenate([ball.vertices + centre for centre in CENTRES.values()]).astype(np.float32)
    expression = np.zeros((2, 2 * count, 3), np.float32)
    if turns:
        expression[1, :count] = np.cross([0.0, 0.4, 0.0], ball.vertices)
    expression[0] = 5.0  # all shift, none turns
    triangles = np.concatenate([ball.faces, ball.faces + count]).astype(np.int32)
    source = dataclasses.replace(make_source(), mean_mm=mean, expression_mm=expression, triangles=triangles)
    return source, np.repeat(np.array(list(CENTRES), np.int32), count)


def no_landmarks() -> Embedding:
    return Embedding(
        np.zeros(NUM_LANDMARKS, np.int32), np.zeros((NUM_LANDMARKS, 3)), np.full((NUM_LANDMARKS, 3), np.nan)
    )


def test_irises_lie_on_the_visible_front_of_eyes_that_turn():
    source, vertex_parts = make_eyes(turns=True)
    found = parts.embed_irises(source, vertex_parts, no_landmarks())
    has = found.barycentrics.sum(axis=1) > 0.0
    assert np.flatnonzero(has).tolist() == list(range(468, 473))
    corners = source.mean_mm[source.triangles[found.triangles[has]]]
    places = np.sum(found.barycentrics[has][..., None] * corners, axis=1) - CENTRES[Part.RIGHT_EYE]
    np.testing.assert_allclose(places, found.points_mm[has] - CENTRES[Part.RIGHT_EYE], atol=1e-5)
    np.testing.assert_allclose(places[:, :2], 5.9 * np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]), atol=0.05)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), RADIUS, atol=0.2)
    assert places[:, 2].min() > 10.0


def test_eyes_that_stand_still_have_no_irises():
    source, vertex_parts = make_eyes(turns=False)
    found = parts.embed_irises(source, vertex_parts, no_landmarks())
    assert not found.barycentrics.any()


def test_eyes_are_white_with_an_iris_in_front():
    source, vertex_parts = make_eyes(turns=True)
    grey = np.full(source.mean_mm.shape, 0.5, np.float32)
    colours = parts.paint(grey, source.mean_mm, vertex_parts)
    for part, centre in CENTRES.items():
        offsets = source.mean_mm[vertex_parts == part] - centre
        bright = colours[vertex_parts == part].mean(axis=1)
        assert bright[np.argmax(offsets[:, 2])] < 0.1 and bright[np.argmin(offsets[:, 2])] > 0.7
        ring = (offsets[:, 2] > 0) & (np.abs(np.hypot(offsets[:, 0], offsets[:, 1]) - 4.0) < 1.0)
        assert ring.any() and np.all((bright[ring] > 0.1) & (bright[ring] < 0.3))
    assert np.all(parts.paint(grey, source.mean_mm, 0 * vertex_parts) == 0.5)


@pytest.mark.parametrize("part", [Part.UPPER_TEETH, Part.LOWER_TEETH, Part.TONGUE])
def test_teeth_and_tongue_have_colours_of_their_own(part):
    source, _ = make_eyes(turns=False)
    chosen = np.where(source.mean_mm[:, 0] > 0, part, Part.SKIN)
    colours = parts.paint(np.full(source.mean_mm.shape, 0.5, np.float32), source.mean_mm, chosen)
    assert np.all(colours[chosen == Part.SKIN] == 0.5) and np.all(colours[chosen == part] != 0.5)
