"""Synthetic worlds keep their promises: every map agrees with the others and with the geometry."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.geometry.normals import depth_normals
from jaxface.geometry.subdivision import subdivide
from jaxface.morphable.cut import face_of
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.rendering.camera import project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import shading
from jaxface.synthetic import LIGHTS, FaceSettings, _subdivision, lit_sphere, preset_light, synthetic_face
from jaxface.synthetic_fields import fourier_field, off_basis_field
from jaxface.types import Part, Region

SIZE = 160
NOISELESS = FaceSettings(noise=0.0)
PLAIN = FaceSettings(off_basis_mm=0.0, detail_mm=0.0, noise=0.0)


def _face(seed=0, *, yaw=0.0, settings=NOISELESS, light="side"):
    return synthetic_face(
        jax.random.key(seed),
        model=load_default(),
        size=SIZE,
        yaw=yaw,
        light=preset_light(light),
        settings=settings,
        levels=1,
    )


@pytest.fixture(scope="module")
def face():
    return _face()


@pytest.mark.parametrize("name", LIGHTS)
def test_lights_are_lambertian_up_to_second_order(name):
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(500, 3))
    normals[:, 2] = np.abs(normals[:, 2])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    ambient, lamps = LIGHTS[name]
    expected = np.full((500, 3), ambient)
    for direction, strength, warmth in lamps:
        unit = np.array(direction) / np.linalg.norm(direction)
        tint = np.array([1 + warmth, 1, 1 - warmth])
        expected += strength * np.maximum(normals @ unit, 0)[:, None] * tint
    shade = np.array(shading(jnp.array(normals, jnp.float32), preset_light(name)))
    np.testing.assert_allclose(shade, expected, atol=0.09)  # of the clamped cosine, order 2 misses up to 0.06
    assert shade.min() > 0.05 and shade.max() < 1.25


def test_lights_come_from_where_they_say():
    left, right, up, down = jnp.array([[-0.7, 0, 0.7], [0.7, 0, 0.7], [0, -0.7, 0.7], [0, 0.7, 0.7]])
    assert jnp.all(shading(left, preset_light("side")) > 1.5 * shading(right, preset_light("side")))
    assert jnp.all(shading(up, preset_light("top")) > 1.5 * shading(down, preset_light("top")))


def test_sphere_is_its_own_image_model():
    sphere = lit_sphere(jax.random.key(0), height=37, width=29)
    assert sphere.image.shape == (37, 29, 3)
    inside = np.array(sphere.mask) > 0
    assert 0.4 < inside.mean() < 0.8
    normals = depth_normals(sphere.height_px)
    expected = render(sphere.albedo, shading(normals, sphere.light))
    np.testing.assert_allclose(np.array(sphere.image)[inside], np.array(expected)[inside], atol=1e-5)
    np.testing.assert_allclose(sphere.height_px, sphere.base_height_px)
    y, x = np.meshgrid(np.linspace(-1, 1, 37), np.linspace(-1, 1, 29), indexing="ij")
    depth = 0.45 * 29 * np.sqrt(np.maximum(1 - 0.9 * (x**2 + y**2), 0.02))
    np.testing.assert_allclose(sphere.height_px, depth, atol=1e-4)
    assert set(np.unique(sphere.regions)) == {Region.SKIN, Region.EYEBROW, Region.MOUTH}


def test_sphere_relief_texture_and_noise_have_the_asked_size():
    bumpy = lit_sphere(jax.random.key(1), relief_px=0.3, noise=0.01)
    np.testing.assert_allclose(np.std(bumpy.height_px - bumpy.base_height_px), 0.3, rtol=1e-3)
    inside = np.array(bumpy.mask) > 0
    rest = np.array(bumpy.image - render(bumpy.albedo, bumpy.shading))[inside]
    np.testing.assert_allclose(rest.std(), 0.01, rtol=0.05)
    plain = lit_sphere(jax.random.key(1), texture=0.0)
    skin = np.array(plain.regions) == Region.SKIN
    assert np.ptp(np.array(plain.albedo)[skin], axis=0).max() < 1e-6
    assert np.array(bumpy.albedo)[skin][:, 0].std() > 0.01


def test_sphere_depends_on_the_key_alone_and_maps_over_keys():
    first, again = lit_sphere(jax.random.key(3)), lit_sphere(jax.random.key(3))
    np.testing.assert_array_equal(first.image, again.image)
    batch = jax.vmap(lambda key: lit_sphere(key).image)(jax.random.split(jax.random.key(0), 2))
    assert np.abs(batch[0] - batch[1]).max() > 0.01


def test_fourier_field_has_unit_variance_and_the_asked_wavelength():
    line = jnp.stack([jnp.arange(4000.0) * 0.5, jnp.zeros(4000), jnp.zeros(4000)], axis=1)
    fields = [fourier_field(jax.random.key(seed), line, wavelength_mm=20.0) for seed in range(8)]
    assert 0.8 < np.std(fields) < 1.2
    crossings = np.mean([np.sum(np.diff(np.sign(f)) != 0) for f in fields])
    assert 25.0 < 2 * 2000.0 / crossings < 45.0  # a line cuts waves obliquely: longer by the root of 3


def test_off_basis_field_cannot_be_explained_by_the_basis():
    model = load_default()
    field = off_basis_field(jax.random.key(0), model=model)
    np.testing.assert_allclose(np.mean(np.sum(np.square(field), axis=1)), 1.0, rtol=1e-4)
    basis = np.concatenate([model.identity_basis_mm, model.expression_basis_mm]).reshape(-1, field.size)
    explained = basis.T @ np.linalg.lstsq(basis.T, np.array(field).ravel(), rcond=None)[0]
    assert np.sum(explained**2) < 0.01 * np.sum(np.square(field))


def test_without_extras_the_face_is_the_models_own():
    model = face_of(load_default())
    face = _face(settings=PLAIN)
    subdivision = _subdivision(np.asarray(model.triangles).tobytes(), model.mean_mm.shape[0], 1)
    control = face_shape(face.identity, face.expression, model=model)
    np.testing.assert_allclose(face.vertices_mm, subdivide(control, subdivision=subdivision), atol=1e-3)


def test_image_is_the_image_model_inside_the_mask(face):
    inside = np.array(face.mask) > 0
    assert 0.2 < inside.mean() < 0.6
    expected = np.clip(render(face.albedo, face.shading, face.specular), 0, 1)
    np.testing.assert_allclose(np.array(face.image)[inside], expected[inside], atol=1e-6)
    np.testing.assert_allclose(face.shading, shading(face.normals_image, face.light), atol=1e-5)
    assert np.array(face.specular)[inside].max() > 0.03


def test_maps_agree_with_the_mesh(face):
    model = face_of(load_default())
    shown = (np.asarray(model.vertex_parts) == Part.SKIN) & (np.asarray(model.vertex_regions) != Region.EYE_OPENING)
    control = np.flatnonzero(shown)  # the first fine vertices, without sockets, eyes and teeth, of which much is hidden
    points = np.array(project(face.vertices_mm[control], face.pose, camera=face.camera))
    mask, height = np.array(face.mask) > 0, np.array(face.height_px)
    column, row = np.round(points[:, 0]).astype(int), np.round(points[:, 1]).astype(int)
    assert mask[row, column].mean() > 0.95
    gap = height[row, column] - points[:, 2]
    seen = mask[row, column] & (np.array(face.normals_image)[row, column, 2] > 0.8)
    assert np.median(np.abs(gap[seen])) < 0.2
    assert np.mean(gap[seen] < -1.0) < 0.005  # hardly anything lies above the map, steps between pixels apart
    inner = mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            inner &= np.roll(mask, shift, axis)
    inner &= np.array(face.normals_image)[..., 2] > 0.5
    cosine = np.sum(np.array(depth_normals(face.height_px) * face.normals_image), axis=-1)[inner]
    assert np.degrees(np.arccos(np.clip(np.median(cosine), -1, 1))) < 3.0


def test_landmarks_lie_on_the_mesh_and_missing_ones_have_no_confidence(face):
    model = face_of(load_default())
    points = project(landmark_positions(face.vertices_mm, model=model), face.pose, camera=face.camera)
    present = np.array(model.landmark_barycentrics).sum(1) > 0
    np.testing.assert_allclose(np.array(face.landmarks.points_px)[present], np.array(points)[present, :2], atol=1e-3)
    confidence = np.array(face.landmarks.confidence)
    assert (confidence[~present] == 0).all() and (confidence[present] == 1).mean() > 0.75


@pytest.mark.parametrize("yaw", [0.6, -0.6])
def test_yaw_turns_the_nose_and_hides_the_far_side(yaw, face):
    turned = _face(yaw=yaw)
    tip, eyes = 1, (33, 263)

    def offset(record):
        points = record.landmarks.points_px
        return float(points[tip, 0] - 0.5 * (points[eyes[0], 0] + points[eyes[1], 0]))

    assert np.sign(yaw) * (offset(turned) - offset(face)) > 0.05 * SIZE
    far, near = (234, 454) if yaw < 0 else (454, 234)  # the outline at the subject's right and left ear
    assert turned.landmarks.confidence[near] > 0.9
    assert turned.landmarks.confidence.sum() < face.landmarks.confidence.sum()


def test_relief_is_fine_and_stays_off_the_eyes(face):
    model = face_of(load_default())
    moved = np.linalg.norm(np.array(face.vertices_mm - face.smooth_mm), axis=1)
    assert 0.02 < np.sqrt(np.mean(moved**2)) < 0.3 and moved.max() < 1.5
    opening = np.array(model.vertex_regions) == Region.EYE_OPENING
    assert np.median(moved[: opening.size][opening]) < 0.02


def test_settings_are_traced_and_keys_make_different_people(face):
    other = _face(1)
    same = _face(0)
    np.testing.assert_array_equal(face.image, same.image)
    assert np.abs(np.array(other.identity - face.identity)).max() > 0.5
    noisy = _face(0, settings=FaceSettings(noise=0.02))
    rest = np.array(noisy.image - face.image)[np.array(face.mask) > 0]
    np.testing.assert_allclose(rest.std(), 0.02, rtol=0.1)


@pytest.mark.slow
def test_faces_map_over_keys():
    keys = jax.random.split(jax.random.key(0), 2)

    def make(key):
        return synthetic_face(key, model=load_default(), size=64, levels=0)

    batch = jax.vmap(make)(keys)
    single = make(keys[1])
    np.testing.assert_allclose(batch.vertices_mm[1], single.vertices_mm, atol=1e-3)
    assert np.mean(np.abs(batch.image[1] - single.image) > 0.02) < 0.01


@pytest.mark.slow
def test_statistical_expressions_are_drawn_on_both_sides_of_zero():
    model = dataclasses.replace(load_default(), expression_bounds=(-3.0, 3.0))
    settings = FaceSettings(expression=1.0)
    face = synthetic_face(jax.random.key(0), model=model, size=64, settings=settings, levels=0)
    assert face.expression.min() < -0.5 and face.expression.max() > 0.5
    assert 0.6 < np.std(face.expression) < 1.4


@pytest.mark.slow
@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("yaw", [-0.5, 0.0, 0.5])
def test_mediapipe_finds_the_rendered_faces(light, yaw):
    pytest.importorskip("mediapipe")
    from jaxface.detection.sources import as_detector, find_faces

    face = synthetic_face(jax.random.key(7), model=load_default(), yaw=yaw, light=preset_light(light))
    found = find_faces(np.array(face.image), detector=as_detector(None))
    assert len(found) == 1
    sure = np.array(face.landmarks.confidence) > 0.9
    error = np.linalg.norm(np.array(found[0].points_px - face.landmarks.points_px), axis=1)[sure]
    assert np.median(error) < 0.03 * 512
