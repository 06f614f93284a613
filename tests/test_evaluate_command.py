"""`jaxface evaluate`: known errors come out, every result names its protocol, one sentence a mistake."""

import inspect
import json
import os

import numpy as np
import pytest
import trimesh
from face_mask import face_mask
from PIL import Image
from scipy.spatial.transform import Rotation

from jaxface import __main__ as cli
from jaxface import commands, evaluate_commands
from jaxface.evaluation.protocols import PROTOCOLS
from jaxface.models import mesh_landmarks
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.types import IBUG_68

SHIFT_MM = np.array([[30.0, -500.0, 90.0]])
TURN = Rotation.from_euler("xy", [0.63, 0.1]).as_matrix()


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "_keep_compiled_code", lambda: None)
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


PLACES = np.asarray(face_mask().ibug_vertices).tolist()


def default_face() -> tuple[np.ndarray, np.ndarray]:
    model = face_mask()
    return np.asarray(model.mean_mm, np.float64), np.asarray(model.triangles)


def save(name: str, vertices, triangles, *, landmarks=None) -> None:
    """A mesh file and, if given, a landmark file of the same name beside it."""
    shape = trimesh.Trimesh(vertices, triangles, process=False) if len(triangles) else trimesh.PointCloud(vertices)
    shape.export(name)
    if landmarks is not None:
        np.save(os.path.splitext(name)[0] + ".npy", landmarks)


def save_pair(*, scale: float = 0.8, unit: float = 1.0) -> None:
    """A face as prediction, and as scan moved by a similarity, both with their landmarks."""
    vertices_mm, triangles = default_face()
    places = PLACES
    moved = unit * (scale * vertices_mm @ TURN.T + SHIFT_MM)
    save("prediction.ply", vertices_mm, triangles, landmarks=vertices_mm[places])
    save("scan.obj", moved, triangles, landmarks=moved[places][17:])


def run(*arguments: str) -> int:
    return cli.main(["evaluate", *arguments])


def report(name: str = "out") -> dict:
    with open(f"{name}/evaluation.json", encoding="utf-8") as file:
        return json.load(file)


def test_a_moved_copy_has_no_error_and_all_files_are_there(folder, capsys):
    save_pair()
    assert run("prediction.ply", "scan.obj", "--output_dir=here") == 0
    assert sorted(os.listdir("here")) == sorted(evaluate_commands.FILES)
    found, text = report("here"), PROTOCOLS["micc-deng2019"].text
    assert found["protocol"] == {"name": "micc-deng2019", "text": text}
    assert found["headline_mm"] == found["figures"]["rmse_mm"] < 1e-3
    assert found["similarity"]["scale"] == pytest.approx(0.8, abs=1e-4)
    np.testing.assert_allclose(found["similarity"]["rotation"], TURN, atol=1e-4)
    vertices_mm, triangles = default_face()
    assert found["prediction"]["vertices"] == len(vertices_mm) and found["scan"]["triangles"] == len(triangles)
    assert found["scan"]["landmarks"] == {"from": "scan.npy", "known": 51}
    out, err = capsys.readouterr()
    assert text in out and "scan.npy" in out and "error_map.png" in out and "rmse_mm" in out and err == ""
    with Image.open("here/error_map.png") as picture:
        assert picture.format == "PNG"


def test_the_map_colours_the_scan_where_it_was_judged():
    save_pair(scale=1.0)
    assert run("prediction.ply", "scan.obj") == 0
    vertices_mm, triangles = default_face()
    plain = trimesh.load("out/error_map.ply", process=False)
    (packed,) = trimesh.load("out/error_map.glb", process=False).geometry.values()
    np.testing.assert_allclose(plain.vertices, vertices_mm @ TURN.T + SHIFT_MM, atol=1e-3)
    np.testing.assert_allclose(1000.0 * packed.vertices, plain.vertices, atol=1e-3)
    np.testing.assert_array_equal(plain.faces, triangles)
    colours = np.asarray(plain.visual.vertex_colors)[:, :3].astype(int)
    is_grey = np.ptp(colours, axis=1) == 0
    assert (~is_grey).sum() == report()["figures"]["num_points"]
    far = np.linalg.norm(vertices_mm - vertices_mm[PLACES[30]], axis=1) > 95.5
    assert far.any() and is_grey[far].all()


def ball(radius_mm: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sphere with eyes, nose and mouth: it can neither move nor turn to hide an offset along its normals."""
    shape = trimesh.creation.icosphere(subdivisions=4, radius=radius_mm)
    directions = {36: (-0.7, 0.3, 0.6), 39: (-0.3, 0.3, 0.9), 42: (0.3, 0.3, 0.9), 45: (0.7, 0.3, 0.6)}
    directions |= {30: (0.0, 0.0, 1.0), 33: (0.0, -0.2, 0.98), 48: (-0.4, -0.5, 0.8), 54: (0.4, -0.5, 0.8)}
    landmarks = np.full((68, 3), np.nan)
    for place, direction in directions.items():
        landmarks[place] = radius_mm * np.array(direction) / np.linalg.norm(direction)
    return np.asarray(shape.vertices), np.asarray(shape.faces), landmarks


@pytest.mark.parametrize(("arguments", "error_mm"), [(("--scale=rigid",), 1.0), ((), 0.0)])
def test_a_known_offset_along_the_normals_is_the_error(arguments, error_mm, capsys):
    for name, radius_mm in (("prediction.ply", 45.0), ("scan.ply", 46.0)):
        vertices_mm, triangles, landmarks_mm = ball(radius_mm)
        save(name, vertices_mm, triangles, landmarks=landmarks_mm)
    assert run("prediction.ply", "scan.ply", "--protocol=micc-ganfit", *arguments) == 0
    found = report()
    assert found["headline_mm"] == pytest.approx(error_mm, abs=0.02)
    assert found["figures"]["num_points"] == len(ball(46.0)[0])
    assert ("scale=rigid" in found["protocol"]["name"]) == bool(arguments)
    assert found["protocol"]["text"] in capsys.readouterr().out


def test_our_own_results_bring_their_landmarks(folder):
    save_pair()
    model = load_default()
    whole_mm, triangles = np.asarray(model.mean_mm, np.float64), np.asarray(model.triangles)
    marks_mm = np.asarray(landmark_positions(model.mean_mm, model=model))[list(IBUG_68)]
    save("prediction.ply", whole_mm, triangles, landmarks=marks_mm)
    save("scan.obj", 0.8 * whole_mm @ TURN.T + SHIFT_MM, triangles, landmarks=(0.8 * marks_mm @ TURN.T + SHIFT_MM)[17:])
    for name in ("out/face/medium.ply", "plain/medium.ply"):
        (folder / name).parent.mkdir(parents=True)
        os.link("prediction.ply", name)
    (folder / "out/face/result.json").write_text('{"model": {"name": "default"}}')
    assert run("out/face/medium.ply", "scan.obj", "--output_dir=out/error") == 0
    found = report("out/error")
    assert found["prediction"]["landmarks"]["from"] == "the face model default" and found["headline_mm"] < 1e-3
    assert run("plain/medium.ply", "scan.obj", "--prediction_landmarks=prediction.npy", "--quiet") == 0
    assert report()["prediction"]["landmarks"]["from"] == "prediction.npy"


def test_faces_without_landmarks_are_looked_at(monkeypatch, capsys):
    from jaxface.models import scan_landmarks

    vertices_mm, _ = default_face()
    truth = np.where(np.arange(68)[:, None] < 17, np.nan, vertices_mm[PLACES])
    monkeypatch.setattr(scan_landmarks, "find_landmarks", lambda vertices_mm, triangles, *, detect: truth + SHIFT_MM)
    save_pair()
    save("bare.ply", vertices_mm + SHIFT_MM, default_face()[1])
    assert run("prediction.ply", "bare.ply") == 0
    assert report()["scan"]["landmarks"] == {"from": mesh_landmarks.DETECTED, "known": 51}
    assert "MediaPipe" in capsys.readouterr().out and report()["headline_mm"] < 1e-3


def test_units_are_brought_to_millimetres():
    save_pair(unit=0.001)
    assert run("prediction.ply", "scan.obj", "--scan_unit=m") == 0
    assert report()["similarity"]["scale"] == pytest.approx(0.8, abs=1e-4)


def test_a_cloud_of_points_with_landmarks_is_a_scan():
    save_pair()
    vertices_mm, triangles = default_face()
    save("cloud.ply", vertices_mm + SHIFT_MM, triangles[:0], landmarks=vertices_mm[PLACES] + SHIFT_MM)
    assert run("prediction.ply", "cloud.ply") == 0
    assert report()["headline_mm"] < 1e-3 and report()["figures"]["normal_degrees"] is None
    assert len(trimesh.load("out/error_map.ply").vertices) == len(vertices_mm)


def test_quiet_prints_errors_only(capsys):
    save_pair()
    assert run("prediction.ply", "scan.obj", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert run("prediction.ply", "none.obj", "--quiet") == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("jaxface: evaluate: none.obj: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.obj", b"", "a.obj: the file is empty"),
        ("a.obj", b"no mesh", "a.obj: it has no vertices"),
        ("a.obj", b"v nan 0 0\n", "a.obj: 1 of its 1 vertices are not finite"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 99999999\nend_header\n", "promises 99999999 entries"),
        ("a.docx", b"v 0 0 0\n", "must end in"),
        ("folder", None, "folder: this is a folder"),
        ("cloud.obj", b"v 0 0 0\nv 9 0 0\nv 0 9 0\n", "(--scan_landmarks)"),
    ],
)
def test_bad_scans_get_one_sentence(folder, capsys, name, content, words):
    save_pair()
    if content is None:
        (folder / name).mkdir()
    else:
        (folder / name).write_bytes(content)
    check_sentence(capsys, words, "prediction.ply", name)
    assert os.listdir("out") == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"1 2 3\n4 5 6\n", "a.txt: Landmarks must be iBUG's 68 points"),
        ("a.txt", b"1 2\n", "a.txt: landmarks must be rows of x y z"),
        ("a.npy", b"\x80\x04K\x01.", "a.npy: it holds no landmarks"),
        ("a.pp", b'<!DOCTYPE p [<!ENTITY a "b">]><p/>', "declares XML entities"),
    ],
)
@pytest.mark.parametrize("role", ["prediction", "scan"])
def test_bad_landmarks_get_one_sentence(folder, capsys, role, name, content, words):
    save_pair()
    (folder / name).write_bytes(content)
    check_sentence(capsys, words, "prediction.ply", "scan.obj", f"--{role}_landmarks={name}")


def test_wrong_units_are_noticed(capsys):
    save_pair(unit=0.001)
    check_sentence(capsys, "--scan_unit", "prediction.ply", "scan.obj")


def check_sentence(capsys, words: str, *arguments: str) -> None:
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("jaxface: evaluate: ") and err.count("\n") == 1
    assert words in err and "Error" not in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "two meshes"),
        (["a.obj"], "two meshes"),
        (["a.obj", "b.obj", "c.obj"], "two meshes"),
        (["a.obj", "b.obj", "--protocol=mine"], "--protocol: There is no protocol 'mine'"),
        (["a.obj", "b.obj", "--protocol=realy"], "--protocol: The protocol realy is not offered"),
        (["a.obj", "b.obj", "--scan_landmarks=none.txt"], "--scan_landmarks: there is no file none.txt"),
        (["a.obj", "b.obj", "--prediction_unit=inch"], "prediction_unit"),
        (["a.obj", "b.obj", "--output_dir=/proc/none"], "--output_dir"),
    ],
)
def test_wrong_use_exits_2(capsys, arguments, words):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1 and not os.path.exists("out")


def test_help_names_every_protocol(capsys):
    assert cli.main(["help", "evaluate"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in PROTOCOLS) and "--scan_landmarks" in text


def test_the_real_search_takes_what_the_command_gives():
    from jaxface.models import scan_landmarks

    assert list(inspect.signature(scan_landmarks.find_landmarks).parameters)[2:] == ["detect"]
