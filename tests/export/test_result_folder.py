"""The folder of one face, and its overview picture."""

import fake_face
import gltf
import numpy as np
import pytest
from PIL import Image

from jaxface.export import overview, pictures, result_folder
from jaxface.types import FaceError

FILES = {
    "mesh.glb",
    "mesh.obj",
    "mesh.mtl",
    "mesh.png",
    "neutral.ply",
    "coarse.ply",
    "medium.ply",
    "fine.ply",
    "maps",
    "overview.png",
    "result.json",
}


def test_write_all_leaves_the_listed_files_and_nothing_else(tmp_path):
    for _ in range(2):
        result_folder.write_all(tmp_path / "face", fake_face.make_reconstruction())
        assert {path.name for path in (tmp_path / "face").iterdir()} == FILES
        assert [path.name for path in tmp_path.iterdir()] == ["face"]


def read_face(path):
    tree, data = gltf.read_glb(path)
    (primitive,) = tree["meshes"][0]["primitives"]
    corners = gltf.read_accessor(tree, data, primitive["indices"]).reshape(-1, 3)

    def read(place):
        return gltf.read_accessor(tree, data, place)[corners]

    targets = [{name: read(place) for name, place in target.items()} for target in primitive.get("targets", [])]
    return tree, {name: read(place) for name, place in primitive["attributes"].items()}, targets


def test_the_dense_mesh_has_its_own_normals_and_no_relief_twice(tmp_path):
    rec = fake_face.make_reconstruction(fine_normals=-fake_face.dome_normals(fake_face.dome_mesh()))
    rec.save(tmp_path / "face")
    tree, found, targets = read_face(tmp_path / "face" / "mesh.glb")
    np.testing.assert_allclose(found["NORMAL"], rec.fine_normals[rec.fine.triangles], atol=1e-6)
    assert len(tree["images"]) == 1 and "normalTexture" not in tree["materials"][0] and targets == []


def test_the_base_mesh_is_the_medium_one_at_the_weights_of_the_photo(tmp_path):
    rec = fake_face.make_reconstruction()
    rec.save(tmp_path / "face", mesh="base")
    assert {path.name for path in (tmp_path / "face").iterdir()} == FILES
    tree, found, targets = read_face(tmp_path / "face" / "mesh.glb")
    (face,) = tree["meshes"]
    np.testing.assert_allclose(face["weights"], rec.coarse_fit.expression, atol=1e-6)
    assert face["extras"]["targetNames"] == list(fake_face.EXPRESSIONS) and len(tree["images"]) == 2
    shown = found["POSITION"] + sum(w * t["POSITION"] for w, t in zip(face["weights"], targets, strict=True))
    np.testing.assert_allclose(shown, rec.medium.vertices_mm[rec.medium.triangles] / 1000.0, atol=1e-6)
    assert np.abs(found["POSITION"] - shown).max() > 1e-4


def test_no_other_mesh_is_known(tmp_path):
    with pytest.raises(FaceError, match='"dense" or "base"'):
        fake_face.make_reconstruction().save(tmp_path / "face", mesh="coarse")


def test_a_failing_writer_leaves_the_old_result(tmp_path, monkeypatch):
    rec = fake_face.make_reconstruction()
    result_folder.write_all(tmp_path / "face", rec)
    before = (tmp_path / "face" / "mesh.glb").stat().st_mtime_ns

    def full_disk(path, rec):
        raise OSError("No space left on device")

    monkeypatch.setattr(result_folder, "write_result", full_disk)
    with pytest.raises(OSError, match="No space"):
        result_folder.write_all(tmp_path / "face", rec)
    assert (tmp_path / "face" / "mesh.glb").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["face"]


def test_results_are_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        result_folder.write_all(tmp_path / name, fake_face.make_reconstruction())
    for path in sorted((tmp_path / "a").rglob("*.*")):
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.is_dir() or path.read_bytes() == twin.read_bytes(), path.name


def test_overview_shows_each_panel_in_its_place(tmp_path, monkeypatch):
    rec, renders = fake_face.make_reconstruction(), fake_face.make_renders()
    monkeypatch.setattr(overview, "render_shapes", lambda rec: renders)
    overview.write_overview(tmp_path / "o.png", rec)
    with Image.open(tmp_path / "o.png") as picture:
        sheet = np.asarray(picture.convert("RGB"))
    middle = overview.MARGIN + overview.PANEL // 2
    step_x, step_y = overview.PANEL + overview.GAP, overview.PANEL + overview.TEXT + 2 * overview.GAP
    for name, column, row in (("coarse", 2, 0), ("medium", 3, 0), ("phase1", 4, 0), ("fine", 0, 1)):
        expected = pictures.to_bytes(renders[name])[0, 0]
        np.testing.assert_array_equal(sheet[middle + row * step_y, middle + column * step_x], expected)


def test_landmarks_are_drawn_where_they_are():
    rec = fake_face.make_reconstruction()
    plain = np.asarray(overview.landmarks_picture(hide_all(rec)), np.float32)
    drawn = np.asarray(overview.landmarks_picture(rec), np.float32)
    points = (rec.landmarks.points_px - rec.crop.offset_px[None] + 0.5) * overview.PANEL / rec.crop_image.shape[0]
    changed = np.abs(drawn - plain).max(axis=-1) > 20
    y, x = np.nonzero(changed)
    gaps = np.linalg.norm(np.stack([x, y], axis=-1)[:, None] + 0.5 - points[None], axis=-1).min(axis=1)
    assert len(y) > 300 and gaps.max() < 3.0


def hide_all(rec):
    hidden = rec.landmarks._replace(confidence=np.zeros(478, np.float32))
    return fake_face.make_reconstruction(landmarks=hidden)
