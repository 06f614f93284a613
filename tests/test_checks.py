"""Every verdict of the safety net: a good result passes, and each kind of failure gets its sentence."""

import dome
import fake_face
import numpy as np
import pytest

from jaxface import checks
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.types import CoarseFit, MediumFit

MODEL = dome.dome_model()
TRIANGLES = np.asarray(MODEL.triangles)
VERTICES = np.asarray(MODEL.mean_mm)


def make_coarse(**changes) -> CoarseFit:
    fit = fake_face.coarse_fit(fake_face.dome_mesh())
    return fit._replace(**({"vertices_mm": VERTICES, "residual_px": np.float32(2.0)} | changes))


def make_medium(**changes) -> MediumFit:
    moved = VERTICES + 0.5 * np.sin(VERTICES / 20.0).astype(np.float32)
    fit = MediumFit(moved, np.array([3.0, 2.0, 1.5], np.float32), np.float32(1.0), np.array(True))
    return fit._replace(**changes)


def as_sentence(reason: str) -> bool:
    return len(reason) > 15 and "\n" not in reason and not reason.endswith(".")  # "The face ...: reason."


def test_a_good_coarse_fit_passes():
    figures, reason = checks.check_coarse(make_coarse(), face_px=200.0)
    assert reason == "" and figures["residual_share"] == pytest.approx(0.01)
    assert figures["largest_coefficient"] == 1.0


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"finite": np.array(False)}, "finite"),
        ({"residual_px": np.float32(40.0)}, "20 %"),
        ({"identity": np.array([0.0, -11.0, 1.0], np.float32)}, "11.0"),
    ],
)
def test_a_bad_coarse_fit_does_not(changes, word):
    figures, reason = checks.check_coarse(make_coarse(**changes), face_px=200.0)
    assert word in reason and as_sentence(reason) and all(isinstance(v, float) for v in figures.values())


def test_a_model_without_identities_can_be_judged():
    assert checks.check_coarse(make_coarse(identity=np.zeros(0, np.float32)), face_px=200.0)[1] == ""


@pytest.mark.parametrize(
    ("changes", "residuals", "word"),
    [
        ({}, (0.03, 0.02), ""),
        ({}, (0.02, 0.03), "no better"),
        ({}, (0.02, np.nan), "no better"),
        ({"residual_px": np.float32(4.6)}, (0.03, 0.02), "left the landmarks"),
        ({"finite": np.array(False)}, (0.03, 0.02), "finite"),
        ({"identity": np.array([0.0, 9.0, 1.0], np.float32)}, (0.03, 0.02), "9.0"),
    ],
)
def test_a_fit_to_the_shading_must_help_and_stay_near_the_landmarks(changes, residuals, word):
    refined = make_coarse(**changes)
    figures, reason = checks.check_refined(refined, make_coarse(), face_px=200.0, residuals=np.array(residuals))
    assert (reason == "") == (word == "") and word in reason and (not reason or as_sentence(reason))
    assert figures["shading_residual_before"] == residuals[0]


def test_a_deformation_whose_shading_explains_the_photo_worse_does_not():
    worse = np.array([0.010, 0.011])
    _, reason = checks.check_medium(make_medium(), make_coarse(), triangles=TRIANGLES, residuals=worse)
    assert "worse" in reason and as_sentence(reason)


def test_a_good_deformation_passes():
    figures, reason = checks.check_medium(
        make_medium(), make_coarse(), triangles=TRIANGLES, residuals=np.array([0.02, 0.01])
    )
    assert reason == "" and figures["flipped_share"] == 0.0
    expected = np.linalg.norm(0.5 * np.sin(VERTICES / 20.0), axis=1).max()
    assert figures["largest_move_mm"] == pytest.approx(expected, rel=1e-4)


def spiked():
    vertices = VERTICES.copy()
    vertices[100] += np.array([0.0, 0.0, 40.0])
    return vertices


def crossed():
    vertices = VERTICES.copy()
    vertices.reshape(23, 19, 3)[8:14, 5:9, 0] += 15.0  # past their neighbours, which stand 7 mm apart
    return vertices


def holed():
    vertices = VERTICES.copy()
    vertices[5, 1] = np.nan
    return vertices


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"finite": np.array(False)}, "finite"),
        ({"vertices_mm": holed()}, "finite"),
        ({"vertices_mm": spiked()}, "40 mm"),
        ({"vertices_mm": crossed()}, "turned over"),
        ({"energies": np.array([1.0, 2.0, 5.0], np.float32)}, "rose"),
    ],
)
def test_a_bad_deformation_does_not(changes, word):
    _, reason = checks.check_medium(
        make_medium(**changes), make_coarse(), triangles=TRIANGLES, residuals=np.array([0.02, 0.01])
    )
    assert word in reason and as_sentence(reason)


def lit_dome():
    """Maps whose refined height explains the image exactly, and the image."""
    maps = fake_face.fine_maps()
    light = np.zeros((9, 3), np.float32)
    light[0], light[2], light[3] = 1.5, 0.6, 0.5
    shade = np.asarray(shading(checks.depth_normals(maps.height_px), light))
    maps = maps._replace(light=light, shading=shade)
    return maps, np.asarray(render(maps.albedo, shade, maps.specular), np.float32)


MAPS, IMAGE = lit_dome()


def test_a_phase_that_explains_the_photo_passes():
    figures, reason = checks.check_phase(MAPS, MAPS.height_px, image=IMAGE)
    assert reason == "" and figures["residual"] < 0.1 * figures["residual_medium"]
    assert 0.5 < figures["skin_share"] < 0.8 and 0.0 < figures["turn_degrees"] < 10.0
    inside = MAPS.confidence > 0.5
    move = np.sqrt(np.mean((0.1 * MAPS.height_px[inside]) ** 2)) / fake_face.SIZE
    assert figures["move_share"] == pytest.approx(move, rel=1e-4)


def test_the_medium_shape_itself_passes():
    figures, reason = checks.check_phase(MAPS, MAPS.medium_height_px, image=IMAGE)
    assert reason == "" and figures["move_share"] == 0.0


def test_the_residual_counts_only_where_it_is_trusted():
    spoilt = IMAGE.copy()
    spoilt[MAPS.confidence == 0] = 0.9
    assert checks.photometric_residual(MAPS, MAPS.height_px, spoilt) < 1e-4
    brighter = checks.photometric_residual(MAPS, MAPS.height_px, IMAGE + np.float32(0.1))
    assert brighter == pytest.approx(0.1, rel=1e-3)


def test_a_phase_that_broke_down_is_left_out():
    broken = np.where(MAPS.confidence > 0.5, np.nan, MAPS.height_px).astype(np.float32)
    for maps, height_px in ((MAPS, broken), (MAPS._replace(finite=np.array(False)), MAPS.height_px)):
        figures, reason = checks.check_phase(maps, height_px, image=IMAGE)
        assert "finite" in reason and as_sentence(reason) and figures["skin_share"] > 0.0


@pytest.mark.parametrize(
    ("confidence", "height_px", "image", "word"),
    [
        (np.zeros_like(MAPS.confidence), MAPS.height_px, IMAGE, "too little skin"),
        (MAPS.confidence, -MAPS.height_px, IMAGE, "worse"),
        (MAPS.confidence, 8.0 * MAPS.height_px, np.zeros_like(IMAGE), "degrees"),
        (MAPS.confidence, MAPS.medium_height_px + np.float32(5.0), IMAGE, "far"),
    ],
)
def test_a_bad_phase_is_left_out(confidence, height_px, image, word):
    maps = MAPS._replace(confidence=confidence)
    if word == "degrees":  # a flat photo that the steep surface explains no worse
        maps = maps._replace(albedo=np.zeros_like(maps.albedo), specular=np.zeros_like(maps.specular))
    _, reason = checks.check_phase(maps, height_px, image=image)
    assert word in reason and as_sentence(reason)
