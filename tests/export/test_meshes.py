"""Meshes go out and come back the same, as trimesh reads them."""

import fake_face
import numpy as np
import pytest
import trimesh

from jaxface.export import meshes, pictures


@pytest.fixture
def mesh():
    return fake_face.dome_mesh()


@pytest.fixture
def look(mesh):
    textures = fake_face.texture_maps()
    return {
        "normals": fake_face.dome_normals(mesh),
        "albedo_texture": textures.albedo,
        "normal_map": textures.normals_tangent,
    }


def corner_positions(solid: trimesh.Trimesh) -> np.ndarray:
    return np.asarray(solid.vertices)[np.asarray(solid.faces)]


def test_split_seams_keeps_every_corner(mesh):
    vertex, uv_vertex, triangles = meshes.split_seams(mesh)
    np.testing.assert_array_equal(vertex[triangles], mesh.triangles)
    np.testing.assert_array_equal(uv_vertex[triangles], mesh.uv_triangles)
    assert len(vertex) == len(mesh.uvs) > len(mesh.vertices_mm)


def test_obj_round_trip_with_its_companions(tmp_path, mesh, look):
    meshes.write_obj(tmp_path / "mesh.obj", mesh, **look)
    assert {path.name for path in tmp_path.iterdir()} == {"mesh.obj", "mesh.mtl", "mesh.png", "mesh_normals.png"}
    text = (tmp_path / "mesh.obj").read_text()
    assert "millimetre" in text.splitlines()[0] and "mtllib mesh.mtl" in text
    solid = trimesh.load(tmp_path / "mesh.obj", process=False)
    np.testing.assert_allclose(corner_positions(solid), mesh.vertices_mm[mesh.triangles], atol=1e-4)
    uvs = np.asarray(solid.visual.uv)[np.asarray(solid.faces)]
    np.testing.assert_allclose(uvs, mesh.uvs[mesh.uv_triangles], atol=1e-5)
    picture = np.asarray(solid.visual.material.image.convert("RGB"))
    np.testing.assert_array_equal(picture, pictures.to_bytes(look["albedo_texture"]))


def test_obj_rows_count_as_printed(tmp_path, mesh, look):
    meshes.write_obj(tmp_path / "mesh.obj", mesh, **look)
    words = [line.split()[0] for line in (tmp_path / "mesh.obj").read_text().splitlines()]
    assert words.count("v") == words.count("vn") == len(mesh.vertices_mm)
    assert words.count("vt") == len(mesh.uvs) and words.count("f") == len(mesh.triangles)


def test_obj_without_a_texture_is_one_file(tmp_path, mesh, look):
    meshes.write_obj(tmp_path / "mesh.obj", mesh, normals=look["normals"])
    assert [path.name for path in tmp_path.iterdir()] == ["mesh.obj"] and "mtl" not in (
        tmp_path / "mesh.obj"
    ).read_text()
    solid = trimesh.load(tmp_path / "mesh.obj", process=False)
    np.testing.assert_allclose(corner_positions(solid), mesh.vertices_mm[mesh.triangles], atol=1e-4)


def test_ply_round_trip(tmp_path, mesh, look):
    colours = np.linspace(0, 1, mesh.vertices_mm.size).reshape(-1, 3)
    meshes.write_ply(tmp_path / "a.ply", mesh, normals=look["normals"], colours=colours)
    solid = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_array_equal(np.asarray(solid.vertices, np.float32), mesh.vertices_mm)
    np.testing.assert_array_equal(solid.faces, mesh.triangles)
    np.testing.assert_allclose(solid.vertex_normals, look["normals"], atol=1e-5)
    np.testing.assert_array_equal(solid.visual.vertex_colors[:, :3], pictures.to_bytes(colours))
    assert b"millimetre" in (tmp_path / "a.ply").read_bytes()[:200]


def test_plain_ply_has_positions_only(tmp_path, mesh):
    meshes.write_ply(tmp_path / "a.ply", mesh)
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header")[0]
    assert b"nx" not in header and b"red" not in header
    np.testing.assert_array_equal(trimesh.load(tmp_path / "a.ply", process=False).faces, mesh.triangles)


def test_unit_rows_mends_what_has_no_direction():
    rows = meshes.unit_rows(np.array([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0], [np.nan, 1.0, 0.0]]))
    np.testing.assert_allclose(rows, [[0.0, 0.6, 0.8], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], atol=1e-6)
