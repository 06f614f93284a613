"""The runner compare.py from its command line, with our own shapes and with mesh files against scans; its parts."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxface.evaluation.surfaces import FaceSurface
from jaxface.io.images import read_image
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68, FaceError

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
RUNNER = EXPERIMENTS / "compare.py"
FILES = ["compare.json", "compare.md", "compare.png"]


def run(*arguments):
    command = [sys.executable, str(RUNNER), *map(str, arguments)]
    around = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env=around)


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from figure_study import lineup, mesh_files

    return lineup, mesh_files


def face_of(share, lineup):
    """The mean face and `share` of the first two identity axes."""
    model = load_default()
    vertices_mm = np.asarray(model.mean_mm + 1.5 * share * model.identity_basis_mm[:2].sum(axis=0), np.float64)
    return FaceSurface(vertices_mm, np.asarray(model.triangles), lineup.model_landmarks(vertices_mm, model))


def moved(surface):
    """Elsewhere, turned and twice as large."""
    turn = Rotation.from_euler("xyz", [0.5, -0.8, 0.3]).as_matrix()
    place = [2.0 * points @ turn.T + [40.0, -300.0, 9.0] for points in (surface.vertices_mm, surface.landmarks_mm)]
    return FaceSurface(place[0], surface.triangles, place[1])


def write(path, surface):
    """An OBJ, and its landmarks beside it."""
    vertices = [f"v {x:.5f} {y:.5f} {z:.5f}" for x, y, z in surface.vertices_mm]
    path.write_text("\n".join([*vertices, *(f"f {a} {b} {c}" for a, b, c in surface.triangles + 1)]) + "\n")
    np.save(path.with_suffix(".npy"), surface.landmarks_mm)


def test_files_against_scans(tmp_path, parts):
    lineup, _ = parts
    for name, share in (("anna", 1.0), ("ben", -1.0)):
        (tmp_path / name).mkdir()
        write(tmp_path / f"scan_{name}.obj", face_of(share, lineup))
        write(tmp_path / name / "same.obj", moved(face_of(share, lineup)))
        write(tmp_path / name / "half.obj", face_of(0.5 * share, lineup))
    (tmp_path / "ben" / "half.obj").unlink()
    write(tmp_path / "mean.obj", face_of(0.0, lineup))
    methods = f"same:{tmp_path}/{{}}/same.obj,half:{tmp_path}/{{}}/half.obj,mean:{tmp_path}/mean.obj"
    out = tmp_path / "out"
    ended = run(f"--methods={methods}", f"--scan={tmp_path}/scan_{{}}.obj", "--smoke", f"--output_dir={out}")
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in out.iterdir()) == FILES
    text = (out / FILES[1]).read_text()
    assert text in ended.stdout and "protocol micc-deng2019: " in text and "| anna " in text
    stored = json.loads((out / FILES[0]).read_text())
    assert stored["methods"] == ["same", "half", "mean"]
    assert list(stored["missing"]) == ["ben, half"] and "there is no such mesh" in stored["missing"]["ben, half"]
    for name, judged in stored["faces"].items():
        assert judged["same"]["headline_mm"] < 0.05 < 0.3 < judged["mean"]["headline_mm"] < 5.0, name
        assert judged["same"]["scale"] == pytest.approx(0.5, rel=1e-3)
    assert stored["faces"]["anna"]["half"]["headline_mm"] < 0.7 * stored["faces"]["anna"]["mean"]["headline_mm"]
    assert "half" not in stored["faces"]["ben"]
    picture = read_image(out / FILES[2])
    assert min(picture.shape[:2]) > 300 and np.std(picture) > 0.1


@pytest.mark.slow
def test_our_own_shapes(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES
    stored = json.loads((tmp_path / FILES[0]).read_text())
    names = [f"{preset}, {stage}" for preset in ("paper", "default") for stage in ("coarse", "medium", "fine")]
    assert stored["methods"] == names and stored["missing"] == {}
    (judged,) = stored["faces"].values()
    assert list(judged) == names
    assert all(0.2 < figures["headline_mm"] < 5.0 for figures in judged.values())
    assert judged["default, fine"]["headline_mm"] < judged["paper, fine"]["headline_mm"]
    assert (tmp_path / FILES[1]).read_text() in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--methods=a:nowhere/{}.obj"], "there are no such files"),
        (["--scan=scan.obj"], "--scan goes with --methods"),
    ],
)
def test_mistakes_end_in_one_sentence(tmp_path, arguments, sentence):
    ended = run(*arguments, "--smoke", f"--output_dir={tmp_path / 'out'}")
    assert ended.returncode != 0
    assert sentence in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_methods_have_names_of_their_own(parts):
    _, mesh_files = parts
    assert mesh_files.parse_methods(["a:x/{}.obj", "b:c:/y.obj"]) == {"a": "x/{}.obj", "b": "c:/y.obj"}
    for entries in (["a:x", "a:y"], ["scan:x"], [":x"], ["a:"], ["nobody"]):
        with pytest.raises(FaceError):
            mesh_files.parse_methods(entries)


def test_a_hole_stands_for_one_name_throughout_a_path(tmp_path, parts):
    _, mesh_files = parts
    for place in ("anna/anna.obj", "ben/ben.obj", "ben/other.obj", "carl/dora.obj"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "emil.obj").touch()
    both = f"{tmp_path}/{{}}/{{}}.obj"
    assert mesh_files.faces_of([both]) == ["anna", "ben"]
    assert mesh_files.faces_of([both, f"{tmp_path}/{{}}.obj", "one.obj"]) == ["anna", "ben", "emil"]
    assert mesh_files.faces_of(["one.obj", "two.obj"]) == ["face"]
    with pytest.raises(FaceError, match="there are no such files"):
        mesh_files.faces_of([both, f"{tmp_path}/{{}}.ply"])


def test_every_mesh_comes_to_the_same_place_with_its_outside_out(parts):
    lineup, _ = parts
    stand, surface = lineup.frontal_stand(size=96), face_of(0.0, parts[0])
    inside_out = moved(surface)._replace(triangles=surface.triangles[:, ::-1])
    shown = lineup.pictures(lineup.Row(stand, None, {"as is": surface, "moved": inside_out}, moved(surface)))
    assert list(shown) == ["as is", "moved", "scan"]
    covered = (shown["as is"] < 1.0).any(axis=-1)
    assert 0.3 < covered.mean() < 0.9 and shown["as is"][covered].mean() > 0.3  # seen from behind it is dark
    for name in ("moved", "scan"):
        np.testing.assert_allclose(shown[name], shown["as is"], atol=0.2)
        assert np.abs(shown[name] - shown["as is"]).mean() < 1e-3
    few = np.full((68, 3), np.nan)
    few[:17] = surface.landmarks_mm[:17]
    with pytest.raises(FaceError, match="Fewer than three landmarks"):
        lineup.pictures(lineup.Row(stand, None, {"jaw": surface._replace(landmarks_mm=few)}, None))


def test_landmarks_of_a_model_are_in_ibugs_order(parts):
    lineup, _ = parts
    model = load_default()
    points_mm = lineup.model_landmarks(np.asarray(model.mean_mm), model)
    assert points_mm.shape == (len(IBUG_68), 3) and np.isfinite(points_mm).all()
    assert np.argmax(points_mm[:, 2]) == 30  # the nose's tip
    assert points_mm[36, 0] < points_mm[39, 0] < points_mm[42, 0] < points_mm[45, 0]  # +x is the subject's left
