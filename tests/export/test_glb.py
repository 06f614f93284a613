"""A face in one GLB comes back the same, part by part, as trimesh and Khronos' validator read it."""

import struct

import fake_face
import gltf
import numpy as np
import pytest
import trimesh

from jaxface.export import glb, pictures
from jaxface.types import Part


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


def make_morphs(mesh) -> glb.Morphs:
    """One that bulges, one that moves the upper rows alone."""
    x, y, _ = mesh.vertices_mm.T
    bulge, raised = np.cos(x / 20.0), np.maximum(y - 40.0, 0.0)
    offsets = np.stack([np.stack([0 * x, 0 * x, each], axis=-1) for each in (bulge, raised)]).astype(np.float32)
    return glb.Morphs(("jawOpen", "browInnerUp"), offsets, np.array([0.25, 0.0]))


def test_glb_round_trip(tmp_path, mesh, look):
    glb.write_glb(tmp_path / "a.glb", mesh, **look)
    solid = trimesh.load(tmp_path / "a.glb", process=False).geometry["face"]
    corners = np.asarray(solid.vertices)[np.asarray(solid.faces)]
    np.testing.assert_allclose(corners, mesh.vertices_mm[mesh.triangles] / 1000.0, atol=1e-6)
    uvs = np.asarray(solid.visual.uv)[np.asarray(solid.faces)]
    np.testing.assert_allclose(uvs, mesh.uvs[mesh.uv_triangles], atol=1e-6)
    normals = np.asarray(solid.vertex_normals)[np.asarray(solid.faces)]
    np.testing.assert_allclose(normals, look["normals"][mesh.triangles], atol=1e-5)
    material = solid.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0.0, glb.ROUGHNESS["skin"])
    expected = pictures.to_bytes(look["albedo_texture"])
    np.testing.assert_array_equal(np.asarray(material.baseColorTexture.convert("RGB")), expected)


def test_glb_faces_outwards_and_stores_v_downwards(tmp_path, mesh, look):
    glb.write_glb(tmp_path / "a.glb", mesh, **look)
    tree = gltf.read_glb(tmp_path / "a.glb")[0]
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    top_uv = tree["accessors"][attributes["TEXCOORD_0"]]["min"][1]
    assert top_uv == pytest.approx(1.0 - mesh.uvs[:, 1].max(), abs=1e-6)
    assert attributes.keys() == {"POSITION", "NORMAL", "TEXCOORD_0", "TANGENT"}
    assert {image["mimeType"] for image in tree["images"]} == {"image/png"}
    solid = trimesh.load(tmp_path / "a.glb", process=False).geometry["face"]
    assert np.asarray(solid.face_normals)[:, 2].min() > 0.0


def read_primitive(tree, data, primitive) -> dict[str, np.ndarray]:
    """Values at the corners of each triangle."""
    corners = gltf.read_accessor(tree, data, primitive["indices"]).reshape(-1, 3)
    return {name: gltf.read_accessor(tree, data, place)[corners] for name, place in primitive["attributes"].items()}


def triangles_of(mesh) -> list[np.ndarray]:
    return [mesh.parts == Part.SKIN, mesh.parts == Part.LEFT_EYE, mesh.parts >= Part.LOWER_TEETH]


def test_each_part_is_a_primitive_of_one_mesh_with_a_material_of_its_own(tmp_path, mesh, look):
    mesh = fake_face.with_parts(mesh)
    glb.write_glb(tmp_path / "a.glb", mesh, **look)
    tree, data = gltf.read_glb(tmp_path / "a.glb")
    assert len(tree["nodes"]) == len(tree["meshes"]) == 1 and len(tree["images"]) == 2
    primitives = tree["meshes"][0]["primitives"]
    materials = [tree["materials"][primitive["material"]] for primitive in primitives]
    assert [material["name"] for material in materials] == ["skin", "eyes", "teeth"]
    surfaces = [material["pbrMetallicRoughness"] for material in materials]
    assert [surface["roughnessFactor"] for surface in surfaces] == [0.6, 0.1, 0.3]
    assert {surface["baseColorTexture"]["index"] for surface in surfaces} == {0}
    assert ["normalTexture" in material for material in materials] == [True, False, False]
    for primitive, chosen in zip(primitives, triangles_of(mesh), strict=True):
        found = read_primitive(tree, data, primitive)
        assert chosen.any() and ("TANGENT" in found) == (primitive is primitives[0])
        corners = mesh.triangles[chosen]
        np.testing.assert_allclose(found["POSITION"], mesh.vertices_mm[corners] / 1000.0, atol=1e-7)
        np.testing.assert_allclose(found["NORMAL"], look["normals"][corners], atol=1e-6)
        uvs = mesh.uvs[mesh.uv_triangles[chosen]] * [1.0, -1.0] + [0.0, 1.0]
        np.testing.assert_allclose(found["TEXCOORD_0"], uvs, atol=1e-6)


def test_every_primitive_has_every_expression(tmp_path, mesh, look):
    mesh, morphs = fake_face.with_parts(mesh), make_morphs(mesh)
    glb.write_glb(tmp_path / "a.glb", mesh, **look, morphs=morphs)
    tree, data = gltf.read_glb(tmp_path / "a.glb")
    (face,) = tree["meshes"]
    assert face["extras"] == {"targetNames": ["jawOpen", "browInnerUp"]} and face["weights"] == [0.25, 0.0]
    moved = []
    for primitive, chosen in zip(face["primitives"], triangles_of(mesh), strict=True):
        corners = gltf.read_accessor(tree, data, primitive["indices"]).reshape(-1, 3)
        for target, offsets_mm in zip(primitive["targets"], morphs.offsets_mm, strict=True):
            found = gltf.read_accessor(tree, data, target["POSITION"])[corners]
            np.testing.assert_allclose(found, offsets_mm[mesh.triangles[chosen]] / 1000.0, atol=1e-8)
            moved.append(bool(found.any()))
    assert moved == [True, True, True, True, True, False]


@pytest.mark.slow
@pytest.mark.parametrize("with_normal_map", [True, False])
@pytest.mark.parametrize("with_parts", [True, False])
def test_khronos_validator_finds_no_error(tmp_path, mesh, look, with_normal_map, with_parts):
    look["normals"][3] = 0.0  # a degenerate normal must not reach the file
    chosen = look if with_normal_map else look | {"normal_map": None}
    if with_parts:
        mesh, chosen = fake_face.with_parts(mesh), chosen | {"morphs": make_morphs(mesh)}
    glb.write_glb(tmp_path / "a.glb", mesh, **chosen)
    report = gltf.validate(tmp_path / "a.glb")
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
    assert report["issues"]["numHints"] == 0, report["issues"]["messages"]
    assert report["info"]["totalTriangleCount"] == len(mesh.triangles)


@pytest.mark.slow
def test_validator_would_notice(tmp_path, mesh, look):
    """The check above can fail: a GLB with a wrong index does."""
    glb.write_glb(tmp_path / "a.glb", mesh, **look)
    tree, _ = gltf.read_glb(tmp_path / "a.glb")
    data = bytearray((tmp_path / "a.glb").read_bytes())
    indices = tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]]
    start = 20 + struct.unpack("<I", data[12:16])[0] + 8 + tree["bufferViews"][indices["bufferView"]]["byteOffset"]
    data[start : start + 4] = struct.pack("<I", 10**6)
    (tmp_path / "a.glb").write_bytes(data)
    assert gltf.validate(tmp_path / "a.glb")["issues"]["numErrors"] > 0
