"""Detail stage: a known bump comes back, hidden parts stay, nothing folds, the maps agree with the mesh."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dome import dome_model

from jaxface.export.meshes import surface_normals, unit_rows
from jaxface.export.tangents import vertex_tangents
from jaxface.geometry.flips import LEAST_COSINE
from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.geometry.subdivision import subdivide
from jaxface.morphable.pose import rotation_matrix
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.stages import detail
from jaxface.types import Camera, FineMaps, Part, Pose

MODEL = dome_model()
TEMPLATE = detail.prepare(MODEL, levels=2, texture_size=133)
TRIANGLES = TEMPLATE.subdivision.triangles
displace = jax.jit(detail.displace)
HEIGHT, WIDTH = 190, 174
CAMERAS = {"orthographic": orthographic(), "perspective": Camera(jnp.float32(1 / 500), jnp.array([80.0, 100.0]))}
SCALE = 1.0
PHOTO = jnp.stack(jnp.broadcast_arrays(jnp.linspace(0.2, 0.9, WIDTH)[None, :], jnp.linspace(0.3, 0.7, HEIGHT)[:, None]))
PHOTO = jnp.stack([PHOTO[0], PHOTO[1], 0.5 * PHOTO[0]], axis=-1)


def pose_of(yaw=0.0):
    return Pose(jnp.array([0.05, yaw, 0.0]), jnp.array([86.0, 94.0]), jnp.log(jnp.float32(SCALE)))


@jax.jit
def heights_of(vertices_mm, pose, camera):
    image = project(vertices_mm, pose, camera=camera)
    raster = rasterise(image, TRIANGLES, height=HEIGHT, width=WIDTH)
    return raster.height_px, jnp.where(raster.triangle >= 0, 1.0, 0.0)


def maps_of(change_px, pose, camera=CAMERAS["orthographic"]):
    medium_px, mask = heights_of(subdivide(MODEL.mean_mm, subdivision=TEMPLATE.subdivision), pose, camera)
    refined_px = medium_px + change_px
    jnp.zeros((HEIGHT, WIDTH))
    colours = jnp.zeros((HEIGHT, WIDTH, 3))
    return FineMaps(
        medium_height_px=medium_px,
        phase1_height_px=medium_px,
        height_px=refined_px,
        normals_image=depth_normals(refined_px),
        albedo=PHOTO,
        shading=colours + 1.0,
        specular=colours,
        mask=mask,
        confidence=mask,
        light=jnp.zeros((9, 3)),
        finite=jnp.bool_(True),
    )


@jax.jit
def run(maps, pose, camera=CAMERAS["orthographic"]):
    return detail.run(MODEL.mean_mm, maps, pose, camera, model=MODEL, template=TEMPLATE)


@jax.jit
def bake(mesh, maps, pose, camera=CAMERAS["orthographic"]):
    return detail.bake(MODEL.mean_mm, mesh, maps, pose, camera, model=MODEL, template=TEMPLATE)


def bump(x_px, y_px, *, height_px, sigma_px):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return jnp.asarray(height_px * np.exp(-((x - x_px) ** 2 + (y - y_px) ** 2) / (2 * sigma_px**2)), jnp.float32)


def cosines_to_base(mesh):
    def normals(vertices):
        corners = np.asarray(vertices, np.float64)[np.asarray(TRIANGLES)]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        return across / np.linalg.norm(across, axis=1, keepdims=True)

    return np.sum(normals(mesh.base_mm) * normals(mesh.vertices_mm), axis=1)


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("place", [(86, 60), (120, 100)], ids=["middle", "slope"])
def test_known_bump_is_put_back(camera, place):
    """The displaced mesh, drawn again, has the refined height, also where the surface slopes."""
    change_px = bump(*place, height_px=1.2, sigma_px=8.0)
    pose = pose_of(0.2)
    maps = maps_of(change_px, pose, camera)
    drawn_px, _ = heights_of(run(maps, pose, camera).vertices_mm, pose, camera)
    near = np.hypot(*(np.mgrid[:HEIGHT, :WIDTH] - np.array([place[1], place[0]])[:, None, None])) < 16
    error = np.asarray(drawn_px - maps.height_px)[near]
    assert np.sqrt(np.mean(error**2)) < 0.06 and np.abs(error).max() < 0.25


def test_millimetres_not_pixels():
    pose = pose_of()._replace(log_scale=jnp.log(jnp.float32(0.8)))
    mesh = run(maps_of(bump(86, 50, height_px=0.8, sigma_px=8.0), pose), pose)
    top = int(jnp.argmax(mesh.displacement_mm))
    expected = detail.LARGEST_MM * np.tanh(1.0 * float(vertex_normals(mesh.base_mm, TRIANGLES)[top, 2]) / 3.0)
    np.testing.assert_allclose(mesh.displacement_mm[top], expected, rtol=0.03)


def test_no_change_is_the_medium_mesh():
    mesh = run(maps_of(jnp.zeros((HEIGHT, WIDTH)), pose_of()), pose_of())
    assert jnp.all(mesh.displacement_mm == 0.0) and jnp.all(mesh.vertices_mm == mesh.base_mm)


def test_hidden_masked_and_turned_away_parts_stay():
    pose = pose_of(0.9)
    maps = maps_of(jnp.ones((HEIGHT, WIDTH)), pose)
    holed = maps._replace(mask=maps.mask.at[80:110, 60:90].set(0.0))
    mesh = run(holed, pose)
    image = np.asarray(project(mesh.base_mm, pose, camera=orthographic()))
    normals = np.asarray(vertex_normals(mesh.base_mm, TRIANGLES)) @ np.array([-np.sin(0.9), 0.0, np.cos(0.9)])
    in_hole = (image[:, 0] > 60) & (image[:, 0] < 89) & (image[:, 1] > 80) & (image[:, 1] < 109)
    drawn_px, _ = heights_of(mesh.base_mm, pose, orthographic())
    rows, columns = np.clip(np.round(image[:, 1]).astype(int), 0, HEIGHT - 1), np.round(image[:, 0]).astype(int)
    behind = np.asarray(drawn_px)[rows, np.clip(columns, 0, WIDTH - 1)] - image[:, 2] > 6.0
    for still in (in_hole, normals < 0.1, behind):
        assert still.sum() > 20 and np.abs(np.asarray(mesh.displacement_mm)[still]).max() < 1e-3
    assert np.asarray(mesh.displacement_mm).max() > 0.6


def test_detail_ends_softly_at_the_edge_of_the_mask():
    mesh = run(maps_of(jnp.ones((HEIGHT, WIDTH)), pose_of()), pose_of())
    corners = np.asarray(mesh.displacement_mm)[np.asarray(TRIANGLES)]
    assert np.ptp(corners, axis=1).max() < 0.75


@pytest.mark.parametrize("size_px", [1.0, 20.0])
def test_violent_changes_fold_nothing(size_px):
    noise = size_px * jax.random.normal(jax.random.key(0), (HEIGHT, WIDTH))
    mesh = run(maps_of(noise, pose_of(0.3)), pose_of(0.3))
    assert bool(jnp.all(jnp.isfinite(mesh.vertices_mm)))
    assert cosines_to_base(mesh).min() >= 0.9 * LEAST_COSINE
    assert np.abs(np.asarray(mesh.displacement_mm)).max() <= detail.LARGEST_MM
    assert np.asarray(mesh.displacement_mm).std() > 0.05


def test_batch_equals_loop():
    poses = [pose_of(0.0), pose_of(0.3)]
    frames = [
        maps_of(bump(86, 70, height_px=h, sigma_px=6.0), pose) for h, pose in zip((1.0, -30.0), poses, strict=True)
    ]
    stack = jax.tree.map(lambda *x: jnp.stack(x), *frames), jax.tree.map(lambda *x: jnp.stack(x), *poses)
    batch = jax.vmap(run)(*stack)
    for index, (maps, pose) in enumerate(zip(frames, poses, strict=True)):
        np.testing.assert_allclose(batch.vertices_mm[index], run(maps, pose).vertices_mm, atol=2e-4)


@pytest.fixture(scope="module")
def baked():
    pose = pose_of(0.1)
    maps = maps_of(bump(86, 70, height_px=1.5, sigma_px=7.0) - bump(60, 120, height_px=1.0, sigma_px=5.0), pose)
    mesh = run(maps, pose)
    return mesh, bake(mesh, maps, pose)


def texel_of(uvs, size=133):
    return (1.0 - uvs[:, 1]) * size - 0.5, uvs[:, 0] * size - 0.5


def test_displacement_map_is_the_displacement_of_the_mesh(baked):
    mesh, maps = baked
    rows, columns = texel_of(TEMPLATE.uvs)  # the dome's UVs share the mesh's topology
    read = jax.scipy.ndimage.map_coordinates(maps.displacement_mm, [rows, columns], order=1)
    assert float(jnp.max(mesh.displacement_mm)) > 1.2
    np.testing.assert_allclose(read, mesh.displacement_mm, atol=0.05)


def test_normal_map_agrees_with_displacement_map(baked):
    """To first order the displacement d adds (-d_x, -d_y), its slopes along the surface, taken from the map itself."""
    mesh, maps = baked
    inner = (slice(30, 90), slice(40, 93))
    surface = interpolate(TEMPLATE.raster, mesh.base_mm, TEMPLATE.texture_vertices)[inner]
    dy, dx = np.gradient(np.asarray(maps.displacement_mm[inner]))
    down, right = np.gradient(np.asarray(surface), axis=(0, 1))
    expected = np.stack([-dx / np.linalg.norm(right, axis=-1), dy / np.linalg.norm(down, axis=-1)], axis=-1)
    bare = jax.jit(detail.normal_map)(MODEL.mean_mm, vertex_normals(mesh.base_mm, TRIANGLES), TEMPLATE)
    added = np.asarray(maps.normals_tangent - bare)[inner][..., :2]
    assert np.abs(expected).max() > np.sin(np.radians(5.0))
    assert np.sqrt(np.mean((added - expected) ** 2)) < 0.35 * np.sqrt(np.mean(expected**2))


def shaded_normals(vertices_mm, triangles, uvs, normals_tangent, places):
    """Normals that a viewer shades a mesh with: its vertices' frames, interpolated, and the normal map; at `places`,
    (triangle, barycentrics). UVs share the mesh's topology."""
    normals = surface_normals(vertices_mm, triangles)
    tangents = vertex_tangents(vertices_mm, triangles, uvs=uvs, normals=normals)
    chosen, weights = places

    def read(values):
        return np.sum(weights[..., None] * values[triangles[chosen]], axis=1)

    normal, tangent, uv = read(normals), read(tangents), read(uvs)
    side = tangent[:, 3:] * np.cross(normal, tangent[:, :3])
    rows, columns = texel_of(uv)
    seen = [
        jax.scipy.ndimage.map_coordinates(normals_tangent[..., axis], [rows, columns], order=1) for axis in range(3)
    ]
    x, y, z = (np.asarray(values)[:, None] for values in seen)
    return unit_rows(x * tangent[:, :3] + y * side + z * normal)


def test_the_medium_mesh_with_the_normal_map_shades_like_the_fine_one(baked):
    """At the middles of fine triangles away from the rim, in degrees; without the map it does not."""
    mesh, maps = baked
    triangles, fine = np.asarray(MODEL.triangles), np.asarray(TRIANGLES)
    flat = np.asarray(subdivide(jnp.eye(len(MODEL.mean_mm)), subdivision=TEMPLATE.flat))[fine].mean(axis=1)
    chosen = np.arange(len(fine)) // 16
    weights = np.take_along_axis(flat, triangles[chosen], axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    inner = np.all(np.abs(np.asarray(MODEL.uvs)[triangles[chosen]].mean(axis=1) - 0.5) < 0.3, axis=1)
    places = chosen[inner], weights[inner]
    truth = unit_rows(np.asarray(mesh.normals)[fine].mean(axis=1))[inner]
    arrays = np.asarray(MODEL.mean_mm), triangles, np.asarray(MODEL.uvs)

    def degrees(normals_tangent):
        shown = shaded_normals(*arrays, normals_tangent, places)
        return np.degrees(np.arccos(np.clip(np.sum(shown * truth, axis=1), -1.0, 1.0)))

    apart, bare = degrees(maps.normals_tangent), degrees(jnp.zeros((133, 133, 3)).at[..., 2].set(1.0))
    assert np.percentile(bare, 99) > 5.0
    assert np.median(apart) < 0.5 and np.percentile(apart, 99) < 2.0


def test_what_is_no_skin_has_no_relief():
    """An even lift: pieces that are no skin stay as they are, the map too; all else moves."""
    model = dome_model(with_island=True)
    template = detail.prepare(model, levels=1, texture_size=33)
    lift_mm = jnp.full(template.subdivision.indices.shape[0], 0.5)
    shape = displace(model.mean_mm, lift_mm, template)
    is_skin = np.asarray(template.relief) > 0
    assert 0 < (~is_skin).sum() < 12 and set(np.asarray(template.parts).tolist()) == {Part.SKIN, Part.INSIDE}
    np.testing.assert_array_equal(shape.vertices_mm[~is_skin], shape.base_mm[~is_skin])
    assert float(jnp.min(shape.displacement_mm[is_skin])) > 0.4


def test_green_points_up(baked):
    """OpenGL convention: on the upper flank of a bump the normal map leans to +y."""
    _, maps = baked
    peak = np.unravel_index(np.argmax(np.asarray(maps.displacement_mm)), (133, 133))
    assert float(maps.normals_tangent[peak[0] - 6, peak[1], 1]) > 0.05
    assert float(maps.normals_tangent[peak[0], peak[1] + 6, 0]) > 0.05


def test_texture_shows_the_photo_where_seen_and_has_no_holes(baked):
    mesh, maps = baked
    assert float(jnp.min(maps.albedo)) > 0.05 and bool(jnp.all(jnp.isfinite(maps.albedo)))
    places = project(mesh.vertices_mm, pose_of(0.1), camera=orthographic())
    middle = np.abs(np.asarray(mesh.base_mm)[:, 0]) < 25
    middle &= np.abs(np.asarray(mesh.base_mm)[:, 1]) < 40
    rows, columns = texel_of(TEMPLATE.uvs)
    for channel in range(3):
        read = jax.scipy.ndimage.map_coordinates(maps.albedo[..., channel], [rows, columns], order=1)
        seen = jax.scipy.ndimage.map_coordinates(PHOTO[..., channel], [places[:, 1], places[:, 0]], order=1)
        np.testing.assert_allclose(read[middle], seen[middle], atol=0.02)
        np.testing.assert_allclose(mesh.colours[middle, channel], seen[middle], atol=0.01)


def test_hidden_side_takes_the_mirrored_pattern():
    """A dark spot on the seen cheek appears on the hidden one too."""
    pose = pose_of(0.9)
    maps = maps_of(jnp.zeros((HEIGHT, WIDTH)), pose)
    plain = maps._replace(albedo=jnp.full((HEIGHT, WIDTH, 3), 0.6))
    place = project(MODEL.mean_mm, pose, camera=orthographic())[11 * 19 + 3]
    spot = bump(float(place[0]), float(place[1]), height_px=0.3, sigma_px=4.0)[..., None]
    mesh = run(plain, pose)
    maps = bake(mesh, plain._replace(albedo=plain.albedo - spot), pose)
    u, v = np.asarray(MODEL.uvs)[11 * 19 + 3]
    row, column, mirrored = int((1 - v) * 133), int(u * 133), int((1 - u) * 133)
    assert float(maps.albedo[row, column, 0]) < 0.4
    assert float(maps.albedo[row, mirrored, 0]) < 0.45 < float(maps.albedo[row, 133 // 2, 0])


def test_faces_without_mirrored_uvs_are_told_apart():
    assert bool(TEMPLATE.mirrors)
    skewed = dataclasses.replace(MODEL, uvs=MODEL.uvs.at[:, 0].multiply(0.9))
    assert not bool(detail.prepare(skewed, levels=1, texture_size=16).mirrors)


def test_the_same_displacement_on_the_same_shape_is_the_same_mesh(baked):
    mesh, maps = baked
    again = displace(MODEL.mean_mm, mesh.displacement_mm, TEMPLATE)
    for name in ("base_mm", "vertices_mm", "displacement_mm", "normals"):
        np.testing.assert_allclose(getattr(again, name), getattr(mesh, name), atol=1e-5)
    normals_tangent = jax.jit(detail.normal_map)(MODEL.mean_mm, again.normals, TEMPLATE)
    np.testing.assert_allclose(normals_tangent, maps.normals_tangent, atol=1e-4)


def test_displacement_on_another_shape_goes_along_its_normals_without_folds():
    wider_mm = MODEL.mean_mm * jnp.array([[1.2, 1.0, 0.8]])
    wild_mm = 40.0 * jax.random.normal(jax.random.key(1), TEMPLATE.subdivision.indices.shape[:1])
    shape = displace(wider_mm, wild_mm, TEMPLATE)
    np.testing.assert_allclose(
        shape.vertices_mm, shape.base_mm + shape.displacement_mm[:, None] * shape.base_normals, atol=1e-5
    )
    assert cosines_to_base(shape).min() >= 0.9 * LEAST_COSINE and float(jnp.std(shape.displacement_mm)) > 0.05


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_facing_is_the_cosine_to_the_viewer(camera):
    pose = pose_of(0.4)
    mesh = run(maps_of(jnp.zeros((HEIGHT, WIDTH)), pose, camera), pose, camera)
    turned = np.asarray(vertex_normals(mesh.base_mm, TRIANGLES), np.float64) @ matrix(pose).T
    image = np.asarray(project(mesh.base_mm, pose, camera=camera))
    offset = (image[:, :2] - np.asarray(camera.principal_point_px)) * float(camera.inverse_focal)
    rays = np.stack([-offset[:, 0], offset[:, 1], np.ones(len(offset))], axis=1)
    np.testing.assert_allclose(mesh.facing, np.sum(turned * rays, axis=1), atol=2e-5)


def matrix(pose):
    return np.asarray(rotation_matrix(pose.rotation_vector), np.float64)


def test_trust_is_what_fades_the_displacement():
    """An even lift by 1 px: where nothing is trusted nothing moves, where all is, the displacement is not faded."""
    pose = pose_of(0.5)
    mesh = run(maps_of(jnp.ones((HEIGHT, WIDTH)), pose), pose)
    trust, shift_mm = np.asarray(mesh.trust), np.asarray(mesh.displacement_mm)
    whole_mm = detail.LARGEST_MM * np.tanh(np.asarray(mesh.facing) / detail.LARGEST_MM / SCALE)
    assert trust.min() == 0.0 and trust.max() > 0.999
    assert np.abs(shift_mm[trust == 0.0]).max() == 0.0
    np.testing.assert_allclose(shift_mm, trust * whole_mm, atol=0.03)


def test_seen_albedo_is_the_photo_with_the_weight_of_the_view():
    pose = pose_of(0.9)
    maps = maps_of(jnp.zeros((HEIGHT, WIDTH)), pose)
    unsure = maps._replace(confidence=maps.confidence.at[60:80].set(0.0))
    mesh = run(maps, pose)
    seen_albedo = jax.jit(detail.seen_albedo)
    albedo, weight = seen_albedo(mesh, maps, pose, CAMERAS["orthographic"], template=TEMPLATE)
    _, less = seen_albedo(mesh, unsure, pose, CAMERAS["orthographic"], template=TEMPLATE)
    places = np.asarray(project(mesh.base_mm, pose, camera=CAMERAS["orthographic"]))
    columns, rows = np.asarray(texel_of(TEMPLATE.uvs))[::-1]
    at = [np.round(rows).astype(int), np.round(columns).astype(int)]
    facing, seen = np.asarray(mesh.facing), np.asarray(weight)[tuple(at)]
    sure = (facing > 0.6) & (np.asarray(mesh.trust) > 0.99)
    assert sure.sum() > 200 and np.abs(seen[facing < 0.15]).max() < 1e-3
    np.testing.assert_allclose(seen[sure], facing[sure] ** 4, atol=0.12)
    colours = jax.scipy.ndimage.map_coordinates(PHOTO[..., 0], [places[:, 1], places[:, 0]], order=1)
    np.testing.assert_allclose(np.asarray(albedo)[tuple(at)][sure, 0], np.asarray(colours)[sure], atol=0.02)
    hit = sure & (places[:, 1] > 62) & (places[:, 1] < 77)
    np.testing.assert_allclose(np.asarray(less)[tuple(at)][hit] / seen[hit], detail.UNSURE, atol=0.06)
    assert float(jnp.max(jnp.where(TEMPLATE.raster.triangle < 0, weight, 0.0))) == 0.0
