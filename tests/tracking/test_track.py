"""A whole clip through the tracker: what it leaves, gaps, resuming, refusals. Photos of rendered faces, in order."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import trimesh
from gltf import read_glb
from PIL import Image
from tracking.clips import FRAMES, GAP, MODEL, SETTINGS, SIZE, Told, everything

from jaxface.detection.mediapipe_mesh import MediaPipeDetector
from jaxface.export.expressions import as_arkit
from jaxface.io.images import read_image
from jaxface.io.video import open_clip, read_frames
from jaxface.morphable.default import load_default
from jaxface.tracking import first_pass
from jaxface.tracking.detections import ClipDetections
from jaxface.tracking.outputs import FILES
from jaxface.tracking.threads import Timeline
from jaxface.tracking.track import WORK, track
from jaxface.types import FaceError, Region


def test_all_files_are_there_and_open(result):
    found, folder, _ = result
    frames = {f"frames/{t:06d}.npz" for t in range(FRAMES)}
    assert set(everything(folder)) == set(FILES) | frames
    mean = trimesh.load(folder / "mean.glb")
    assert sum(len(mesh.faces) for mesh in mean.geometry.values()) > 10 * len(MODEL.triangles)
    tree, _ = read_glb(folder / "animation.glb")
    assert tuple(tree["meshes"][0]["extras"]["targetNames"]) == target_names(MODEL)
    assert tree["accessors"][tree["animations"][0]["samplers"][0]["input"]]["count"] == FRAMES
    with open(folder / "tracking.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == list(found.status)
    said = json.loads((folder / "result.json").read_text())
    assert said["model"] == {"name": MODEL.name, "licence": MODEL.licence} and said["detector"] == "told"
    overlay = list(read_frames(open_clip(folder / "overlay.mp4")))
    assert len(overlay) == FRAMES and overlay[0].image.shape[1] == 1024
    assert read_image(folder / "report.png").std() > 0.05


def target_names(model):
    count = len(model.expression_names)
    return as_arkit(model.expression_names, np.zeros((count, 1, 3)), np.zeros((1, count)))[0]


def test_the_person_looks_like_one(result):
    found, folder, _ = result
    corners_mm = found.neutral.vertices_mm.max(axis=0) - found.neutral.vertices_mm.min(axis=0)
    assert np.all(corners_mm > 60.0) and np.all(corners_mm < 300.0)
    assert found.single_identity.shape == (FRAMES, len(found.identity))
    mean = trimesh.load(folder / "mean.ply", process=False)
    base_mm = found.neutral.vertices_mm
    moved_mm = np.abs(np.asarray(mean.vertices)[: len(base_mm)] - base_mm)
    on_face = np.asarray(load_default().vertex_regions) < Region.OUTSIDE
    assert moved_mm[on_face].max() < 6.0  # Loop's rule and the detail
    assert np.asarray(mean.visual.vertex_colors)[:, :3].std() > 5.0


def test_every_frame_keeps_its_numbers(result):
    found, folder, _ = result
    for t in range(FRAMES):
        with np.load(folder / "frames" / f"{t:06d}.npz", allow_pickle=False) as arrays:
            np.testing.assert_allclose(arrays["pose.rotation_vector"], found.pose.rotation_vector[t], atol=1e-6)
            np.testing.assert_allclose(arrays["expression"], found.expression[t], atol=1e-6)
            assert arrays["light"].shape == (9, 3) and np.isfinite(arrays["light"]).all()
            seen = np.isfinite(arrays["height_mm"])
            assert arrays["height_mm"].shape == (SIZE, SIZE) and 0.2 < seen.mean() < 0.9
            assert bool(arrays["counts"]) == (t != GAP)


def test_the_head_turns_as_it_did_and_the_gap_is_bridged(result):
    found, _, _ = result
    yaw = np.asarray(found.pose.rotation_vector)[:, 1]
    turned = np.diff(yaw)
    assert np.all(turned > 0.06) and abs(yaw[-1] - yaw[0] - 0.3) < 0.05
    assert found.status == tuple("bridged" if t == GAP else "ok" for t in range(FRAMES))
    assert found.reason[GAP] == "no face was found" and np.isnan(found.residual_px[GAP])
    assert abs(yaw[GAP] - 0.5 * (yaw[GAP - 1] + yaw[GAP + 1])) < 0.03
    assert np.all(np.asarray(found.expression) >= 0.0) and np.all(np.asarray(found.expression) <= 1.0)


def test_progress_tells_each_step(result):
    _, _, steps = result
    assert list(dict.fromkeys(step for step, _, _ in steps)) == ["look", "bundle", "settle", "refine", "outputs"]
    assert [step[1:] for step in steps if step[0] == "refine"] == [(SETTINGS.chunk, FRAMES), (FRAMES, FRAMES)]
    assert all(done <= total for _, done, total in steps)


def test_running_again_looks_at_nothing_and_changes_nothing(result, clip, monkeypatch):
    found, folder, _ = result
    before = everything(folder)
    monkeypatch.setattr(first_pass, "_look_at", lambda *args: pytest.fail("looked again"))
    again = track(clip, folder, settings=SETTINGS, landmarks=Told(clip))
    assert everything(folder) == before
    np.testing.assert_array_equal(again.identity, found.identity)


@pytest.mark.parametrize(
    "lost",
    [
        ["look/000001.npz", "look/end.npz"],
        ["bundle1/000001.npz", "settle/000000.npz"],
        ["refine/carried.npz", "refine/000001.npz", "texture/filling.npz"],
        ["refine/000000.npz", "refine/carried.npz"],
    ],
)
def test_what_is_lost_is_made_anew_to_the_byte(result, clip, lost):
    """An interrupted run is one whose later chunks are not there yet."""
    _, folder, _ = result
    before = everything(folder)
    for name in [*lost, "../result.json", "../mean.glb"]:
        (folder / WORK / name).unlink()
    track(clip, folder, settings=SETTINGS, landmarks=Told(clip))
    after = everything(folder)
    assert sorted(after) == sorted(before)
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.slow
def test_another_chunk_length_gives_the_same_person(result, clip, tmp_path):
    found, _, _ = result
    settings = dataclasses.replace(SETTINGS, chunk=2)
    other = track(clip, tmp_path / "other", settings=settings, landmarks=Told(clip))
    np.testing.assert_allclose(other.neutral.vertices_mm, found.neutral.vertices_mm, atol=0.1)
    np.testing.assert_allclose(other.pose.rotation_vector, found.pose.rotation_vector, atol=2e-3)


def know(image):
    return []


@pytest.mark.parametrize(
    ("settings", "landmarks", "words"),
    [
        (dataclasses.replace(SETTINGS, size=192), Told, "size.*--overwrite"),
        (dataclasses.replace(SETTINGS, parsing="bisenet"), Told, "bisenet is not installed"),
        (SETTINGS, lambda clip: know, 'landmarks: "told" there, "know" here.*--overwrite'),
        (SETTINGS, lambda clip: None, 'landmarks: "told" there, "mediapipe" here.*--overwrite'),
        (SETTINGS, lambda clip: "points.npy", "by a function of an image, not by str"),
    ],
)
def test_other_settings_and_other_detectors_do_not_go_on(result, clip, settings, landmarks, words):
    with pytest.raises(FaceError, match=words):
        track(clip, result[1], settings=settings, landmarks=landmarks(clip))


def test_mediapipe_finds_the_face_that_the_others_were_told_of(clip):
    pytest.importorskip("mediapipe")
    options = dict(first=0, before_px=None, ordered=True, timeline=Timeline())
    seen = list(ClipDetections(open_clip(clip), detector=MediaPipeDetector(), **options))
    assert [each.reason for each in seen] == ["no face was found" if t == GAP else "" for t in range(FRAMES)]
    (told,) = Told(clip)(seen[0].image)
    present = np.asarray(told.confidence) > 0.0
    away_px = np.linalg.norm(np.asarray(seen[0].landmarks.points_px) - told.points_px, axis=1)[present]
    assert np.median(away_px) < 8.0


def test_a_folder_of_something_else_is_left_alone(clip, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FaceError, match="choose another"):
        track(clip, tmp_path, settings=SETTINGS, landmarks=know)
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]


def test_no_face_at_all(tmp_path):
    folder = tmp_path / "grey"
    folder.mkdir()
    for t in range(2):
        Image.new("RGB", (160, 120), (90, 90, 90)).save(folder / f"{t}.png")
    with pytest.raises(FaceError, match="None of the 2 frames.*no face was found"):
        track(folder, tmp_path / "out", settings=SETTINGS, landmarks=know)
