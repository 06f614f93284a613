"""Landmarks by index map: a detector that knows the truth is put in place of MediaPipe."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from models import known_face

from jaxface.detection.indices import MIRRORED
from jaxface.models import embedding, transfer
from jaxface.models.embedding import embed_landmarks, reprojection_errors
from jaxface.types import FaceError


@pytest.fixture
def witness(monkeypatch):
    return known_face.Witness(monkeypatch)


def turned_away(source):
    """Landmarks whose surface does not face the viewer (nostrils, folds): pictures do not show them."""
    corners = source.mean_mm[source.triangles].astype(np.float64)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros(source.mean_mm.shape)
    np.add.at(normals, source.triangles, faces[:, None])
    return (normals[:, 2] < 0.35 * np.linalg.norm(normals, axis=1))[: known_face.SURFACE]


def test_known_points_are_found_again(witness):
    source = known_face.make_source()
    found = embed_landmarks(source, detect=witness, name="known")
    assert witness.looks < len(witness.shots) <= 15  # the last picture tells what of the lips is seen
    truth_mm = source.mean_mm[: known_face.SURFACE]
    misses_mm = np.linalg.norm(found.points_mm[: known_face.SURFACE] - truth_mm, axis=1)
    seen = ~turned_away(source)
    assert seen.mean() > 0.8
    assert np.median(misses_mm) < 0.1 and np.mean(misses_mm[seen] < 0.3) > 0.95
    corners = source.mean_mm[source.triangles[found.triangles]]
    placed = np.sum(found.barycentrics[..., None] * corners, axis=1)
    np.testing.assert_allclose(placed[:468], found.points_mm[:468], atol=2e-3)
    np.testing.assert_allclose(found.barycentrics[:468].sum(axis=1), 1.0, atol=1e-5)
    assert found.barycentrics.min() >= 0.0
    # The irises, which look around, have no place.
    assert np.all(found.barycentrics[468:] == 0.0) and np.isnan(found.points_mm[468:]).all()


def test_a_detector_that_leans_to_one_side_is_made_symmetric(witness):
    witness.moved_px[:, 0] = 1.5
    source = known_face.make_source()
    found = embed_landmarks(source, detect=witness, name="known").points_mm[: known_face.SURFACE]
    partners = np.array(MIRRORED)[: known_face.SURFACE]
    # Where a place in a fold goes on the way back to the surface may differ from side to side.
    asymmetry_mm = np.linalg.norm(found[partners] * [[-1.0, 1.0, 1.0]] - found, axis=1)
    assert np.percentile(asymmetry_mm, 95) < 0.1
    seen = ~turned_away(source)
    assert np.median((found - source.mean_mm[: known_face.SURFACE])[seen, 0]) == pytest.approx(0.0, abs=0.05)


def test_partners_mirror_each_other():
    partners = np.array(MIRRORED)
    np.testing.assert_array_equal(partners[partners], np.arange(len(partners)))
    assert (partners[33], partners[61], partners[1], partners[468]) == (263, 291, 1, 473)


def test_landmarks_beside_the_mesh_have_no_weight(witness):
    witness.moved_px[[10, 152]] = [[0.0, -300.0], [0.0, 300.0]]
    found = embed_landmarks(known_face.make_source(), detect=witness, name="known")
    missing = np.flatnonzero(found.barycentrics.sum(axis=1) == 0.0)
    np.testing.assert_array_equal(missing, [10, 152, *range(468, 478)])


def test_no_face_says_so():
    with pytest.raises(FaceError, match="No face was found on the mean shape of nobody"):
        embed_landmarks(known_face.make_source(), detect=lambda image: [], name="nobody")


def test_most_landmarks_must_have_a_place(witness):
    witness.moved_px[200:468, 0] = 4000.0
    with pytest.raises(FaceError, match="known"):
        embed_landmarks(known_face.make_source(), detect=witness, name="known")


def test_eyes_must_be_apart(witness):
    """A face seen in the wrong place, a tenth as large."""
    middle = np.zeros((478, 2)) + 256.0

    def shrunken(image):
        (face,) = witness(image)
        return [face._replace(points_px=jnp.asarray(middle + 0.1 * (np.asarray(face.points_px) - middle), jnp.float32))]

    with pytest.raises(FaceError, match="mean shape of known"):
        embed_landmarks(known_face.make_source(), detect=shrunken, name="known")


def test_points_of_closed_lips_go_to_the_lip_that_the_jaw_says(monkeypatch, witness):
    """A detector sees both rims of a shut mouth in one place."""
    source = known_face.make_source()
    upper, lower = (np.array(rim) for rim in embedding._INNER_LIPS)

    def blurred(image):
        (face,) = witness(image)
        points_px = np.array(face.points_px)
        points_px[upper] = points_px[lower] = 0.5 * (points_px[upper] + points_px[lower])
        return [face._replace(points_px=jnp.asarray(points_px))]

    found = embed_landmarks(source, detect=blurred, name="known")
    jaw_mm = source.expression_mm[source.expression_names.index("jawOpen")]
    drops_mm = -np.sum(found.barycentrics[..., None] * jaw_mm[source.triangles[found.triangles]], axis=1)[:, 1]
    assert drops_mm[upper].max() < 8.0 and drops_mm[lower].min() > 8.0


def test_our_own_brows_are_no_witness():
    points_mm = transfer.default_landmarks()
    bare, own = known_face.make_source(colours=None), known_face.make_source()
    brows = np.isnan(embedding.anchors(points_mm, source=bare)[:468]).any(axis=1)
    assert 10 <= brows.sum() <= 30 and brows[105] and not brows[33]
    np.testing.assert_array_equal(embedding.anchors(points_mm, source=own), points_mm)


def test_lashes_before_the_skin_are_passed_over(witness):
    """A plate in front of the face is a piece of its own: landmarks go to the skin."""
    source = known_face.make_source()
    plate = np.array([[-45, 15, 75], [45, 15, 75], [45, 45, 75], [-45, 45, 75]], np.float32)
    count = len(source.mean_mm)
    corners = np.array([[0, 1, 2], [0, 2, 3]], np.int32) + count
    pieces = dataclasses.replace(
        source,
        mean_mm=np.concatenate([source.mean_mm, plate]),
        identity_mm=np.pad(source.identity_mm, ((0, 0), (0, 4), (0, 0))),
        expression_mm=np.pad(source.expression_mm, ((0, 0), (0, 4), (0, 0))),
        triangles=np.concatenate([source.triangles, corners]),
        colours=np.concatenate([source.colours, np.full((4, 3), 0.1, np.float32)]),
    )
    found = embed_landmarks(pieces, detect=witness, name="known")
    assert np.all(pieces.triangles[found.triangles[:468]] < count)


def test_reprojection_is_zero_for_the_truth_and_tells_a_shift(witness):
    model = known_face.the_model()
    errors_px = reprojection_errors(model, detect=_both_ways(witness))
    assert np.isnan(errors_px[468:]).all() and np.max(errors_px[:468]) < 1e-2
    witness.moved_px[:, 1] = 3.0
    np.testing.assert_allclose(reprojection_errors(model, detect=_both_ways(witness))[:468], 3.0, atol=1e-2)
    with pytest.raises(FaceError, match="No face"):
        reprojection_errors(model, detect=lambda image: [])


def _both_ways(witness):
    """The second picture is the first one's mirror image."""
    partners, count = np.array(MIRRORED), [0]

    def detect(image):
        (face,) = witness(image)
        count[0] += 1
        if count[0] % 2 == 0:
            points_px = np.asarray(face.points_px)[partners] * [[-1.0, 1.0]] + [[511.0, 0.0]]
            face = face._replace(points_px=jnp.asarray(points_px, jnp.float32))
        return [face]

    return detect
