"""An animated face comes back the same: by the format's text, by trimesh and Khronos' validator."""

import dataclasses

import fake_face
import gltf
import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from jaxface.export import animation, glb, meshes
from jaxface.types import FaceError


@pytest.fixture
def mesh():
    return fake_face.dome_mesh()


def make_clip(mesh, *, num_frames: int) -> dict:
    """A dome that bulges, shears and never uses its third expression, while it turns more than once around."""
    x, y, z = mesh.vertices_mm.T
    morphs = np.stack([np.stack([0 * x, 0 * y, 5 * np.cos(x / 20)], -1), np.stack([0.1 * y, 0 * y, 0.2 * z], -1)])
    times = np.arange(num_frames) / 25.0 + 0.4
    textures = fake_face.texture_maps()
    return {
        "normals": meshes.surface_normals(mesh.vertices_mm, mesh.triangles),
        "morphs_mm": np.concatenate([morphs, morphs[:1] * 0.5]).astype(np.float32),
        "names": fake_face.EXPRESSIONS,
        "weights": np.stack([np.sin(times) ** 2, np.cos(3 * times), 0 * times], -1).astype(np.float32),
        "rotations": Rotation.from_rotvec(np.stack([0 * times, 0.3 + 3 * times, 0.2 * times], -1)).as_matrix(),
        "translations_mm": np.stack([20 * times, 5 * np.sin(times), -300 + 0 * times], -1),
        "times_s": times,
        "albedo_texture": textures.albedo,
        "normal_map": textures.normals_tangent,
    }


def read_clip(path) -> dict:
    """Everything that moves, from the accessors alone."""
    tree, data = gltf.read_glb(path)
    (primitive,) = tree["meshes"][0]["primitives"]
    (clip,) = tree["animations"]
    channels = {channel["target"]["path"]: clip["samplers"][channel["sampler"]] for channel in clip["channels"]}
    (head,) = [place for place, node in enumerate(tree["nodes"]) if "mesh" in node]
    assert {channel["target"]["node"] for channel in clip["channels"]} == {head}
    assert {sampler["interpolation"] for sampler in channels.values()} == {"LINEAR"}
    (key_times,) = {sampler["input"] for sampler in channels.values()}
    targets = primitive.get("targets", [])
    return {
        "tree": tree,
        "triangles": gltf.read_accessor(tree, data, primitive["indices"]).reshape(-1, 3),
        "positions": gltf.read_accessor(tree, data, primitive["attributes"]["POSITION"]),
        "normals": gltf.read_accessor(tree, data, primitive["attributes"]["NORMAL"]),
        "position_offsets": [gltf.read_accessor(tree, data, target["POSITION"]) for target in targets],
        "normal_offsets": [gltf.read_accessor(tree, data, target["NORMAL"]) for target in targets],
        "times": gltf.read_accessor(tree, data, key_times)[:, 0],
        **{path: gltf.read_accessor(tree, data, sampler["output"]) for path, sampler in channels.items()},
    }


@pytest.mark.parametrize("num_frames", [1, 100])
def test_frames_come_back(tmp_path, mesh, num_frames):
    clip = make_clip(mesh, num_frames=num_frames)
    animation.write_animation(tmp_path / "a.glb", mesh, **clip)
    found = read_clip(tmp_path / "a.glb")
    weights = found["weights"].reshape(num_frames, 3)
    np.testing.assert_array_equal(weights, clip["weights"])
    np.testing.assert_array_equal(found["times"], clip["times_s"].astype(np.float32))
    for frame in {0, num_frames // 3, num_frames - 1}:
        head = Rotation.from_quat(found["rotation"][frame].astype(np.float64)).as_matrix()
        np.testing.assert_allclose(head, clip["rotations"][frame], atol=1e-6)
        offsets = np.einsum("k,kvi->vi", weights[frame], np.stack(found["position_offsets"]))
        shown = (found["positions"] + offsets) @ head.T + found["translation"][frame]
        shape_mm = mesh.vertices_mm + np.einsum("k,kvi->vi", clip["weights"][frame], clip["morphs_mm"])
        expected = (shape_mm @ clip["rotations"][frame].T + clip["translations_mm"][frame]) / 1000.0
        np.testing.assert_allclose(shown[found["triangles"]], expected[mesh.triangles], atol=2e-7)


def test_quaternions_have_length_one_and_never_jump(tmp_path, mesh):
    """Two turns: a sign that follows w alone would jump."""
    animation.write_animation(tmp_path / "a.glb", mesh, **make_clip(mesh, num_frames=100))
    quaternions = read_clip(tmp_path / "a.glb")["rotation"]
    np.testing.assert_allclose(np.linalg.norm(quaternions, axis=1), 1.0, atol=1e-6)
    assert np.sum(quaternions[1:] * quaternions[:-1], axis=1).min() > 0.99
    assert quaternions[:, 3].min() < -0.9


def test_normals_follow_each_expression(tmp_path, mesh):
    """Shown normals at weight 1 are those that trimesh finds on the morphed surface."""
    clip = make_clip(mesh, num_frames=1)
    animation.write_animation(tmp_path / "a.glb", mesh, **clip)
    found = read_clip(tmp_path / "a.glb")
    for morph_mm, offsets in zip(clip["morphs_mm"], found["normal_offsets"], strict=True):
        solid = trimesh.Trimesh(mesh.vertices_mm + morph_mm, mesh.triangles, process=False)
        weighted = solid.faces_sparse @ (solid.face_normals * solid.area_faces[:, None])
        expected = weighted / np.linalg.norm(weighted, axis=1, keepdims=True)
        shown = (found["normals"] + offsets)[found["triangles"]]
        np.testing.assert_allclose(shown, expected[mesh.triangles], atol=1e-6)
        assert np.abs(offsets).max() > 0.02


def test_tree_names_every_expression_and_holds_nothing_idle(tmp_path, mesh):
    animation.write_animation(tmp_path / "a.glb", mesh, **make_clip(mesh, num_frames=4))
    tree = read_clip(tmp_path / "a.glb")["tree"]
    assert tree["meshes"][0]["extras"] == {"targetNames": list(fake_face.EXPRESSIONS)}
    assert tree["meshes"][0]["weights"] == [0.0, 0.0, 0.0]
    assert len(tree["accessors"]) == 5 + 2 * 3 + 4  # the solid's, the targets', the animation's
    views = [accessor["bufferView"] for accessor in tree["accessors"]] + [i["bufferView"] for i in tree["images"]]
    assert sorted(views) == list(range(len(tree["bufferViews"])))
    (primitive,) = tree["meshes"][0]["primitives"]
    of_vertices = [*primitive["attributes"].values(), *(a for target in primitive["targets"] for a in target.values())]
    marked = [tree["accessors"].index(a) for a in tree["accessors"] if _target(tree, a) == 34962]
    assert sorted(of_vertices) == marked


def _target(tree: dict, accessor: dict) -> int | None:
    return tree["bufferViews"][accessor["bufferView"]].get("target")


def test_at_rest_it_is_the_still_file(tmp_path, mesh):
    clip = make_clip(mesh, num_frames=2)
    look = {name: clip[name] for name in ("normals", "albedo_texture", "normal_map")}
    animation.write_animation(tmp_path / "moving.glb", mesh, **clip)
    glb.write_glb(tmp_path / "still.glb", mesh, **look)
    moving, still = (
        trimesh.load(tmp_path / f"{name}.glb", process=False).geometry["face"] for name in ("moving", "still")
    )
    np.testing.assert_array_equal(moving.vertices, still.vertices)
    np.testing.assert_array_equal(moving.faces, still.faces)
    np.testing.assert_array_equal(moving.visual.uv, still.visual.uv)
    assert moving.visual.material.baseColorTexture.tobytes() == still.visual.material.baseColorTexture.tobytes()


def test_eyes_and_teeth_move_with_the_skin(tmp_path, mesh):
    """One node turns, one list of weights drives as many targets in each primitive."""
    animation.write_animation(tmp_path / "a.glb", fake_face.with_parts(mesh), **make_clip(mesh, num_frames=3))
    tree, _ = gltf.read_glb(tmp_path / "a.glb")
    (face,) = tree["meshes"]
    assert [len(primitive["targets"]) for primitive in face["primitives"]] == [3, 3, 3]
    assert face["extras"] == {"targetNames": list(fake_face.EXPRESSIONS)}
    assert {channel["target"]["node"] for channel in tree["animations"][0]["channels"]} == {0}


def test_model_without_expressions_still_moves(tmp_path, mesh):
    clip = make_clip(mesh, num_frames=3)
    clip |= {"morphs_mm": clip["morphs_mm"][:0], "names": (), "weights": clip["weights"][:, :0], "normal_map": None}
    animation.write_animation(tmp_path / "a.glb", mesh, **clip)
    found = read_clip(tmp_path / "a.glb")
    assert found["position_offsets"] == [] and "weights" not in found and len(found["rotation"]) == 3


def test_same_input_same_bytes(tmp_path, mesh):
    clip = make_clip(mesh, num_frames=5)
    for name in "ab":
        animation.write_animation(tmp_path / f"{name}.glb", mesh, **clip)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


@pytest.mark.parametrize("name", ["morphs_mm", "weights", "rotations", "translations_mm", "times_s"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(tmp_path, mesh, name, value):
    clip = make_clip(mesh, num_frames=4)
    clip[name][2] = value
    with pytest.raises(FaceError, match="not finite at row 2"):
        animation.write_animation(tmp_path / "a.glb", mesh, **clip)
    assert list(tmp_path.iterdir()) == []


def test_mesh_that_is_not_finite_is_refused(tmp_path, mesh):
    broken = mesh.vertices_mm.copy()
    broken[7] = np.nan
    clip = make_clip(mesh, num_frames=2)
    with pytest.raises(FaceError, match="vertices are not finite at row 7"):
        animation.write_animation(tmp_path / "a.glb", dataclasses.replace(mesh, vertices_mm=broken), **clip)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"times_s": np.array([0.0, 0.1, 0.1])}, "grow from frame to frame"),
        ({"times_s": np.array([-0.1, 0.0, 0.1])}, "start at 0 s or later"),
        ({"names": ("jawOpen",)}, "3 morph targets need as many names, not 1"),
        ({"rotations": np.stack([np.eye(3), np.diag([1.0, 1.0, -1.0]), np.eye(3)])}, "Frame 1 .* no rotation"),
        ({"rotations": np.stack([np.eye(3), np.eye(3), 1.1 * np.eye(3)])}, "Frame 2 .* no rotation"),
    ],
)
def test_what_no_viewer_plays_is_refused(tmp_path, mesh, changes, sentence):
    with pytest.raises(FaceError, match=sentence):
        animation.write_animation(tmp_path / "a.glb", mesh, **make_clip(mesh, num_frames=3) | changes)


def test_empty_clip_is_refused(tmp_path, mesh):
    with pytest.raises(FaceError, match="without frames"):
        animation.write_animation(tmp_path / "a.glb", mesh, **make_clip(mesh, num_frames=0))


@pytest.mark.slow
@pytest.mark.parametrize("num_frames", [1, 100])
@pytest.mark.parametrize("with_normal_map", [True, False])
@pytest.mark.parametrize("with_parts", [True, False])
def test_khronos_validator_finds_nothing(tmp_path, mesh, num_frames, with_normal_map, with_parts):
    clip = make_clip(mesh, num_frames=num_frames) | ({} if with_normal_map else {"normal_map": None})
    clip["normals"][3] = 0.0
    mesh = fake_face.with_parts(mesh) if with_parts else mesh
    animation.write_animation(tmp_path / "a.glb", mesh, **clip)
    report = gltf.validate(tmp_path / "a.glb")
    assert report["issues"]["messages"] == []
    assert report["info"]["animationCount"] == 1 and report["info"]["hasMorphTargets"]


@pytest.mark.slow
def test_validator_would_notice_a_wrong_quaternion(tmp_path, mesh, monkeypatch):
    quaternions = animation._quaternions
    monkeypatch.setattr(animation, "_quaternions", lambda rotations: 1.1 * quaternions(rotations))
    animation.write_animation(tmp_path / "a.glb", mesh, **make_clip(mesh, num_frames=3))
    assert gltf.validate(tmp_path / "a.glb")["issues"]["numErrors"] > 0
