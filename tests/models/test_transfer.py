"""Labels and colours of the embedded face, carried to itself and to copies of it that are elsewhere and larger."""

import numpy as np
import pytest
from models import known_face

from jaxface.models import transfer
from jaxface.morphable.default import load_default
from jaxface.types import Region


def moved(points_mm, copy):
    """The same face larger and elsewhere, or narrower with a longer chin."""
    if copy == "itself":
        return points_mm
    if copy == "larger":
        return 1.15 * points_mm + [[3.0, -20.0, 40.0]]
    low = np.minimum(points_mm[:, 1:2] + 40.0, 0.0)
    return points_mm * [[0.92, 1.0, 1.05]] + 0.1 * low * [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize("copy", ["itself", "larger", "narrower"])
def test_labels_and_colours_come_back(copy):
    model, shown = load_default(), transfer._shown()  # not what lies behind lids and lips
    mean_mm = np.asarray(model.mean_mm, np.float64)[shown]
    match = transfer.correspond(moved(mean_mm, copy), moved(transfer.default_landmarks(), copy))
    assert np.median(np.linalg.norm(match.reference_mm - mean_mm, axis=1)) < 0.3
    assert not match.beyond.any()
    assert np.mean(transfer.carried_regions(match) == np.asarray(model.vertex_regions)[shown]) >= 0.98
    difference = np.abs(transfer.carried_albedo(match) - np.asarray(model.albedo)[shown]).max(axis=1)
    assert np.mean(difference < 0.02) >= 0.97


def test_between_far_vertices_is_not_beyond():
    """The scalp's triangles are a centimetre wide; holes were left in other models' cheeks."""
    model, shown = load_default(), transfer._shown()
    triangles = np.asarray(model.triangles)
    triangles = triangles[np.isin(triangles, shown).all(axis=1)]
    middles_mm = np.asarray(model.mean_mm, np.float64)[triangles].mean(axis=1)
    assert not transfer.correspond(middles_mm, transfer.default_landmarks()).beyond.any()


def test_landmarks_that_are_unknown_are_left_out():
    mean_mm = np.asarray(load_default().mean_mm, np.float64)
    landmarks_mm = transfer.default_landmarks().copy()
    assert np.isnan(landmarks_mm[468:]).all() and np.isfinite(landmarks_mm[:468]).all()
    landmarks_mm[np.random.default_rng(0).choice(468, 200, replace=False)] = np.nan
    reference_mm = transfer.correspond(mean_mm, landmarks_mm).reference_mm
    assert np.percentile(np.linalg.norm(reference_mm - mean_mm, axis=1), 90) < 0.5


def test_what_lies_beyond_is_outside_and_has_the_colour_of_skin():
    model = load_default()
    mean_mm = np.asarray(model.mean_mm, np.float64)
    ears_mm = np.array([[95.0, 0.0, -20.0], [0.0, -160.0, -40.0], [0.0, 0.0, -90.0]])
    match = transfer.correspond(np.concatenate([mean_mm, ears_mm]), transfer.default_landmarks())
    assert match.beyond[-3:].all()
    assert np.all(transfer.carried_regions(match)[-3:] == Region.OUTSIDE)
    skin = np.asarray(model.albedo)[np.asarray(model.vertex_regions) == Region.SKIN].mean(axis=0)
    np.testing.assert_allclose(transfer.carried_albedo(match)[-3:], np.tile(skin, (3, 1)), atol=1e-6)


def test_membranes_belong_to_the_nearer_opening():
    source = known_face.make_source()
    labels = np.asarray(known_face.the_model().vertex_regions)
    inside = np.isin(labels, (Region.EYE_OPENING, Region.MOUTH_OPENING))
    match = transfer.correspond(source.mean_mm, transfer.default_landmarks())
    regions = transfer.label_openings(np.zeros_like(labels), match, inside)
    np.testing.assert_array_equal(regions, np.where(inside, labels, 0))
