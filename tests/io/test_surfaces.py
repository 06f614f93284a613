"""Every kind of mesh and landmark file a user may bring, good or bad."""

import io
import json
import pickle
import struct

import numpy as np
import pytest
import trimesh

from jaxface.io.surfaces import read_points, read_surface, to_ibug
from jaxface.types import FaceError

VERTICES = np.array([[0, 0, 0], [10, 0, 1], [0, 20, 2], [10, 20, 5], [3, 4, 50]], np.float64)
TRIANGLES = np.array([[0, 1, 2], [1, 3, 2], [0, 1, 4]])


def written(folder, suffix, *, vertices=VERTICES, triangles=TRIANGLES, **options):
    path = folder / f"mesh{suffix}"
    path.write_bytes(
        _bytes(trimesh.Trimesh(vertices, triangles, process=False).export(file_type=suffix[1:], **options))
    )
    return path


def _bytes(data) -> bytes:
    return data.encode() if isinstance(data, str) else data


def corners(vertices, triangles) -> np.ndarray:
    return np.asarray(vertices)[np.asarray(triangles)]


@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".obj", {}), (".ply", {"encoding": "ascii"}), (".ply", {"encoding": "binary"}), (".off", {})],
)
def test_meshes_keep_their_vertices_and_order(tmp_path, suffix, options):
    vertices, triangles = read_surface(written(tmp_path, suffix, **options))
    np.testing.assert_allclose(vertices, VERTICES, atol=1e-6)
    np.testing.assert_array_equal(triangles, TRIANGLES)
    assert vertices.dtype == np.float64 and triangles.dtype.kind == "i"


def test_stl_joins_what_it_repeats(tmp_path):
    vertices, triangles = read_surface(written(tmp_path, ".stl"))
    assert vertices.shape == VERTICES.shape
    np.testing.assert_allclose(corners(vertices, triangles), corners(VERTICES, TRIANGLES), atol=1e-6)


def test_glb_is_in_metres_and_where_its_scene_puts_it(tmp_path):
    scene = trimesh.Scene()
    move = trimesh.transformations.translation_matrix([0.0, 0.0, 1.0])
    for place in (np.eye(4), move):
        scene.add_geometry(trimesh.Trimesh(VERTICES / 1000.0, TRIANGLES, process=False), transform=place)
    (tmp_path / "two.glb").write_bytes(scene.export(file_type="glb"))
    vertices, triangles = read_surface(tmp_path / "two.glb")
    assert vertices.shape == (10, 3) and triangles.shape == (6, 3)
    heights = sorted([corners(vertices, part)[..., 2].max() for part in (triangles[:3], triangles[3:])])
    np.testing.assert_allclose(heights, [50.0, 1050.0], rtol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1.0), ("cm", 10.0), ("m", 1000.0)])
def test_units_are_brought_to_millimetres(tmp_path, unit, factor):
    for suffix in (".obj", ".glb"):
        vertices, _ = read_surface(written(tmp_path, suffix), unit=unit)
        np.testing.assert_allclose(vertices, factor * VERTICES, rtol=1e-6)


def test_obj_with_all_its_trimmings(tmp_path):
    text = """\ufeffv 0 0 0 0.1 0.2 0.3
# scan
mtllib nowhere.mtl
o face
v\t10 0 1 255 0 0
v 0 20 2
v 10 20 5 1.0
vt 0.5 0.5
vt 0.1 0.5
vn 0 0 1
usemtl skin
f 1/1/1 2/2/1 4/1/1 3/2/1
v 3 4 50
f -5//1 -4//1 \\
 -1//1
l 1 2
"""
    (tmp_path / "a.OBJ").write_text(text, encoding="utf-8")
    vertices, triangles = read_surface(tmp_path / "a.OBJ")
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(triangles, [[0, 1, 3], [0, 3, 2], [0, 1, 4]])


def test_ply_with_colours_quads_and_no_faces(tmp_path):
    header = "ply\nformat ascii 1.0\ncomment TextureFile nowhere.png\nelement vertex 4\n"
    header += "property float x\nproperty float y\nproperty float z\nproperty uchar red\n"
    rows = "0 0 0 9\n1 0 0 9\n1 1 0 9\n0 1 0 9\n"
    path = tmp_path / "a.ply"
    path.write_text(
        header + "element face 1\nproperty list uchar int vertex_indices\nend_header\n" + rows + "4 0 1 2 3\n"
    )
    vertices, triangles = read_surface(path)
    assert vertices.shape == (4, 3) and triangles.shape == (2, 3)
    path.write_text(header + "end_header\n" + rows)
    vertices, triangles = read_surface(path)
    assert vertices.shape == (4, 3) and triangles.shape == (0, 3)


def test_ply_with_texture_coordinates_per_corner_keeps_its_vertices(tmp_path):
    text = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    text += "element face 2\nproperty list uchar int vertex_indices\nproperty list uchar float texcoord\nend_header\n"
    text += "0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 6 0 0 1 0 1 1\n3 0 2 3 6 .5 .5 .2 .2 .1 .1\n"
    (tmp_path / "a.ply").write_text(text)
    vertices, triangles = read_surface(tmp_path / "a.ply")
    np.testing.assert_array_equal(vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    np.testing.assert_array_equal(triangles, [[0, 1, 2], [0, 2, 3]])


PLY = "ply\nformat {}\nelement vertex {}\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


def glb(tree: dict, *, padding: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + padding
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


ZEROS = {
    "asset": {"version": "2.0"},
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
    "accessors": [{"componentType": 5126, "count": 4_000_000_000, "type": "VEC3"}],
}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.obj", b"", "empty"),
        ("a.obj", b"this is no mesh\nat all\n", "no vertices"),
        ("a.obj", b"v 0 0\nv 1 1 1\n", "no sound OBJ"),
        ("a.obj", b"v 0 0 zero\n", "no sound OBJ"),
        ("a.obj", b"v 0 0 0\nv nan 0 1\nv inf 0 1\n", "2 of its 3 vertices are not finite"),
        ("a.obj", b"v 0 0 0\nf 1 2 3\n", "triangles name vertices"),
        ("a.obj", b"v 0 0 0\nf 0 1 1\n", "names vertex 0"),
        ("a.obj", b"v 0 0 0\nf 1 -2 1\n", "names vertex -2"),
        ("a.obj", bytes(range(256)) * 9, "no vertices"),
        ("a.ply", b"this is no mesh\n", "PLY header"),
        ("a.ply", PLY.format("ascii 1.0", 10**15).encode() + b"0 0 0\n", "promises 1000000000000000 entries"),
        ("a.ply", PLY.format("binary_little_endian 1.0", 4 * 10**9).encode() + bytes(36), "promises"),
        ("a.ply", PLY.format("binary_little_endian 1.0", 9).encode() + bytes(36), "no sound PLY"),
        ("a.ply", PLY.format("ascii 1.0", 0).encode(), "no vertices"),
        ("a.stl", b"solid no mesh\n", "no sound STL|no vertices"),
        ("a.stl", bytes(80) + b"\xff\xff\xff\xff" + bytes(50), "no vertices"),
        ("a.off", b"OFF\n9 9 9\n0 0 0\n", "no sound OFF"),
        ("a.glb", b"glTF and no more", "no sound GLB"),
        ("a.glb", glb(ZEROS), "promises 4000000000 entries"),
        ("a.glb", glb({"asset": {"version": "2.0"}}), "no sound GLB|no vertices"),
        ("a.glb", glb(ZEROS)[:60], "no sound GLB"),
        ("a.txt", b"0 0 0\n", r"must end in \.obj, \.ply"),
    ],
)
def test_bad_meshes_get_one_sentence(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FaceError, match=words) as error:
        read_surface(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_surface, read_points])
def test_paths_that_are_no_files(tmp_path, read):
    with pytest.raises(FaceError, match="there is no such"):
        read(tmp_path / "none.obj")
    with pytest.raises(FaceError, match="this is a folder"):
        read(tmp_path)


def test_scenes_may_not_multiply_a_mesh(tmp_path):
    scene = trimesh.Scene(trimesh.Trimesh(np.random.default_rng(0).normal(size=(5000, 3)), [[0, 1, 2]], process=False))
    copies = {"nodes": [{"mesh": 0}] * 5000, "scenes": [{"nodes": list(range(5000))}], "scene": 0}
    (tmp_path / "bomb.glb").write_bytes(
        scene.export(file_type="glb", tree_postprocessor=lambda tree: tree.update(copies))
    )
    with pytest.raises(FaceError, match="too many copies"):
        read_surface(tmp_path / "bomb.glb")


POINTS = np.array([[1.5, -2.0, 3.25], [np.nan, np.nan, np.nan], [7.0, 8.0, 9.0]])

PP = """<!DOCTYPE PickedPoints>
<PickedPoints>
 <DocumentData><DateTime time="12:00" date="2015-01-01"/></DocumentData>
 <point active="1" name="0" x="1.5" y="-2.0" z="3.25"/>
 <point active="0" name="1" x="0" y="0" z="0"/>
 <point name="2" z="9" y="8" x="7"/>
</PickedPoints>
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.pp", PP),
        ("a.txt", "# x y z\n1.5 -2.0 3.25\n\nnan nan nan  # not seen\n7 8 9\n"),
        ("a.csv", "\ufeff1.5,-2.0,3.25\r\nnan,nan,nan\r\n7; 8; 9\r\n"),
        ("a.json", "[[1.5, -2, 3.25], [null, null, null], [7, 8, 9]]"),
    ],
)
def test_landmark_files(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    np.testing.assert_array_equal(read_points(tmp_path / name), POINTS)


def test_numpy_landmarks(tmp_path):
    np.save(tmp_path / "a.npy", POINTS.astype(np.float32))
    points = read_points(tmp_path / "a.npy")
    assert points.dtype == np.float64
    np.testing.assert_array_equal(points, POINTS)


def pickled() -> bytes:
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("executed",)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(), None], object), allow_pickle=True)
    return buffer.getvalue()


def laughs(encoding: str) -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE p [<!ENTITY l0 "ha">{entities}]><p><point x="&l11;" y="0" z="0"/></p>'
    return (f'<?xml version="1.0" encoding="{encoding}"?>' + text).encode(encoding)


EXTERNAL = '<!DOCTYPE p [<!ENTITY e SYSTEM "file:///etc/passwd">]><p><point x="1" y="1" z="1"/>&e;</p>'
HUGE_NPY = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000, 3), }".ljust(
    118
)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npy", b"", "empty"),
        ("a.npy", pickled(), "holds no landmarks"),
        ("a.npy", pickle.dumps([[1, 2, 3]]), "holds no landmarks"),
        ("a.npy", HUGE_NPY, "holds no landmarks"),
        ("a.txt", b"1 2\n3 4\n", r"array of shape \(2, 2\)"),
        ("a.txt", b"1 2 3\n3 4\n", "holds no landmarks"),
        ("a.txt", b"one two three\n", "holds no landmarks"),
        ("a.txt", b"# nothing\n", r"array of shape \(0,\)"),
        ("a.txt", b"1 2 inf\n", "infinite"),
        ("a.txt", b"\xff\xfe\x00", "holds no landmarks"),
        ("a.pp", b"<PickedPoints>", "holds no landmarks"),
        ("a.pp", b"<PickedPoints/>", "array of shape"),
        ("a.pp", b'<p><point x="1" y="2"/></p>', "holds no landmarks"),
        ("a.pp", laughs("utf-8"), "declares XML entities"),
        ("a.pp", laughs("utf-16"), "declares XML entities"),
        ("a.pp", EXTERNAL.encode(), "declares XML entities"),
        ("a.json", b"{}", "not a list"),
        ("a.json", b"[" * 100_000, "holds no landmarks"),
        ("a.json", b'[["a", "b", "c"]]', "holds no landmarks"),
        ("a.dat", b"1 2 3\n", r"must end in \.pp, \.txt"),
    ],
)
def test_bad_landmark_files_get_one_sentence(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FaceError, match=words) as error:
        read_points(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("count", [68, 51, 7])
def test_points_find_their_place_among_the_68(count):
    points = np.arange(3.0 * count).reshape(count, 3)
    places = {68: list(range(68)), 51: list(range(17, 68)), 7: [36, 39, 42, 45, 33, 48, 54]}[count]
    full = to_ibug(points)
    np.testing.assert_array_equal(full[places], points)
    assert np.isfinite(full).sum() == 3 * count


def test_partly_unknown_points_are_unknown():
    points = np.ones((51, 3))
    points[4, 1] = np.nan
    assert np.isnan(to_ibug(points)[21]).all()


def test_other_numbers_of_points_are_refused():
    with pytest.raises(FaceError, match="not 5"):
        to_ibug(np.ones((5, 3)))
    with pytest.raises(FaceError, match="Fewer than three"):
        to_ibug(np.full((7, 3), np.nan))
