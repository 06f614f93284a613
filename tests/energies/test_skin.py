"""The skin's shading against a slow twin, and the light and patches that it needs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from dome import dome_model

from jaxface.energies.skin import SkinTarget, SkinView, light_skin, skin_patches, skin_residuals, view_skin
from jaxface.imaging.filters import luminance
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import orthographic
from jaxface.rendering.lighting import shading
from jaxface.types import Camera, Pose, Region

SETTINGS = {"spread": 0.07, "independent": 90.0, "outlier": 2.5}
POSE = Pose(jnp.array([0.2, -0.3, 0.1]), jnp.array([60.0, 71.0]), jnp.log(jnp.float32(1.7)))
LIGHT = np.random.default_rng(5).normal(0.0, 0.1, (9, 3)).astype(np.float32)
LIGHT[:3] += [[2.0], [-0.5], [0.8]]
GREY = np.array([0.299, 0.587, 0.114])


def random_patches(number=37):
    """Triangles a few millimetres wide, their colours, and weights some of which are 0."""
    rng = np.random.default_rng(number)
    middles = rng.uniform(-40.0, 40.0, (number, 1, 3))
    corners_mm = (middles + rng.normal(0.0, 3.0, (number, 3, 3))).astype(np.float32)
    colours = rng.uniform(0.2, 0.9, (number, 3)).astype(np.float32)
    weights = np.maximum(rng.normal(0.6, 0.5, number), 0.0).astype(np.float32)
    return (
        corners_mm,
        colours,
        SkinTarget(jnp.asarray(LIGHT), jnp.float32(0.55), jnp.asarray(weights), jnp.float32(0.1)),
    )


def residuals(corners_mm, colours, target):
    return skin_residuals(view_skin(corners_mm, POSE, camera=orthographic()), colours, target, **SETTINGS)


def slow_residuals(corners_mm, colours, target, *, spread, independent, outlier):
    """Eqs. 4 and 5 a patch at a time, float64; a patch without area has no normal."""
    turn = np.asarray(rotation_matrix(POSE.rotation_vector), np.float64)
    light, brightness, weights, left = (np.asarray(part, np.float64) for part in target)
    trust = min(spread / left, 1.0) ** 2
    out = []
    for (a, b, c), colour, weight in zip(np.asarray(corners_mm, np.float64), colours, weights, strict=True):
        normal = turn @ np.cross(b - a, c - a)
        normal = normal / max(np.linalg.norm(normal), 1e-6) * [1.0, -1.0, 1.0]
        lit = sum(oracles.sh_basis(normal)[k] * light[k] for k in range(9))
        error = (GREY @ lit - GREY @ colour) / (spread * brightness)
        softened = error / np.sqrt(1.0 + (error / outlier) ** 2)  # half its square: Geman and McClure's cost
        out.append(trust * np.sqrt(independent * weight / weights.sum()) * softened)
    return np.array(out)


def test_residuals_match_the_loop_plain_jit_and_vmap():
    corners_mm, colours, target = random_patches()
    expected = slow_residuals(corners_mm, colours, target, **SETTINGS)
    assert np.ptp(expected) > 1.0
    assert np.ptp(slow_residuals(corners_mm, colours, target._replace(spread=0.0001), **SETTINGS)) > np.ptp(expected)
    np.testing.assert_allclose(residuals(corners_mm, colours, target), expected, atol=2e-4)
    np.testing.assert_allclose(jax.jit(residuals)(corners_mm, colours, target), expected, atol=2e-4)
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[(corners_mm, colours, target)] * 2)
    batch = (batch[0].at[1].multiply(jnp.array([[[1.0, 1.0, 0.5]]])), *batch[1:])
    together = jax.jit(jax.vmap(residuals))(*batch)
    np.testing.assert_allclose(together[0], expected, atol=2e-4)
    flattened = slow_residuals(batch[0][1], colours, target, **SETTINGS)
    np.testing.assert_allclose(together[1], flattened, atol=2e-4)


def test_gradient_agrees_with_finite_differences():
    corners_mm, colours, target = random_patches(11)
    probe = np.random.default_rng(1).normal(size=11)

    def twin(corners_mm):
        return float(probe @ slow_residuals(corners_mm, colours, target, **SETTINGS))

    gradient = jax.grad(lambda x: jnp.sum(probe.astype(np.float32) * residuals(x, colours, target)))(corners_mm)
    assert np.abs(gradient).max() > 0.1
    oracles.check_gradient(twin, corners_mm.astype(np.float64), gradient, step=1e-5, tolerance=1e-3)


@pytest.mark.parametrize("spoil", ["point", "line"])
def test_a_patch_without_area_is_finite(spoil):
    """All corners in one place, or in a row: no normal, but a value and a gradient."""
    corners_mm, colours, target = random_patches()
    ends = corners_mm[3, :1], corners_mm[3, 1:2]
    shares = np.array([[0.0], [0.0], [0.0]] if spoil == "point" else [[0.0], [0.5], [1.0]], np.float32)
    corners_mm[3] = ends[0] + shares * (np.round(ends[1]) - np.round(ends[0]))
    view = view_skin(corners_mm, POSE, camera=orthographic())
    found = light_skin(view, colours, area=jnp.ones(37))
    assert np.all(np.isfinite(found.light)) and np.all(np.isfinite(found.weights)) and found.weights[3] < 1e-3
    gradient = jax.grad(lambda x: jnp.sum(residuals(x, colours, target) ** 2))(corners_mm)
    assert np.all(np.isfinite(residuals(corners_mm, colours, target)))
    assert np.all(np.isfinite(gradient)) and np.any(gradient[2] != 0.0)


def test_gradient_is_finite_at_the_start_and_zero_without_error():
    """Colours that are the shading: residual 0, where the softening's root must have a derivative."""
    corners_mm, _, target = random_patches()
    colours = shading(view_skin(corners_mm, POSE, camera=orthographic()).normals_image, target.light)
    np.testing.assert_allclose(residuals(corners_mm, colours, target), 0.0, atol=1e-5)
    jacobian = jax.jacfwd(lambda x: residuals(x, colours, target))(corners_mm)
    assert np.all(np.isfinite(jacobian)) and np.any(jacobian != 0.0)
    gradient = jax.grad(lambda x: jnp.sum(residuals(x, colours, target) ** 2))(corners_mm)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-3)


def test_exposure_does_not_change_the_residuals():
    """Half as bright a photo of the same face has half the light and half the brightness."""
    corners_mm, colours, _ = random_patches()
    view, area = view_skin(corners_mm, POSE, camera=orthographic()), jnp.ones(37)
    bright, dim = (
        skin_residuals(view, colours * share, light_skin(view, colours * share, area=area), **SETTINGS)
        for share in (1.0, 0.5)
    )
    np.testing.assert_allclose(dim, bright, atol=5e-3)


def test_no_patch_pulls_harder_than_an_outlier_may():
    corners_mm, colours, target = random_patches()
    target = target._replace(spread=jnp.float32(0.0))
    wild = residuals(corners_mm, colours + 1e4, target)
    limit = np.sqrt(SETTINGS["independent"] * target.weights / np.sum(target.weights)) * SETTINGS["outlier"]
    np.testing.assert_allclose(np.abs(wild), limit, rtol=1e-3, atol=1e-4)


def test_normals_and_middles_are_those_of_the_image():
    """A triangle that faces the viewer, seen by a perspective camera: x right, y down."""
    corners_mm = np.array([[[0.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 3.0, 5.0]]], np.float32)
    lean = np.array([[[0.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 3.0, 2.0]]], np.float32)  # its top falls back
    pose = Pose(jnp.zeros(3), jnp.array([20.0, 30.0]), jnp.log(jnp.float32(2.0)))
    camera = Camera(jnp.float32(0.01), jnp.array([20.0, 30.0]))
    view = view_skin(corners_mm, pose, camera=camera)
    np.testing.assert_allclose(view.normals_image, [[0.0, 0.0, 1.0]], atol=1e-6)
    np.testing.assert_allclose(view.middles_px, [[20.0 + 2.0 / 0.9, 30.0 - 2.0 / 0.9]], rtol=1e-5)
    np.testing.assert_allclose(
        view_skin(lean, pose, camera=camera).normals_image, [[0.0, -(0.5**0.5), 0.5**0.5]], atol=1e-6
    )


def sphere_view(number=901):
    """Normals spread evenly over the visible half of a sphere."""
    rank = np.arange(number) + 0.5
    z, angle = 1.0 - rank / number, np.pi * (1.0 + 5.0**0.5) * rank
    radius = np.sqrt(1.0 - z * z)
    normals = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1).astype(np.float32)
    return SkinView(jnp.asarray(normals), jnp.zeros((number, 2)))


def test_a_known_light_is_recovered():
    view = sphere_view()
    colours = shading(view.normals_image, jnp.asarray(LIGHT))
    found = light_skin(view, colours, area=jnp.ones(901))
    # The ridge trades bands that look alike on half a sphere for each other; their sum hardly changes.
    np.testing.assert_allclose(found.light, LIGHT, atol=0.1)
    lit = found.weights > 0.0
    np.testing.assert_allclose(shading(view.normals_image, found.light)[lit], colours[lit], atol=0.01)
    expected = np.sum(found.weights * luminance(colours)) / np.sum(found.weights)
    np.testing.assert_allclose(found.brightness, expected, rtol=1e-5)
    # Cosines below 0.2 do not count, those above 0.5 count in full.
    z = np.asarray(view.normals_image[:, 2])
    assert np.all(found.weights[z < 0.2] == 0.0) and np.all(found.weights[z > 0.5] == 1.0)
    assert np.all(np.diff(found.weights) <= 0.0)


def test_dark_patches_let_go():
    """One patch in ten is nearly black; plain least squares would darken all."""
    view = sphere_view()
    colours = shading(view.normals_image, jnp.asarray(LIGHT))
    dark = np.random.default_rng(2).permutation(901) < 90
    spoiled = jnp.where(dark[:, None], 0.1 * colours, colours)
    found = light_skin(view, spoiled, area=jnp.ones(901))
    lit = np.asarray(found.weights) > 0.5
    errors = np.asarray(shading(view.normals_image, found.light) - colours)[lit]
    rows = np.asarray(view.normals_image)
    basis = np.array([oracles.sh_basis(row) for row in rows])
    plain = basis @ np.linalg.lstsq(basis[lit], np.asarray(spoiled)[lit], rcond=None)[0] - np.asarray(colours)
    assert np.sqrt(np.mean(errors**2)) < 0.2 * np.sqrt(np.mean(plain[lit] ** 2))
    left = np.abs(skin_residuals(view, spoiled, found, **SETTINGS))
    assert np.median(left[lit & dark]) > 5.0 * np.median(left[lit & ~dark])


def test_a_photo_that_no_light_explains_counts_less():
    """Half of the sphere in black shadow: the light leaves more than `spread`, and all residuals shrink."""
    view = sphere_view()
    colours = shading(view.normals_image, jnp.asarray(LIGHT))
    shadow = jnp.where(view.normals_image[:, :1] < 0.1, 0.2, 1.0)
    clear, torn = (light_skin(view, seen, area=jnp.ones(901)) for seen in (colours, shadow * colours))
    assert clear.spread < 0.01 and torn.spread > 0.12
    errors = luminance(shading(view.normals_image, torn.light) - shadow * colours)
    usual = np.sqrt(np.pi / 2) * np.sum(torn.weights * np.abs(errors)) / np.sum(torn.weights) / torn.brightness
    np.testing.assert_allclose(torn.spread, usual, rtol=1e-3)
    trusting = skin_residuals(view, shadow * colours, torn._replace(spread=clear.spread), **SETTINGS)
    wary = skin_residuals(view, shadow * colours, torn, **SETTINGS)
    np.testing.assert_allclose(wary, (SETTINGS["spread"] / torn.spread) ** 2 * trusting, rtol=1e-4, atol=1e-6)


def test_black_photos_and_faces_that_look_away_stay_finite():
    view = sphere_view()
    for seen, colours in ((view, jnp.zeros((901, 3))), (view._replace(normals_image=-view.normals_image), None)):
        colours = jnp.full((901, 3), 0.5) if colours is None else colours
        found = light_skin(seen, colours, area=jnp.ones(901))
        left = skin_residuals(seen, colours, found, **SETTINGS)
        assert all(np.all(np.isfinite(part)) for part in (*found, left)) and found.brightness > 0.0
        assert np.sum(left**2) < 0.01 * SETTINGS["independent"]


def test_patches_lie_on_skin_and_nose():
    model = dome_model(rows=61, columns=53)
    patches = skin_patches(model)
    labels = np.asarray(model.vertex_regions)[np.asarray(patches.triangles)]
    assert set(np.unique(labels)) == {Region.SKIN, Region.NOSE}
    assert 500 < len(labels) <= 1500 and len(np.unique(patches.triangles, axis=0)) == len(labels)
    known = {tuple(row) for row in np.asarray(model.triangles)}
    assert all(tuple(row) in known for row in np.asarray(patches.triangles))
    again = skin_patches(dome_model(rows=61, columns=53))
    np.testing.assert_array_equal(patches.triangles, again.triangles)
    np.testing.assert_array_equal(patches.area, again.area)


def test_areas_are_those_of_the_mean_face():
    model = dome_model(with_island=True)
    patches = skin_patches(model)
    edges = np.diff(np.asarray(model.mean_mm, np.float64)[np.asarray(patches.triangles)], axis=1)
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    assert np.all(patches.area > 0.0)
    np.testing.assert_allclose(np.mean(patches.area), 1.0, rtol=1e-5)
    np.testing.assert_allclose(patches.area, areas / areas.mean(), rtol=1e-4)


def test_a_model_without_skin_labels_still_has_patches():
    model = dome_model()
    bare = dataclasses.replace(model, vertex_regions=jnp.full_like(model.vertex_regions, Region.OUTSIDE))
    assert len(skin_patches(bare).triangles) == len(model.triangles) < 1500
