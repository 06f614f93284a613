"""Sums over frames against a slow twin, and the person they make, on a dome with known sums."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model

from jaxface.geometry.normals import vertex_normals
from jaxface.geometry.subdivision import subdivide
from jaxface.stages import detail
from jaxface.templates import Templates
from jaxface.tracking import person


@pytest.fixture(scope="module")
def dome():
    """Sums that are known everywhere but on the left fifth of the texture, and a filling at another level."""
    model = dome_model()
    template = detail.prepare(model, levels=1, texture_size=90)
    weight = 4.0 * jnp.ones((90, 90)).at[:, :18].set(0.0)
    rows, columns = jnp.meshgrid(jnp.arange(90.0), jnp.arange(90.0), indexing="ij")
    paint = 0.5 + 0.2 * jnp.stack([jnp.sin(0.2 * rows), jnp.sin(0.15 * columns), jnp.cos(0.1 * rows)], axis=-1)
    base_mm = subdivide(model.mean_mm, subdivision=template.subdivision)
    shift_mm, trust = 0.4 * jnp.sin(0.1 * base_mm[:, 1]), 0.5 * jnp.ones(base_mm.shape[0])
    sums = (
        person.DetailSums(3.0 * shift_mm, 3.0 * trust, trust),
        person.TextureSums(paint * weight[..., None], weight),
    )
    filling = paint * jnp.array([[[0.5, 1.5, 0.8]]])
    templates = Templates(model, None, None, None, template)
    fused = person.fuse_person(model.mean_mm, *sums, filling, templates=templates)
    return types.SimpleNamespace(
        templates=templates, paint=paint, shift_mm=shift_mm, weight=weight, filling=filling, fused=fused
    )


def test_fused_mesh_is_the_neutral_one_with_the_faded_mean(dome):
    template, fused = dome.templates.detail, dome.fused
    base_mm = subdivide(dome.templates.model.mean_mm, subdivision=template.subdivision)
    expected_mm = base_mm + dome.shift_mm[:, None] * vertex_normals(base_mm, template.subdivision.triangles)
    np.testing.assert_allclose(fused.mesh.vertices_mm, expected_mm, atol=1e-4)
    np.testing.assert_allclose(fused.normals, vertex_normals(expected_mm, template.subdivision.triangles), atol=1e-4)
    assert all(isinstance(leaf, np.ndarray) for leaf in (*vars(fused.mesh).values(), *fused.textures, fused.colours))


def test_known_texels_stay_and_the_filling_takes_their_level(dome):
    albedo, paint = dome.fused.textures.albedo, np.asarray(dome.paint)
    known = np.asarray(dome.weight) > 0
    np.testing.assert_allclose(albedo[known], paint[known], atol=1e-5)
    np.testing.assert_allclose(albedo[~known], paint[~known], atol=0.01)


def test_maps_and_colours_belong_to_the_vertices(dome):
    """Vertex and UV vertex are the same on the dome."""
    maps, uvs = dome.fused.textures, dome.fused.mesh.uvs
    rows, columns = (1 - uvs[:, 1]) * 90 - 0.5, uvs[:, 0] * 90 - 0.5
    read = functools.partial(jax.scipy.ndimage.map_coordinates, coordinates=[rows, columns], order=1, mode="nearest")
    np.testing.assert_allclose(read(maps.albedo[..., 1]), dome.fused.colours[:, 1], atol=1e-5)
    inner = np.all(np.abs(uvs - 0.5) < 0.42, axis=1)  # beyond, the map runs on past the border
    np.testing.assert_allclose(read(maps.displacement_mm)[inner], dome.shift_mm[inner], atol=0.02)
    np.testing.assert_allclose(np.linalg.norm(maps.normals_tangent, axis=-1), 1.0, atol=1e-4)
    np.testing.assert_array_equal(maps.covered, dome.templates.detail.raster.triangle >= 0)


def test_unseen_person_is_the_smooth_shape_with_the_filling(dome):
    nothing = person.no_detail(dome.templates.detail), person.no_texture(dome.templates.detail)
    bare = person.fuse_person(dome.templates.model.mean_mm, *nothing, dome.filling, templates=dome.templates)
    smooth_mm = subdivide(dome.templates.model.mean_mm, subdivision=dome.templates.detail.subdivision)
    np.testing.assert_allclose(bare.mesh.vertices_mm, smooth_mm, atol=1e-5)
    np.testing.assert_allclose(bare.textures.albedo, dome.filling, atol=1e-6)


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


def sure_of(facing):
    """Another number for each vertex."""
    return jnp.clip(jnp.abs(jnp.sin(20.0 * facing)), 0.3, 0.7)


def mesh_of(trust, facing, shift_mm):
    rows, sure = jnp.zeros((len(trust), 3)), sure_of(facing)
    return detail.DetailMesh(rows, rows, *(jnp.asarray(v) for v in (shift_mm, rows, rows, trust, facing, sure)))


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
                squared = float(sure_of(facing[v])) * min(float(facing[v]), 1.0) ** 2
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


def test_one_frame_alone_is_that_frame():
    trust, facing, shift_mm, weight, albedo = next(random_frames())
    shape, texture = add(start(), (trust, facing, shift_mm, weight, albedo))
    known = (trust > 0) & (facing > 0)
    np.testing.assert_allclose(person.mean_displacement(shape)[known], shift_mm[known], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(person.mean_albedo(texture))[weight > 0], albedo[weight > 0], rtol=1e-5)


def test_any_exposure_of_a_frame_gives_the_same_sums():
    frames = list(random_frames())
    factors = [np.ones(3), *np.random.default_rng(1).uniform(0.3, 3.0, (len(frames) - 1, 3))]
    exposed_frames = [
        (*frame[:4], frame[4] * np.float32(factor)) for frame, factor in zip(frames, factors, strict=True)
    ]
    plain, changed = (functools.reduce(add, chosen, start())[1] for chosen in (frames, exposed_frames))
    np.testing.assert_allclose(changed.colour, plain.colour, rtol=1e-4, atol=1e-5)


def test_frames_without_common_texels_keep_their_level():
    halves = [jnp.zeros((9, 11)).at[:, :4].set(1.0), jnp.zeros((9, 11)).at[:, 7:].set(1.0)]
    sums = start()[1]
    for level, weight in zip((0.2, 0.7), halves, strict=True):
        sums = person.add_texture(sums, jnp.full((9, 11, 3), level), weight)
    mean = np.asarray(person.mean_albedo(sums))
    np.testing.assert_allclose(mean[:, :4], 0.2, rtol=1e-6)
    np.testing.assert_allclose(mean[:, 7:], 0.7, rtol=1e-6)
