"""Predictions whose error is known, under every protocol; and what cannot be judged, in one sentence."""

import dataclasses

import numpy as np
import pytest
from face_fields import face, face_height, rotation

from jaxface.evaluation.alignment import Similarity, transform
from jaxface.evaluation.distances import vertex_normals
from jaxface.evaluation.evaluate import evaluate
from jaxface.evaluation.protocols import PROTOCOLS
from jaxface.evaluation.surfaces import EYE_CORNERS, MOUTH_CORNERS, NOSE_TIP, FaceSurface
from jaxface.geometry.nearest import make_search
from jaxface.types import FaceError

NAMES = list(PROTOCOLS)
SCAN = face()
FAR = Similarity(0.013, rotation((0.3, 1.0, -0.7), 2.1), np.array([20.0, -300.0, 5.0]))


def moved(surface, similarity) -> FaceSurface:
    known = np.isfinite(surface.landmarks_mm)
    landmarks = np.where(known, transform(np.nan_to_num(surface.landmarks_mm), similarity=similarity), np.nan)
    return FaceSurface(transform(surface.vertices_mm, similarity=similarity), surface.triangles, landmarks)


def smudged(surface, *, sigma_mm, seed=0) -> FaceSurface:
    """Landmarks as a detector would give them."""
    noise = np.random.default_rng(seed).normal(0.0, sigma_mm, (68, 3))
    return surface._replace(landmarks_mm=surface.landmarks_mm + noise)


def metrical(name):
    return dataclasses.replace(PROTOCOLS[name], scale="rigid")


@pytest.mark.parametrize("name", NAMES)
def test_a_mesh_against_itself_far_away(name):
    found = evaluate(moved(SCAN, FAR), SCAN, protocol=PROTOCOLS[name])
    assert found.headline_mm < 1e-6 and found.figures["rmse_mm"] < 1e-6 and found.figures["within_1mm"] == 1.0
    assert found.figures["normal_degrees"] < 1e-4
    assert found.figures["scale"] * FAR.scale == pytest.approx(1.0)
    np.testing.assert_allclose(found.aligned_mm, SCAN.vertices_mm, atol=1e-6)
    assert found.protocol == PROTOCOLS[name].text


@pytest.mark.parametrize(("name", "limit_mm"), [("micc-deng2019", 1e-6), ("micc-ganfit", 0.1), ("now", 1e-6)])
def test_a_mesh_against_itself_with_landmarks_that_are_off(name, limit_mm):
    """ICP has to find the way; GANFit's ends early, when a round gains less than a thousandth of a millimetre."""
    prediction = moved(smudged(SCAN, sigma_mm=3.0), FAR)
    assert evaluate(prediction, SCAN, protocol=PROTOCOLS[name]).headline_mm < limit_mm


@pytest.mark.parametrize("name", NAMES)
def test_offsets_along_the_normals_are_the_error(name):
    """Scan points 0.4 mm off the surface, to both sides by turns: no alignment can help."""
    search = make_search(SCAN.vertices_mm, SCAN.triangles)
    rows = np.arange(len(SCAN.vertices_mm))
    signs = np.where((rows + rows // 61) % 2 == 0, 0.4, -0.4)
    points_mm = search.vertices + signs[:, None] * vertex_normals(search)
    protocol = dataclasses.replace(PROTOCOLS[name], kept=1.0)  # trimmed, it would favour one side
    found = evaluate(SCAN, SCAN._replace(vertices_mm=points_mm), protocol=protocol)
    assert found.figures["median_mm"] == pytest.approx(0.4, abs=0.02)
    assert found.figures["mean_mm"] == pytest.approx(0.4, abs=0.05)
    assert found.figures["std_mm"] < 0.06 and found.figures["within_1mm"] == 1.0


def test_figures_are_those_of_the_errors():
    found = evaluate(face(height=lambda x, y: 1.03 * face_height(x, y)), SCAN, protocol=PROTOCOLS["now"])
    errors_mm = found.errors_mm
    assert found.figures["rmse_mm"] == pytest.approx(np.sqrt(np.mean(errors_mm**2)))
    assert found.figures["std_mm"] == pytest.approx(np.std(errors_mm))
    assert found.headline_mm == found.figures["median_mm"] == pytest.approx(np.median(errors_mm))
    assert found.figures["within_1mm"] == pytest.approx(np.mean(errors_mm <= 1.0))
    assert found.figures["num_points"] == len(errors_mm) == len(found.points_mm) == len(found.kept_vertices)
    np.testing.assert_array_equal(found.points_mm, SCAN.vertices_mm[found.kept_vertices])


@pytest.mark.parametrize("name", NAMES)
def test_a_rigid_protocol_sees_a_wrong_size(name):
    small = moved(SCAN, Similarity(0.95, FAR.rotation, FAR.translation))
    found = evaluate(small, SCAN, protocol=metrical(name))
    assert found.figures["scale"] == 1.0 == found.similarity.scale
    assert found.figures["free_scale"] == pytest.approx(1.0 / 0.95, rel=1e-4)
    assert found.headline_mm > 0.3
    assert evaluate(small, SCAN, protocol=PROTOCOLS[name]).headline_mm < 1e-6


def test_the_error_of_a_wrong_size_is_that_of_the_radius():
    """A sphere all round, predicted 4 % too small: rigidly, it lies about the same centre, 4 mm inside."""
    angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)[None, :]
    heights = np.linspace(-0.99, 0.99, 60)[:, None]
    ring = np.sqrt(1.0 - heights**2)
    unit = np.stack([ring * np.cos(angles), ring * np.sin(angles), heights + 0.0 * angles], axis=-1).reshape(-1, 3)
    rows = np.arange(60 * 72).reshape(60, 72)
    a, b, c, d = (x.ravel() for x in (rows[:-1], np.roll(rows, -1, 1)[:-1], np.roll(rows, -1, 1)[1:], rows[1:]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    landmarks_mm = np.full((68, 3), np.nan)
    landmarks_mm[[NOSE_TIP, *EYE_CORNERS, *MOUTH_CORNERS]] = 100.0 * unit[:: len(unit) // 7][:7]
    sphere = FaceSurface(100.0 * unit, triangles, landmarks_mm)
    whole = dataclasses.replace(PROTOCOLS["micc-ganfit"], scale="rigid", crop_radius_mm=500.0)
    found = evaluate(moved(sphere, Similarity(0.96, np.eye(3), np.ones(3))), sphere, protocol=whole)
    assert found.headline_mm == pytest.approx(4.0, abs=0.1)
    assert found.figures["reverse_mean_mm"] == pytest.approx(4.0, abs=0.1)


def test_outliers_do_not_move_the_trimmed_alignment():
    rng = np.random.default_rng(0)
    points_mm = SCAN.vertices_mm.copy()
    outliers = rng.random(len(points_mm)) < 0.08
    points_mm[outliers, 2] += rng.uniform(5.0, 20.0, outliers.sum())
    protocol = PROTOCOLS["micc-deng2019"]
    found = evaluate(smudged(SCAN, sigma_mm=2.0), SCAN._replace(vertices_mm=points_mm), protocol=protocol)
    assert found.errors_mm[~outliers[found.kept_vertices]].max() < 1e-6
    assert found.headline_mm > 1.0  # they count, all the same


@pytest.mark.parametrize("name", NAMES)
def test_triangles_that_point_inwards_change_nothing(name):
    prediction = face(side=47, step=4.0, height=lambda x, y: face_height(x, y) + np.sin(x / 12.0))
    plain = evaluate(prediction, SCAN, protocol=PROTOCOLS[name])
    turned = evaluate(prediction, SCAN._replace(triangles=SCAN.triangles[:, ::-1]), protocol=PROTOCOLS[name])
    assert turned.figures == pytest.approx(plain.figures, rel=1e-6)
    assert 1.0 < plain.figures["normal_degrees"] < 20.0


@pytest.mark.parametrize("name", NAMES)
def test_seams_change_nothing(name):
    """As in files whose triangles share no vertices."""
    prediction = face(side=47, step=4.0, height=lambda x, y: face_height(x, y) + np.sin(x / 12.0))
    corners = prediction.vertices_mm[prediction.triangles].reshape(-1, 3)
    split = prediction._replace(vertices_mm=corners, triangles=np.arange(len(corners)).reshape(-1, 3))
    whole, found = (evaluate(p, SCAN, protocol=PROTOCOLS[name]) for p in (prediction, split))
    forward = set(whole.figures) - {"reverse_mean_mm"}  # that one counts vertices of the prediction
    assert {key: found.figures[key] for key in forward} == pytest.approx({key: whole.figures[key] for key in forward})


def test_overlap_only_leaves_out_what_the_prediction_lacks():
    """A prediction that ends at x = 20 mm: beyond, the scan is nearest to its border."""
    prediction = SCAN._replace(
        triangles=SCAN.triangles[np.all(SCAN.vertices_mm[SCAN.triangles][..., 0] <= 20.0, axis=1)]
    )
    base = dataclasses.replace(PROTOCOLS["now"], kept=0.5)
    whole = evaluate(prediction, SCAN, protocol=base)
    part = evaluate(prediction, SCAN, protocol=dataclasses.replace(base, overlap_only=True))
    assert whole.figures["overlap"] == part.figures["overlap"] < 0.75
    assert part.figures["rmse_mm"] < 1e-6 < 5.0 < whole.figures["rmse_mm"]
    assert part.points_mm[:, 0].max() < 20.0 < 60.0 < whole.points_mm[:, 0].max()


def test_a_cloud_of_points_will_do_where_its_surface_is_not_asked_for():
    cloud = SCAN._replace(triangles=np.zeros((0, 3), int))
    for name in ("micc-deng2019", "now"):
        found = evaluate(moved(SCAN, FAR), cloud, protocol=PROTOCOLS[name])
        assert found.headline_mm < 1e-6 and np.isnan(found.figures["normal_degrees"])
    with pytest.raises(FaceError, match="scan has no triangles"):
        evaluate(SCAN, cloud, protocol=PROTOCOLS["micc-ganfit"])


def test_stray_vertices_are_no_part_of_a_scan():
    stray = SCAN._replace(vertices_mm=np.concatenate([SCAN.vertices_mm, SCAN.landmarks_mm[[NOSE_TIP]] + 9.0]))
    found = evaluate(SCAN, stray, protocol=PROTOCOLS["now"])
    assert found.headline_mm < 1e-6 and len(SCAN.vertices_mm) not in found.kept_vertices


@pytest.mark.parametrize("name", NAMES)
def test_the_same_twice(name):
    prediction = smudged(face(side=47, step=4.0), sigma_mm=2.0)
    runs = [evaluate(prediction, SCAN, protocol=PROTOCOLS[name]) for _ in range(2)]
    assert runs[0].errors_mm.tobytes() == runs[1].errors_mm.tobytes()
    assert runs[0].figures == runs[1].figures


def without(surface, *rows):
    landmarks_mm = surface.landmarks_mm.copy()
    landmarks_mm[list(rows)] = np.nan
    return surface._replace(landmarks_mm=landmarks_mm)


def test_landmarks_that_one_side_lacks_are_done_without():
    found = evaluate(without(SCAN, 36, 48), without(SCAN, 39), protocol=PROTOCOLS["micc-deng2019"])
    assert found.figures["num_landmarks"] == 4.0 and found.headline_mm < 1e-6


def with_a_hole_in_the_numbers(surface):
    vertices_mm = surface.vertices_mm.copy()
    vertices_mm[5, 1] = np.nan
    return surface._replace(vertices_mm=vertices_mm)


BROKEN = {
    "not finite numbers": with_a_hole_in_the_numbers,
    "no vertices": lambda s: s._replace(vertices_mm=np.zeros((0, 3)), triangles=np.zeros((0, 3), int)),
    "shapes": lambda s: s._replace(triangles=s.triangles[:100].reshape(-1, 4)),
    "shape .68, 3.": lambda s: s._replace(landmarks_mm=s.landmarks_mm[:7]),
    "lacks; repair": lambda s: s._replace(triangles=s.triangles + 5),
    "infinite landmark": lambda s: s._replace(landmarks_mm=np.full((68, 3), np.inf)),
    "have 2 of the landmarks": lambda s: without(s, *EYE_CORNERS, NOSE_TIP),
    "one line or coincide": lambda s: s._replace(landmarks_mm=np.ones((68, 3))),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("side", ["prediction", "scan"])
def test_what_cannot_be_judged_is_told_in_one_sentence(fault, side):
    pair = {"prediction": SCAN, "scan": SCAN}
    pair[side] = BROKEN[fault](SCAN)
    with pytest.raises(FaceError, match=fault) as caught:
        evaluate(**pair, protocol=PROTOCOLS["micc-deng2019"])
    told = str(caught.value)
    assert told.endswith(".") and "\n" not in told and (side in told or "common" in told)


def test_other_refusals():
    cloud = SCAN._replace(triangles=np.zeros((0, 3), int))
    with pytest.raises(FaceError, match="prediction has no triangles"):
        evaluate(cloud, SCAN, protocol=PROTOCOLS["now"])
    with pytest.raises(FaceError, match="6 of the landmarks .* now needs 7"):
        evaluate(without(SCAN, 54), SCAN, protocol=PROTOCOLS["now"])
    with pytest.raises(FaceError, match="vertices of the scan are left by the crop"):
        evaluate(SCAN, moved(SCAN, FAR)._replace(vertices_mm=SCAN.vertices_mm), protocol=PROTOCOLS["micc-ganfit"])
    with pytest.raises(FaceError, match="times as large"):
        evaluate(moved(SCAN, FAR), SCAN, protocol=metrical("now"))
