"""Crops of spheres and grids whose counts are known in closed form."""

import numpy as np
import pytest
from face_fields import face, height_field

from jaxface.evaluation.crops import below_forehead_cut, nose_tip_crop, now_crop, now_sphere
from jaxface.evaluation.surfaces import EYE_CORNERS, MOUTH_CORNERS, NOSE_BOTTOM, NOSE_TIP, NOW_SEVEN, FaceSurface
from jaxface.types import FaceError

EMPTY = np.zeros((0, 3), int)


def landmarks(**places):
    found = np.full((68, 3), np.nan)
    for rows, values in places.values():
        found[list(rows)] = values
    return found


def even_sphere(radius_mm, *, num):
    """Points spread evenly over a sphere: equal steps in height hold equal areas (Archimedes)."""
    height = (np.arange(num) + 0.5) / num * 2.0 - 1.0
    turn = np.arange(num) * np.pi * (3.0 - np.sqrt(5.0))
    ring = np.sqrt(1.0 - height**2)
    return radius_mm * np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)


@pytest.mark.parametrize("crop_mm", [95.0, 60.0])
def test_a_sphere_about_a_point_of_a_sphere_holds_a_known_share(crop_mm):
    """A cap cut by a sphere of radius c about a point of a sphere of radius r has the area pi c^2, of 4 pi r^2."""
    surface = FaceSurface(even_sphere(100.0, num=20001), EMPTY, landmarks(tip=((NOSE_TIP,), (0.0, 100.0, 0.0))))
    kept = nose_tip_crop(surface, radius_mm=crop_mm)
    assert abs(kept.sum() - 20001 * crop_mm**2 / (4.0 * 100.0**2)) <= 1
    assert np.linalg.norm(surface.vertices_mm[kept] - [0.0, 100.0, 0.0], axis=1).max() <= crop_mm


def test_another_unit_is_told():
    metres = FaceSurface(even_sphere(0.1, num=2001), EMPTY, landmarks(tip=((NOSE_TIP,), (0.0, 0.1, 0.0))))
    kept = nose_tip_crop(metres, radius_mm=95.0, mm_per_unit=1000.0)
    assert abs(kept.sum() - 2001 * 0.95**2 / 4.0) <= 1


def test_nows_sphere_worked_out_by_hand():
    """Bridge at (0, 40, 0), nose bottom at the origin: centre 12 up, radius 1.4 (100 + 40) / 2."""
    corners = [(-50, 30, 0), (-15, 40, 0), (15, 40, 0), (50, 30, 0)]
    surface = FaceSurface(
        even_sphere(98.0 - 1e-6, num=301) + [[0.0, 12.0, 0.0]],
        EMPTY,
        landmarks(eyes=(EYE_CORNERS, corners), nose=((NOSE_BOTTOM,), (0, 0, 0))),
    )
    centre_mm, radius_mm = now_sphere(surface)
    np.testing.assert_allclose(centre_mm, [0.0, 12.0, 0.0], atol=1e-12)
    assert radius_mm == pytest.approx(98.0)
    assert now_crop(surface).all()
    wider = surface._replace(vertices_mm=(surface.vertices_mm - centre_mm) * 1.0001 + centre_mm)
    assert not now_crop(wider).any()


def test_the_forehead_cut_is_square_to_the_face_however_it_is_turned():
    vertices, triangles = height_field(lambda x, y: 0.0 * x, side=41, step=4.0)
    known = landmarks(
        eyes=(EYE_CORNERS, [(-45, 30, 0), (-15, 30, 0), (15, 30, 0), (45, 30, 0)]),
        mouth=(MOUTH_CORNERS, [(-25, -35, 0), (25, -35, 0)]),
    )
    surface = FaceSurface(vertices, triangles, known)
    kept = below_forehead_cut(surface, height_mm=25.0)
    np.testing.assert_array_equal(kept, vertices[:, 1] <= 55.0)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = FaceSurface(vertices @ turn, triangles, known @ turn)
    np.testing.assert_array_equal(below_forehead_cut(turned, height_mm=25.0), kept)


@pytest.mark.parametrize(
    ("crop", "row", "name"),
    [
        (lambda s: nose_tip_crop(s, radius_mm=95.0), NOSE_TIP, "nose tip"),
        (now_crop, NOSE_BOTTOM, "nose bottom"),
        (lambda s: below_forehead_cut(s, height_mm=30.0), MOUTH_CORNERS[0], "right mouth corner"),
    ],
)
def test_a_missing_landmark_is_named(crop, row, name):
    surface = face(side=9)
    surface.landmarks_mm[row] = np.nan
    with pytest.raises(FaceError, match=f"scan lacks the landmark {name}"):
        crop(surface)


def test_the_seven_are_in_nows_order():
    assert NOW_SEVEN == (36, 39, 42, 45, 33, 48, 54)
