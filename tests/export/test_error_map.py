"""Heat maps: colours by error, grey where nothing was judged, files that other programs read."""

import json
import struct

import matplotlib
import numpy as np
import pytest
import trimesh
from fake_face import dome_mesh
from PIL import Image

from jaxface.export.error_map import (
    LIMIT_MM,
    NOT_JUDGED,
    draw_error_map,
    error_colours,
    write_error_meshes,
    write_error_picture,
)


def bytes_of(colours) -> np.ndarray:
    return np.round(255.0 * np.asarray(colours)).astype(int)


def test_colours_follow_a_fixed_scale():
    errors_mm = np.array([0.0, LIMIT_MM / 2.0, LIMIT_MM, 40.0])
    colours = error_colours(errors_mm, np.array([5, 1, 2, 4]), num_vertices=6)
    ends = [matplotlib.colormaps["viridis"](share)[:3] for share in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(colours[[5, 1, 2, 4]], [ends[0], ends[1], ends[2], ends[2]], atol=1e-6)
    np.testing.assert_allclose(colours[[0, 3]], [NOT_JUDGED] * 2)


def test_larger_errors_are_lighter():
    colours = error_colours(np.linspace(0.0, LIMIT_MM, 50), np.arange(50), num_vertices=50)
    luminance = colours**2.2 @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(luminance) > 0.0)


@pytest.mark.parametrize("is_cloud", [False, True])
def test_meshes_and_clouds_keep_places_and_colours(tmp_path, is_cloud):
    mesh = dome_mesh()
    count = len(mesh.vertices_mm)
    triangles = mesh.triangles[:0] if is_cloud else mesh.triangles
    colours = error_colours(np.linspace(0.0, 6.0, count - 9), np.arange(9, count), num_vertices=count)
    write_error_meshes(tmp_path / "map.v2", mesh.vertices_mm, triangles, colours)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.v2.glb", "map.v2.ply"]
    plain = trimesh.load(tmp_path / "map.v2.ply", process=False)
    (packed,) = trimesh.load(tmp_path / "map.v2.glb", process=False).geometry.values()
    np.testing.assert_allclose(plain.vertices, mesh.vertices_mm, atol=1e-5)
    np.testing.assert_allclose(packed.vertices, mesh.vertices_mm / 1000.0, atol=1e-6)
    np.testing.assert_array_equal(shades(plain), bytes_of(colours))
    light = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    assert np.abs(shades(packed) - bytes_of(light)).max() <= 1
    if not is_cloud:
        np.testing.assert_array_equal(plain.faces, triangles)
        np.testing.assert_array_equal(packed.faces, triangles)


def shades(shape) -> np.ndarray:
    if isinstance(shape, trimesh.PointCloud):
        colours = shape.colors
    elif shape.visual.kind == "texture":  # beside a material, as GLB has it
        colours = shape.visual.vertex_attributes["color"]
    else:
        colours = shape.visual.vertex_colors
    return np.asarray(colours)[:, :3].astype(int)


def test_the_glb_is_not_polished_metal(tmp_path):
    mesh = dome_mesh()
    write_error_meshes(tmp_path / "map", mesh.vertices_mm, mesh.triangles, np.ones((len(mesh.vertices_mm), 3)))
    data = (tmp_path / "map.glb").read_bytes()
    tree = json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])
    (primitive,) = tree["meshes"][0]["primitives"]
    surface = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert surface["metallicFactor"] == 0.0 and "COLOR_0" in primitive["attributes"]


def test_the_picture_names_its_views_and_its_scale(tmp_path):
    views = {name: np.full((40, 40, 3), shade) for name, shade in (("front", 0.2), ("left side", 0.9))}
    texts = {"title": "a_$x$.obj: 1.000 mm", "subtitle": "some protocol, " * 30}
    figure = draw_error_map(views, **texts)
    *panels, bar = figure.axes
    assert [panel.get_title() for panel in panels] == list(views)
    assert "mm" in bar.get_ylabel() and bar.get_ylim() == (0.0, LIMIT_MM)
    write_error_picture(tmp_path / "map.png", views, **texts)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.format == "PNG" and picture.width == 1000
    assert (tmp_path / "map.png").stat().st_size < 400_000
