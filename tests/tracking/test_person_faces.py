"""A person from photos of a synthetic face: known relief and paint come back better than from one frame."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import synthetic
from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.imaging.filters import gaussian_blur
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.stages import detail
from jaxface.synthetic_paint import paint_face
from jaxface.templates import Templates
from jaxface.tracking import person
from jaxface.types import FineMaps

pytestmark = pytest.mark.slow

SIZE, KEY = 176, jax.random.key(5)
YAWS = (-0.6, -0.3, 0.0, 0.3, 0.6)
EXPOSURES = np.array([[1.3, 1.2, 1.25], [0.8, 0.85, 0.8], [1.0, 1.0, 1.0], [0.7, 0.7, 0.75], [1.4, 1.4, 1.2]])
RELIEF = synthetic.FaceSettings(off_basis_mm=0.0, expression=0.0, detail_mm=1.0)


@pytest.fixture(scope="module")
def world():
    """Frames of one face with noisy heights, their meshes, and what is true of it."""
    model = load_default()
    template = detail.prepare(model, levels=1, texture_size=160)
    views = [make_view(model, template, yaw, k) for k, yaw in enumerate(YAWS)]
    face = views[0].face
    normals = vertex_normals(face.smooth_mm, face.triangles)
    return types.SimpleNamespace(
        templates=Templates(model, None, None, None, template),
        views=views,
        neutral_mm=face_shape(face.identity, 0.0 * face.expression, model=model),
        relief_mm=np.asarray(jnp.sum((face.vertices_mm - face.smooth_mm) * normals, axis=1)),
        paint=true_paint(model, template),
        covered=np.asarray(template.raster.triangle >= 0),
    )


def make_view(model, template, yaw, index):
    """A photo whose fine maps are the truth plus what shape from shading gets wrong, and another exposure."""
    face = synthetic.synthetic_face(KEY, model=model, size=SIZE, yaw=yaw, settings=RELIEF, levels=1)
    corners = project(face.smooth_mm, face.pose, camera=face.camera)
    raster = rasterise(corners, face.triangles, height=SIZE, width=SIZE)
    noise_px = 1.5 * gaussian_blur(jax.random.normal(jax.random.key(index), (SIZE, SIZE)), sigma=3.0)
    height_px = jnp.where(raster.triangle >= 0, face.height_px, raster.height_px) + noise_px
    shared = dict(model=model, template=template)
    neutral_mm = face_shape(face.identity, 0.0 * face.expression, model=model)
    maps = fine_maps(raster, height_px, face)
    mesh = jax.jit(detail.run)(neutral_mm, maps, face.pose, face.camera, **shared)
    baked = jax.jit(detail.bake)(neutral_mm, mesh, maps, face.pose, face.camera, **shared)
    albedo, weight = jax.jit(detail.seen_albedo)(mesh, maps, face.pose, face.camera, template=template)
    return types.SimpleNamespace(face=face, mesh=mesh, filling=baked.albedo, albedo=albedo, weight=weight)


def fine_maps(raster, height_px, face):
    colours = jnp.zeros((SIZE, SIZE, 3))
    mask = face.mask * jnp.where(raster.triangle >= 0, 1.0, 0.0)
    return FineMaps(
        raster.height_px, height_px, height_px, depth_normals(height_px), face.albedo, colours + 1.0, colours, mask,
        mask, jnp.zeros((9, 3)), jnp.bool_(True),
    )  # fmt: skip


def true_paint(model, template):
    """The albedo that `synthetic_face` gives each texel."""
    fine = synthetic._reference(model, template.subdivision)
    rows = interpolate(template.raster, jnp.concatenate(fine, axis=1), template.texture_vertices)
    rows = rows.reshape(-1, rows.shape[-1])
    at = landmark_positions(model.mean_mm, model=model)
    paint = paint_face(
        jax.random.split(KEY, 5)[2], rows[:, :3], rows[:, 3:], landmarks_mm=at, model=model, texture=RELIEF.texture
    )
    return np.asarray(paint).reshape(*template.raster.triangle.shape, 3)


def exposed(view, factors):
    return jnp.asarray(view.albedo * np.asarray(factors, np.float32)[None, None])


def texture_of(world, exposures, views=None):
    sums = person.no_texture(world.templates.detail)
    for view, factors in zip(views or world.views, exposures, strict=True):
        sums = jax.jit(person.add_texture)(sums, exposed(view, factors), view.weight)
    return sums


def detail_of(world):
    return functools.reduce(person.add_detail, [v.mesh for v in world.views], person.no_detail(world.templates.detail))


@pytest.fixture(scope="module")
def fused(world):
    sums = detail_of(world), texture_of(world, EXPOSURES)
    filling = world.views[2].filling * EXPOSURES[2].astype(np.float32)[None, None]
    return person.fuse_person(world.neutral_mm, *sums, filling, templates=world.templates)


def paint_error(world, texture, where=True):
    """Mean distance of colours after the best exposure, one factor a channel."""
    kept = world.covered & where
    ours, theirs = np.asarray(texture, np.float64)[kept], world.paint[kept].astype(np.float64)
    factors = np.sum(ours * theirs, axis=0) / np.sum(ours * ours, axis=0)
    return np.mean(np.abs(ours * factors - theirs))


def test_displacement_is_nearer_to_the_truth_than_single_frames(world, fused):
    def error(displacement_mm):
        return np.sqrt(np.mean((np.asarray(displacement_mm) - world.relief_mm) ** 2))

    ours = error(person.mean_displacement(detail_of(world)))
    singles = [error(view.mesh.displacement_mm) for view in world.views]
    assert ours < 0.75 * np.mean(singles) and ours < min(singles)
    smooth_mm = np.asarray(world.views[0].face.smooth_mm)
    true_mm = np.asarray(world.views[0].face.vertices_mm)
    distance = np.sqrt(np.mean(np.sum((fused.mesh.vertices_mm - true_mm) ** 2, axis=1)))
    np.testing.assert_allclose(distance, ours, rtol=0.05)
    assert distance < np.sqrt(np.mean(np.sum((smooth_mm - true_mm) ** 2, axis=1)))


def test_albedo_covers_more_and_is_nearer_to_the_truth(world, fused):
    known = np.asarray(texture_of(world, EXPOSURES).weight) > person.ENOUGH[1]
    of_one = [np.asarray(view.weight) > person.ENOUGH[1] for view in world.views]
    assert known.sum() > 1.15 * max(seen.sum() for seen in of_one)
    ours = paint_error(world, fused.textures.albedo)
    assert ours < 0.9 * min(paint_error(world, view.filling) for view in world.views)


def test_exposures_cancel(world):
    """What the frames' exposures change is the level of the whole, which is the first frame's."""
    plain, changed = texture_of(world, np.ones((5, 3))), texture_of(world, EXPOSURES)
    ratio = np.asarray(person.mean_albedo(changed))[world.covered] / EXPOSURES[0]
    np.testing.assert_allclose(ratio, np.asarray(person.mean_albedo(plain))[world.covered], rtol=1e-4, atol=1e-6)


def test_the_order_of_frames_changes_the_level_alone(world):
    forth = texture_of(world, EXPOSURES)
    back = texture_of(world, EXPOSURES[::-1], world.views[::-1])
    known = np.asarray(forth.weight) > person.ENOUGH[1]
    ratio = np.asarray(person.mean_albedo(back))[known] / np.asarray(person.mean_albedo(forth))[known]
    np.testing.assert_allclose(ratio / np.median(ratio, axis=0), 1.0, atol=0.03)


def test_filling_meets_what_was_seen_without_a_step(world, fused):
    """Only the half face of one turned frame is known, at another exposure than the filling."""
    side = texture_of(world, [(0.6, 0.7, 0.8)], world.views[:1])
    texture = np.asarray(person.fuse_texture(side, world.views[2].filling, skin=jnp.ones(side.weight.shape)))
    known = np.asarray(side.weight)
    edge = world.covered & (known > 0.2 * person.ENOUGH[0]) & (known < 2.0 * person.ENOUGH[1])
    steps = [np.abs(np.diff(picture, axis=1))[edge[:, 1:]].mean() for picture in (texture, np.asarray(world.paint))]
    assert edge.sum() > 300 and steps[0] < 1.3 * steps[1]
    everywhere = paint_error(world, texture)
    assert everywhere < 1.1 * paint_error(world, world.views[2].filling)
