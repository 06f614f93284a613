"""Parts of medium_vs_coarse.py, multi_scale.py and compare.py."""

import json
import types

import numpy as np
import pytest
from figure_study import lineup, mesh_files, scales, two_shapes
from scipy.spatial.transform import Rotation

from jaxface.evaluation.surfaces import FaceSurface
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68, FaceError

STAGES = ["medium", "fine, phase 1", "fine, phase 2"]


def test_summary_counts_the_cases_in_which_medium_is_lower():
    def record(preset, coarse, medium, kept):
        stages = {"coarse": coarse, "medium": medium}
        metrics = {stage: {"normal_degrees": value, "rmse_mm": 0.1 * value} for stage, value in stages.items()}
        return {"case": "", "landmarks": "true", "preset": preset, "kept": kept, **metrics}

    records = [record("paper", 4.0, 6.0, False), record("default", 4.0, 3.0, True), record("default", 6.0, 7.0, False)]
    paper, default = two_shapes.summarise(records)
    assert (paper["cases"], paper["kept_share"], paper["normal_degrees"]["lower_share"]) == (1, 0.0, 0.0)
    assert (default["cases"], default["kept_share"]) == (2, 0.5)
    assert default["normal_degrees"] == {"coarse": 5.0, "medium": 5.0, "lower_share": 0.5}
    assert default["rmse_mm"]["coarse"] == pytest.approx(0.5)


def test_summary_compares_each_stage_with_the_one_before():
    def record(*degrees):
        return {"preset": "default", "stages": {t: {"normal_degrees": d} for t, d in zip(STAGES, degrees, strict=True)}}

    rows = scales.summarise([record(8.0, 7.0, 7.5), record(6.0, 5.0, 4.5)])
    assert [row["stage"] for row in rows] == STAGES
    assert [row["normal_degrees"] for row in rows] == [7.0, 6.0, 6.0]
    assert "lower_share" not in rows[0] and [row["lower_share"] for row in rows[1:]] == [1.0, 0.5]


def test_close_ups_go_where_the_normals_turned():
    size = 100
    y, x = np.mgrid[:size, :size]
    medium = np.zeros((size, size), np.float32)
    normals = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (size, size, 1))
    normals[(abs(y - 30) < 8) & (abs(x - 62) < 8)] = (0.6, 0.0, 0.8)
    hidden = (abs(y - 70) < 20) & (abs(x - 30) < 20)
    normals[hidden] = (0.0, 0.6, 0.8)
    maps = types.SimpleNamespace(medium_height_px=medium, normals_image=normals, confidence=1.0 - hidden)
    window = scales.busiest(types.SimpleNamespace(maps=maps))
    assert window.side == 30
    assert window.left <= 54 and window.left + 30 >= 70 and window.top <= 22 and window.top + 30 >= 38
    assert 0 <= window.left <= size - 30 and 0 <= window.top <= size - 30


def face_of(share):
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


def test_files_against_scans(tmp_path, run_main):
    for name, share in (("anna", 1.0), ("ben", -1.0)):
        (tmp_path / name).mkdir()
        write(tmp_path / f"scan_{name}.obj", face_of(share))
        write(tmp_path / name / "same.obj", moved(face_of(share)))
        write(tmp_path / name / "half.obj", face_of(0.5 * share))
    (tmp_path / "ben" / "half.obj").unlink()
    write(tmp_path / "mean.obj", face_of(0.0))
    methods = f"same:{tmp_path}/{{}}/same.obj,half:{tmp_path}/{{}}/half.obj,mean:{tmp_path}/mean.obj"
    out = tmp_path / "out"
    run_main("compare", f"--methods={methods}", f"--scan={tmp_path}/scan_{{}}.obj", "--smoke", f"--output_dir={out}")
    stored = json.loads((out / "compare.json").read_text())
    assert stored["methods"] == ["same", "half", "mean"]
    assert list(stored["missing"]) == ["ben, half"] and "there is no such mesh" in stored["missing"]["ben, half"]
    for name, judged in stored["faces"].items():
        assert judged["same"]["headline_mm"] < 0.05 < 0.3 < judged["mean"]["headline_mm"] < 5.0, name
        assert judged["same"]["scale"] == pytest.approx(0.5, rel=1e-3)
    assert stored["faces"]["anna"]["half"]["headline_mm"] < 0.7 * stored["faces"]["anna"]["mean"]["headline_mm"]
    assert "half" not in stored["faces"]["ben"]


def test_methods_have_names_of_their_own():
    assert mesh_files.parse_methods(["a:x/{}.obj", "b:c:/y.obj"]) == {"a": "x/{}.obj", "b": "c:/y.obj"}
    for entries in (["a:x", "a:y"], ["scan:x"], [":x"], ["a:"], ["nobody"]):
        with pytest.raises(FaceError):
            mesh_files.parse_methods(entries)


def test_a_hole_stands_for_one_name_throughout_a_path(tmp_path):
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


def test_every_mesh_comes_to_the_same_place_with_its_outside_out():
    stand, surface = lineup.frontal_stand(size=96), face_of(0.0)
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


def test_landmarks_of_a_model_are_in_ibugs_order():
    model = load_default()
    points_mm = lineup.model_landmarks(np.asarray(model.mean_mm), model)
    assert points_mm.shape == (len(IBUG_68), 3) and np.isfinite(points_mm).all()
    assert np.argmax(points_mm[:, 2]) == 30  # the nose's tip
    assert points_mm[36, 0] < points_mm[39, 0] < points_mm[42, 0] < points_mm[45, 0]  # +x is the subject's left
