"""A person from several frames: known relief and paint, seen from several sides, come back better than from one."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import synthetic
from jaxface.frame import Templates
from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.imaging.filters import gaussian_blur
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape, landmark_positions
from jaxface.rendering.camera import project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.stages import detail
from jaxface.synthetic_paint import paint_face
from jaxface.tracking import person
from jaxface.types import FineMaps

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
    baked = jax.jit(detail.bake)(mesh, maps, face.pose, face.camera, **shared)
    albedo, weight = jax.jit(detail.seen_albedo)(mesh, maps, face.pose, face.camera, template=template)
    return types.SimpleNamespace(face=face, mesh=mesh, filling=baked.albedo, albedo=albedo, weight=weight)


def fine_maps(raster, height_px, face):
    colours, flat = jnp.zeros((SIZE, SIZE, 3)), jnp.zeros((SIZE, SIZE))
    mask = face.mask * jnp.where(raster.triangle >= 0, 1.0, 0.0)
    return FineMaps(
        raster.height_px, height_px, height_px, depth_normals(height_px), face.albedo, colours + 1.0, colours, mask,
        mask, jnp.zeros((9, 3)), flat[0], jnp.bool_(True),
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
    texture = np.asarray(person.fuse_texture(side, world.views[2].filling))
    known = np.asarray(side.weight)
    edge = world.covered & (known > 0.2 * person.ENOUGH[0]) & (known < 2.0 * person.ENOUGH[1])
    steps = [np.abs(np.diff(picture, axis=1))[edge[:, 1:]].mean() for picture in (texture, np.asarray(world.paint))]
    assert edge.sum() > 300 and steps[0] < 1.3 * steps[1]
    everywhere = paint_error(world, texture)
    assert everywhere < 1.1 * paint_error(world, world.views[2].filling)


def test_unseen_person_is_the_smooth_shape_with_the_filling(world):
    nothing = person.no_detail(world.templates.detail), person.no_texture(world.templates.detail)
    bare = person.fuse_person(world.neutral_mm, *nothing, world.views[2].filling, templates=world.templates)
    np.testing.assert_allclose(bare.mesh.vertices_mm, world.views[0].face.smooth_mm, atol=1e-4)
    np.testing.assert_allclose(bare.textures.albedo, world.views[2].filling, atol=1e-6)


def test_maps_colours_and_normals_belong_to_the_mesh(world, fused):
    template = world.templates.detail
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(vars(fused.mesh) | {"t": fused.textures}))
    np.testing.assert_allclose(
        fused.normals, vertex_normals(jnp.asarray(fused.mesh.vertices_mm), template.subdivision.triangles), atol=1e-4
    )
    shift_mm = np.sum((fused.mesh.vertices_mm - world.views[0].face.smooth_mm) * fused.base_normals, axis=1)
    rows, columns = (1 - fused.mesh.uvs[:, 1]) * 160 - 0.5, fused.mesh.uvs[:, 0] * 160 - 0.5
    vertex = np.zeros(len(fused.mesh.uvs), int)
    vertex[fused.mesh.uv_triangles] = fused.mesh.triangles
    read = functools.partial(jax.scipy.ndimage.map_coordinates, coordinates=[rows, columns], order=1, mode="nearest")
    assert np.abs(np.asarray(read(fused.textures.displacement_mm)) - shift_mm[vertex]).mean() < 0.02
    np.testing.assert_allclose(read(fused.textures.albedo[..., 1]), fused.colours[vertex, 1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(fused.textures.normals_tangent, axis=-1), 1.0, atol=1e-4)


def random_frames(count=7, vertices=50, shape=(9, 11)):
    """Meshes and textures with holes, where the values are NaN."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        trust = np.clip(rng.uniform(-0.5, 1.0, vertices), 0.0, 1.0)
        facing = rng.uniform(-0.2, 1.05, vertices)
        shift_mm = np.where(trust > 0, trust * rng.normal(size=vertices), np.nan)
        weight = np.clip(rng.uniform(-0.5, 1.0, shape), 0.0, 1.0)
        albedo = np.where(weight[..., None] > 0, rng.uniform(0.2, 0.8, (*shape, 3)) * rng.uniform(0.5, 2.0, 3), np.nan)
        yield [np.asarray(values, np.float32) for values in (trust, facing, shift_mm, weight, albedo)]


def mesh_of(trust, facing, shift_mm):
    rows = jnp.zeros((len(trust), 3))
    return detail.DetailMesh(rows, rows, *(jnp.asarray(v) for v in (shift_mm, rows, rows, trust, facing)))


def start(vertices=50, shape=(9, 11)):
    empty = jnp.zeros(vertices)
    return person.DetailSums(empty, empty, empty), person.TextureSums(jnp.zeros((*shape, 3)), jnp.zeros(shape))


def add(sums, frame):
    trust, facing, shift_mm, weight, albedo = frame
    shape = person.add_detail(sums[0], mesh_of(trust, facing, shift_mm))
    return shape, person.add_texture(sums[1], jnp.asarray(albedo), jnp.asarray(weight))


def test_sums_match_the_slow_twin():
    """Vertex by vertex and texel by texel, in float64."""
    shape, texture = functools.reduce(add, random_frames(), start())
    top, weight, trusted = np.zeros(50), np.zeros(50), np.zeros(50)
    colour, known = np.zeros((9, 11, 3)), np.zeros((9, 11))
    for trust, facing, shift_mm, texel_weight, albedo in random_frames():
        for v in range(50):
            if trust[v] > 0 and facing[v] > 0:
                squared = min(float(facing[v]), 1.0) ** 2
                top[v] += squared * shift_mm[v]
                weight[v] += squared * trust[v]
                trusted[v] = max(trusted[v], trust[v])
        places = [p for p in np.ndindex(9, 11) if texel_weight[p] > 0]
        ours, theirs = np.zeros(3), np.zeros(3)
        for p in places:
            if known[p] > 0:
                both = known[p] * texel_weight[p] / (known[p] + texel_weight[p])
                ours += both * albedo[p]
                theirs += both * colour[p] / known[p]
        level = theirs / ours if np.any(known) else np.ones(3)
        for p in places:
            colour[p] += texel_weight[p] * level * albedo[p]
            known[p] += texel_weight[p]
    for found, expected in zip((*shape, *texture), (top, weight, trusted, colour, known), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    expected = np.divide(trusted * top, weight, out=np.zeros(50), where=weight > 0)
    np.testing.assert_allclose(person.mean_displacement(shape), expected, rtol=2e-5, atol=2e-5)


def test_sums_go_on_from_a_file_as_if_nothing_had_been(tmp_path):
    frames = list(random_frames())
    straight = functools.reduce(add, frames, start())
    halfway = functools.reduce(add, frames[:3], start())
    names = ("shift_mm", "weight", "trust", "colour", "known")
    np.savez(tmp_path / "sums.npz", **dict(zip(names, (*halfway[0], *halfway[1]), strict=True)))
    with np.load(tmp_path / "sums.npz", allow_pickle=False) as stored:
        arrays = [jnp.asarray(stored[name]) for name in names]
    resumed = functools.reduce(add, frames[3:], (person.DetailSums(*arrays[:3]), person.TextureSums(*arrays[3:])))
    jax.tree.map(np.testing.assert_array_equal, resumed, straight)


def test_a_chunk_under_scan_equals_the_loop():
    frames = list(random_frames())
    stack = [jnp.stack(values) for values in zip(*frames, strict=True)]
    scanned, _ = jax.jit(lambda sums, chunk: jax.lax.scan(lambda s, f: (add(s, f), None), sums, chunk))(start(), stack)
    looped = functools.reduce(add, frames, start())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), scanned, looped)


def test_one_frame_alone_is_that_frame(world):
    view = world.views[3]
    sums = person.add_detail(person.no_detail(world.templates.detail), view.mesh)
    np.testing.assert_allclose(person.mean_displacement(sums), view.mesh.displacement_mm, atol=1e-5)
    texture = person.add_texture(person.no_texture(world.templates.detail), view.albedo, view.weight)
    seen = np.asarray(view.weight) > 1e-6
    np.testing.assert_allclose(np.asarray(person.mean_albedo(texture))[seen], np.asarray(view.albedo)[seen], rtol=1e-5)


def test_frames_without_common_texels_keep_their_level(world):
    halves = [jnp.zeros((160, 160)).at[:, :70].set(1.0), jnp.zeros((160, 160)).at[:, 90:].set(1.0)]
    sums = person.no_texture(world.templates.detail)
    for level, weight in zip((0.2, 0.7), halves, strict=True):
        sums = person.add_texture(sums, jnp.full((160, 160, 3), level), weight)
    mean = np.asarray(person.mean_albedo(sums))
    np.testing.assert_allclose((mean[:, :70], mean[:, 90:]), (np.full((160, 70, 3), 0.2), np.full((160, 70, 3), 0.7)))
