"""Ray-traced training pictures: what they say of the surface is exactly what they show."""

import functools

import numpy as np
import pytest
from learned_normals import develop, families, noise, relief
from learned_normals.camera import View, random_view
from learned_normals.head import Thing
from learned_normals.light import Light, Source, disc, random_light, spread
from learned_normals.paint import random_paint
from learned_normals.picture import take

from jaxface.types import Part, Region

SIZE = 72


@functools.cache
def a_face(seed=0, raised=0.0):
    of = families.family("default")
    rng = np.random.default_rng(seed)
    neutral = families.identity_mm(of, rng, bend_mm=0.0)
    paint = random_paint(of, rng)
    height = raised * relief.relief_mm(of, rng, age=1.0)
    return of, families.head(of, neutral + families.expression_mm(of, rng), height), paint


def from_ahead(head, focal=2.2):
    middle = head.landmarks_mm.mean(axis=0)
    eye = middle + [0.0, 0.0, 500.0]
    return View(np.eye(3), eye, focal * SIZE, np.full(2, (SIZE - 1) / 2), SIZE)


def even_light():
    return Light(np.zeros((1, 3)), np.ones(1), np.zeros((1, 3)), np.ones((2, 3)), ())


def from_one_side(side):
    source = Source(disc(np.array([side, 0.0, 0.6]), np.radians(5), 4), np.full(3, 2.0))
    return even_light()._replace(base=np.full((2, 3), 0.05), sources=(source,))


@functools.cache
def shown(thing=None, pores=0.0):
    _, head, paint = a_face()
    return take(head, paint, thing, even_light(), from_ahead(head), pores=pores)


def test_normals_are_those_of_the_depth():
    _, head, _ = a_face()
    picture, view = shown(), from_ahead(head)
    z = picture.depth_mm
    dy, dx = np.gradient(z)
    x, y = (np.arange(SIZE) - view.centre_px[0]) / view.focal_px, (np.arange(SIZE) - view.centre_px[1]) / view.focal_px
    # A point is depth * (x, y, 1): the normal follows from its derivatives by the pixel.
    across = np.stack([dx * x + z / view.focal_px, dx * y[:, None], dx], axis=-1)
    down = np.stack([dy * x, dy * y[:, None] + z / view.focal_px, dy], axis=-1)
    normals = np.cross(across, down)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    # Along the optical axis depth grows away from the viewer.
    found = picture.normals * [1.0, 1.0, -1.0]
    agree = np.abs((normals * found).sum(axis=-1))
    smooth = picture.head & np.isfinite(agree) & (picture.normals[..., 2] > 0.6)
    assert smooth.sum() > 400
    assert np.degrees(np.arccos(np.clip(np.median(agree[smooth]), -1, 1))) < 4.0


def test_even_light_is_darker_only_where_little_of_it_gets_in():
    of, head, paint = a_face()
    picture = shown()
    bright = picture.linear.mean(axis=-1)[picture.skin > 0.99]
    assert bright.min() > 0.0 and bright.max() < 1.5


def test_light_from_one_side_is_on_that_side_and_casts_shadows():
    _, head, paint = a_face()
    seen = [take(head, paint, None, from_one_side(side), from_ahead(head), pores=0.0) for side in (-1.0, 1.0)]
    half = np.arange(SIZE) < SIZE // 2
    skin = [s.linear.mean(axis=-1) * (s.skin > 0.99) for s in seen]
    assert skin[0][:, half].mean() > 1.3 * skin[0][:, ~half].mean()
    assert skin[1][:, ~half].mean() > 1.3 * skin[1][:, half].mean()


def wall(head, *, half):
    """A square board before the face."""
    middle = head.landmarks_mm[4] + [0.0, 0.0, 25.0]
    corners = middle + np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Thing(corners, faces, np.full((4, 3), 0.3), np.zeros(4), 0.0)


def test_what_is_in_front_hides_the_skin_but_not_the_truth():
    _, head, paint = a_face()
    bare = shown()
    hidden = take(head, paint, wall(head, half=30.0), even_light(), from_ahead(head), pores=0.0)
    np.testing.assert_array_equal(hidden.normals, bare.normals)
    np.testing.assert_array_equal(hidden.head, bare.head)
    covered = (hidden.skin < 0.01) & (bare.skin > 0.99)
    assert 200 < covered.sum() < 0.8 * (bare.skin > 0.99).sum()


def test_eyes_and_teeth_are_no_skin():
    _, head, paint = a_face()
    picture = shown()
    x, y = from_ahead(head).project(head.landmarks_mm[[468, 473]])[0].T
    open_wide = np.linalg.norm(head.landmarks_mm[159] - head.landmarks_mm[145]) > 6.0
    if open_wide:
        assert picture.skin[np.round(y).astype(int), np.round(x).astype(int)].max() < 0.8


def test_pores_bend_normals_a_little():
    rough, smooth = shown(pores=0.05), shown()
    apart = np.degrees(np.arccos(np.clip((rough.normals * smooth.normals).sum(axis=-1)[smooth.head], -1, 1)))
    assert 0.5 < apart.mean() < 15.0
    np.testing.assert_array_equal(rough.depth_mm, smooth.depth_mm)


@pytest.mark.parametrize("age", [0.0, 1.0])
def test_relief_stays_on_skin_and_within_bounds(age):
    of = families.family("default")
    heights = [relief.relief_mm(of, np.random.default_rng(seed), age=age) for seed in range(3)]
    for height in heights:
        assert np.isfinite(height).all() and np.abs(height).max() <= 1.6
        np.testing.assert_array_equal(height[of.parts != Part.SKIN], 0.0)
        np.testing.assert_array_equal(height[of.regions == Region.EYE_OPENING], 0.0)
    face = families.is_skin(of) & (of.regions < Region.OUTSIDE)
    print("RELIEF", age, [float(height[face].std()) for height in heights])
    assert np.mean([height[face].std() for height in heights]) > 0.02


@pytest.mark.slow
def test_old_skin_has_more_relief_than_young():
    of = families.family("default")
    face = families.is_skin(of) & (of.regions < Region.OUTSIDE)
    young, old = (
        np.mean([relief.relief_mm(of, np.random.default_rng(s), age=age)[face].std() for s in range(6)])
        for age in (0.0, 1.0)
    )
    assert old > 1.15 * young


def test_heads_differ_by_their_seeds_and_not_otherwise():
    of = families.family("default")
    one, same, other = (families.identity_mm(of, np.random.default_rng(s), bend_mm=1.0) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.linalg.norm(one - other, axis=1).mean() > 1.0


def test_a_field_of_noise_has_its_size_and_spread():
    points = np.random.default_rng(0).uniform(0, 200, (20_000, 3))
    values = noise.field(points, size_mm=10.0, seed=3)
    assert abs(values.std() - 1.0) < 0.15
    near = noise.field(points + [1.0, 0.0, 0.0], size_mm=10.0, seed=3)
    far = noise.field(points + [40.0, 0.0, 0.0], size_mm=10.0, seed=3)
    assert np.corrcoef(values, near)[0, 1] > 0.9 and abs(np.corrcoef(values, far)[0, 1]) < 0.1
    step = 1e-3
    ahead = noise.field(points + [step, 0, 0], size_mm=10.0, seed=3)
    slope = noise.gradient(points, size_mm=10.0, seed=3)[:, 0]
    assert np.corrcoef((ahead - values) / step, slope)[0, 1] > 0.8


def test_directions_are_spread_evenly():
    directions = spread(500)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0)
    np.testing.assert_allclose(directions.mean(axis=0), 0.0, atol=0.01)
    axis = np.array([1.0, 2.0, 2.0]) / 3.0
    narrow = disc(axis, np.radians(10), 64)
    np.testing.assert_allclose(np.linalg.norm(narrow, axis=1), 1.0)
    assert np.degrees(np.arccos(narrow @ axis)).max() <= 10.01


def test_lights_and_views_are_random_but_sane():
    _, head, _ = a_face()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        light, view = random_light(rng), random_view(head.landmarks_mm, rng, size=SIZE)
        radiance = light.environment(spread(50))
        assert np.isfinite(radiance).all() and radiance.min() >= 0.0 and radiance.max() > 0.0
        places, depth = view.project(head.landmarks_mm)
        assert depth.min() > 50.0
        inside = ((places > 0) & (places < SIZE)).all(axis=1)
        assert inside.mean() > 0.15
        np.testing.assert_allclose(view.rotation @ view.rotation.T, np.eye(3), atol=1e-9)


def test_rays_and_projection_are_inverse():
    _, head, _ = a_face()
    view = random_view(head.landmarks_mm, np.random.default_rng(1), size=SIZE)
    directions = view.rays((0.0, 0.0)).reshape(SIZE, SIZE, 3)
    places, depth = view.project(view.eye_mm + 321.0 * directions[17, 40][None])
    np.testing.assert_allclose(places[0], [40.0, 17.0], atol=1e-6)
    np.testing.assert_allclose(depth, 321.0)


def test_developed_pictures_are_exposed_for_the_skin():
    picture = shown()
    for seed in range(6):
        image = develop.develop(picture.linear, picture.skin, np.random.default_rng(seed))
        assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
        assert 25 < np.median(image[picture.skin > 0.99]) < 250
