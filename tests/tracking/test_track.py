"""A whole clip through the tracker: what it leaves, gaps, resuming, refusals. Photos of rendered faces, in order."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import trimesh
from gltf import read_glb
from PIL import Image

from jaxface.io.images import read_image
from jaxface.io.video import open_clip, read_frames
from jaxface.morphable.default import load_default
from jaxface.synthetic import FaceSettings, preset_light, synthetic_face
from jaxface.tracking import first_pass
from jaxface.tracking.outputs import FILES, arkit_names
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.track import WORK, track
from jaxface.types import FaceError

pytest.importorskip("mediapipe", reason="the tracker needs landmarks")

FRAMES, GAP, SIZE = 6, 3, 128
SETTINGS = TrackSettings(size=SIZE, chunk=4)
MODEL = load_default()


def _face(t, light):
    settings = FaceSettings(off_basis_mm=0.3)
    yaw = jnp.float32(0.1 * (t - 2))
    return synthetic_face(jax.random.key(7), model=MODEL, size=224, yaw=yaw, light=light, levels=1, settings=settings)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Six frames of a turning head; in one of them the lens is covered."""
    folder, light = tmp_path_factory.mktemp("clip") / "turning", preset_light("soft")
    folder.mkdir()
    for t in range(FRAMES):
        face = _face(t, light)
        pixels = np.round(255.0 * np.asarray(face.image)).astype(np.uint8)
        TRUTH[pixels.tobytes()] = face.landmarks
        Image.fromarray(pixels * (t != GAP)).save(folder / f"frame{t}.png")
    return folder


TRUTH = {}


def know(image):
    """A detector that was told."""
    return [TRUTH[image.tobytes()]] if image.tobytes() in TRUTH else []


@pytest.fixture(scope="session")
def result(clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracked") / "turning"
    steps = []
    found = track(clip, folder, settings=SETTINGS, progress=lambda *args: steps.append(args))
    return found, folder, steps


def everything(folder):
    """All files of a result but the journal's, by name."""
    files = [file for file in folder.rglob("*") if file.is_file() and WORK not in file.parts]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_all_files_are_there_and_open(result):
    found, folder, _ = result
    frames = {f"frames/{t:06d}.npz" for t in range(FRAMES)}
    assert set(everything(folder)) == set(FILES) | frames
    mean = trimesh.load(folder / "mean.glb")
    assert sum(len(mesh.faces) for mesh in mean.geometry.values()) > 10 * len(MODEL.triangles)
    tree, _ = read_glb(folder / "animation.glb")
    assert tuple(tree["meshes"][0]["extras"]["targetNames"]) == arkit_names(MODEL.expression_names)
    assert tree["accessors"][tree["animations"][0]["samplers"][0]["input"]]["count"] == FRAMES
    with open(folder / "tracking.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == list(found.status)
    said = json.loads((folder / "result.json").read_text())
    assert said["model"] == {"name": MODEL.name, "licence": MODEL.licence}
    overlay = list(read_frames(open_clip(folder / "overlay.mp4")))
    assert len(overlay) == FRAMES and overlay[0].image.shape[1] == 1024
    assert read_image(folder / "report.png").std() > 0.05


def test_the_person_looks_like_one(result):
    found, folder, _ = result
    corners_mm = found.neutral.vertices_mm.max(axis=0) - found.neutral.vertices_mm.min(axis=0)
    assert np.all(corners_mm > 60.0) and np.all(corners_mm < 300.0)
    assert found.single_identity.shape == (FRAMES, len(found.identity))
    mean = trimesh.load(folder / "mean.ply", process=False)
    base_mm = found.neutral.vertices_mm
    assert np.abs(np.asarray(mean.vertices)[: len(base_mm)] - base_mm).max() < 6.0  # Loop's rule and the detail
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
    assert np.all(turned > 0.03) and abs(yaw[-1] - yaw[0] - 0.5) < 0.12
    assert found.status == tuple("bridged" if t == GAP else "ok" for t in range(FRAMES))
    assert found.reason[GAP] == "no face was found" and np.isnan(found.residual_px[GAP])
    assert abs(yaw[GAP] - 0.5 * (yaw[GAP - 1] + yaw[GAP + 1])) < 0.03
    assert np.all(np.asarray(found.expression) >= 0.0) and np.all(np.asarray(found.expression) <= 1.0)


def test_progress_tells_each_step(result):
    _, _, steps = result
    assert list(dict.fromkeys(step for step, _, _ in steps)) == ["look", "bundle", "settle", "refine", "outputs"]
    assert [step[1:] for step in steps if step[0] == "refine"] == [(4, FRAMES), (FRAMES, FRAMES)]
    assert all(done <= total for _, done, total in steps)


def test_running_again_looks_at_nothing_and_changes_nothing(result, clip, monkeypatch):
    found, folder, _ = result
    before = everything(folder)
    monkeypatch.setattr(first_pass, "_look_at", lambda *args: pytest.fail("looked again"))
    again = track(clip, folder, settings=SETTINGS)
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
    track(clip, folder, settings=SETTINGS)
    after = everything(folder)
    assert sorted(after) == sorted(before)
    assert [name for name in before if before[name] != after[name]] == []


@pytest.mark.slow
def test_another_chunk_length_gives_the_same_person(result, clip, tmp_path):
    found, _, _ = result
    other = track(clip, tmp_path / "other", settings=dataclasses.replace(SETTINGS, chunk=3, smooth=1.0))
    np.testing.assert_allclose(other.neutral.vertices_mm, found.neutral.vertices_mm, atol=0.1)
    np.testing.assert_allclose(other.pose.rotation_vector, found.pose.rotation_vector, atol=2e-3)


def test_other_settings_do_not_mix(result, clip):
    _, folder, _ = result
    with pytest.raises(FaceError, match="size.*--overwrite"):
        track(clip, folder, settings=dataclasses.replace(SETTINGS, size=192))


def test_any_function_of_an_image_is_a_detector_but_another_does_not_go_on(result, clip, tmp_path):
    found = track(clip, tmp_path, settings=SETTINGS, landmarks=know)
    assert found.status == result[0].status and found.reason[GAP] == "no face was found"
    assert abs(found.pose.rotation_vector[-1, 1] - found.pose.rotation_vector[0, 1] - 0.5) < 0.06
    assert track(clip, tmp_path, settings=SETTINGS, landmarks=know).status == found.status
    with pytest.raises(FaceError, match='landmarks: "know" there, "mediapipe" here.*--overwrite'):
        track(clip, tmp_path, settings=SETTINGS)
    with pytest.raises(FaceError, match="by a function of an image, not by str"):
        track(clip, tmp_path, settings=SETTINGS, landmarks="points.npy")


def test_a_folder_of_something_else_is_left_alone(clip, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FaceError, match="choose another"):
        track(clip, tmp_path, settings=SETTINGS)
    assert [file.name for file in tmp_path.iterdir()] == ["precious.txt"]


def test_no_face_at_all(tmp_path):
    folder = tmp_path / "grey"
    folder.mkdir()
    for t in range(2):
        Image.new("RGB", (160, 120), (90, 90, 90)).save(folder / f"{t}.png")
    with pytest.raises(FaceError, match="None of the 2 frames"):
        track(folder, tmp_path / "out", settings=SETTINGS)


def test_photos_in_no_order_are_neither_bridged_nor_steadied(clip, tmp_path):
    found = track(clip, tmp_path / "out", settings=dataclasses.replace(SETTINGS, ordered=False, fuse="mean"))
    assert found.status[GAP] == "lost" and found.jitter == {}
    good = [t for t in range(FRAMES) if t != GAP]
    np.testing.assert_array_equal(found.pose.rotation_vector, found.raw_pose.rotation_vector)
    np.testing.assert_allclose(found.identity, found.single_identity[good].mean(axis=0), atol=1e-5)
