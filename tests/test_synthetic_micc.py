"""The synthetic data set in MICC's layout: its truth, its videos, and the runner from its command line."""

import csv
import json
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from jaxface.geometry.subdivision import loop_subdivision
from jaxface.io.video import open_clip, read_frames
from jaxface.morphable.default import load_default

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
ENDINGS = ("csv", "json", "md", "png")


@pytest.fixture(scope="module")
def micc():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXPERIMENTS)
        from micc import ablation, build, people, study
        from video_study import film

        yield SimpleNamespace(ablation=ablation, build=build, people=people, study=study, film=film)


def _run(*arguments, timeout):
    command = [sys.executable, str(EXPERIMENTS / "synthetic_micc.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def _check(ended, out, *, videos, variants):
    """The files, and figures that can be."""
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in out.iterdir()) == [f"synthetic_micc.{ending}" for ending in ENDINGS]
    text = (out / "synthetic_micc.md").read_text()
    assert text in ended.stdout and "synthetic, not MICC" in text.splitlines()[0]
    assert "Jin et al." not in text and "1.59" not in text  # no figures on MICC beside synthetic ones
    found = json.loads((out / "synthetic_micc.json").read_text())
    assert (found["used"]["videos"], found["left_out"]) == (videos, [])
    with open(out / "synthetic_micc.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 3 * videos * variants
    for row in rows:
        assert 0.2 < float(row["headline_mm"]) < 6.0 and 2.0 < float(row["normal_degrees"]) < 30.0
        assert 0.8 < float(row["scale"]) < 1.25 and int(row["frames"]) >= 1
    for row in found["protocols"]["micc-deng2019"]["stages"]:
        assert row["cases"] == videos and 0.0 <= row["share"] <= 1.0 and np.isfinite(row["change"])
    return found


@pytest.mark.slow  # the same code runs in test_micc_table1.py
def test_one_subject_from_the_command_line(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    data, out = tmp_path / "data", tmp_path / "out"
    only = ("--models=default", "--presets=default", "--fuse=bundle")
    ended = _run("--smoke", *only, f"--data_dir={data}", f"--output_dir={out}", timeout=600)
    _check(ended, out, videos=3, variants=1)
    assert sorted(path.name for path in (data / "subject_01/Video").iterdir()) == [
        "Indoor-Cooperative.avi", "PTZ-Indoor.mpg", "PTZ-Outdoor.mjpg",
    ]  # fmt: skip


@pytest.mark.slow
def test_both_worlds_and_all_variants_from_the_command_line(tmp_path, reference_data):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    out = tmp_path / "out"
    ended = _run(
        "--smoke", "--subjects=2", "--models=default", f"--data_dir={tmp_path / 'data'}", f"--output_dir={out}",
        f"--ict_dir={reference_data / 'ict-facekit.tar.xz'}", timeout=3000,
    )  # fmt: skip
    found = _check(ended, out, videos=6, variants=3)
    compared = {(row["variant"], row["other"]) for row in found["protocols"]["micc-deng2019"]["variants"]}
    assert compared == {("bundle", "mean"), ("bundle", "bundle, paper preset")}


def test_a_folder_with_something_else_stays_as_it_is(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    ended = _run("--smoke", f"--data_dir={tmp_path}", f"--work_dir={tmp_path}", f"--output_dir={tmp_path}", timeout=300)
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "holds something other than a result" in ended.stdout + ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_scan_is_the_true_face_pitched_and_placed(micc):
    actor = micc.film.default_actor(seed=3, levels=0)
    vertices, triangles, landmarks = micc.build.scan(actor, seed=3)
    true = np.asarray(actor.shapes_mm({})[1], np.float64)
    chin, bridge, tip = landmarks[8], landmarks[27], landmarks[30]
    up = (bridge - chin) / np.linalg.norm(bridge - chin)
    assert np.degrees(np.arctan2(up[2], up[1])) == pytest.approx(36.0, abs=15.0) and tip[2] > 400.0
    own = true[np.asarray(actor.head.landmarks.corners)[:, 0]]
    assert np.isfinite(landmarks).all() and len(own) >= 68
    edges = np.linalg.norm(np.diff(landmarks, axis=0), axis=1)
    placed = dict(zip(np.asarray(actor.head.landmarks.rows).tolist(), range(len(own)), strict=True))
    points = np.sum(
        np.asarray(actor.head.landmarks.weights)[..., None] * true[np.asarray(actor.head.landmarks.corners)], axis=1
    )[[placed[number] for number in micc.build.IBUG_68]]
    assert edges == pytest.approx(np.linalg.norm(np.diff(points, axis=0), axis=1), abs=1e-3)  # moved rigidly
    assert len(vertices) < len(true) and triangles.max() == len(vertices) - 1  # eyes and mouth are open
    assert np.ptp(vertices, axis=0)[0] > 130.0


def test_the_scanner_sees_no_insides(micc):
    """A wall with a cup in it, as deep as a nostril: the wall and the cup's rim are seen, its floor is not."""
    across, down = np.meshgrid(np.arange(-40.0, 41.0, 2.0), np.arange(-40.0, 41.0, 2.0))
    inside = np.hypot(across, down) < 5.0
    vertices = np.stack([across, -down, np.where(inside, -25.0, 0.0)], axis=-1).reshape(-1, 3)
    corner = np.arange(41 * 41).reshape(41, 41)[:-1, :-1].reshape(-1)
    upper, lower = [corner, corner + 41, corner + 1], [corner + 1, corner + 41, corner + 42]
    triangles = np.concatenate([np.stack(corners, axis=1) for corners in (upper, lower)])
    roof = np.array([[-6.0, -6.0, 0.5], [6.0, -6.0, 0.5], [6.0, 6.0, 0.5], [-6.0, 6.0, 0.5]])
    number = len(vertices)
    roofed = np.concatenate([triangles, [[number, number + 1, number + 2], [number, number + 2, number + 3]]])
    seen = micc.build.seen_by_scanner(np.concatenate([vertices, roof]), roofed)
    assert not seen[:number][inside.reshape(-1)].any() and seen[number:].all()
    assert seen[:number][~inside.reshape(-1)].mean() > 0.97
    assert micc.build.seen_by_scanner(vertices, triangles).mean() > 0.99  # open, the cup is seen


def test_triangles_go_back_one_level(micc):
    triangles = np.asarray(load_default().triangles)
    number = int(triangles.max()) + 1
    fine = {
        levels: np.asarray(loop_subdivision(triangles, num_vertices=number, levels=levels).triangles)
        for levels in (1, 2)
    }
    assert (micc.build.one_level_up(fine[2]) == fine[1]).all()
    assert (micc.build.one_level_up(fine[1]) == triangles).all()


def test_conditions_differ_as_they_should(micc):
    scripts = {name: micc.build.script(each, num_frames=5, index=0) for name, each in micc.build.FILMINGS.items()}
    yaw = {name: np.degrees(np.abs(each.turns[:, 0]).max()) for name, each in scripts.items()}
    assert yaw["cooperative"] < yaw["indoor"] < yaw["outdoor"] <= 25.0
    assert scripts["indoor"].growth.max() < 0.6 * scripts["cooperative"].growth.min()
    direct = {name: np.linalg.norm(each.light[0, 1:4]) / each.light[0, 0].mean() for name, each in scripts.items()}
    assert direct["outdoor"] > 1.5 * direct["cooperative"]
    assert 0.0 < max(rows.max() for rows in scripts["outdoor"].weights.values()) < 0.3  # nearly at rest


def test_videos_are_read_back_blurred_and_compressed_as_said(micc, tmp_path):
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 255, (24, 24), dtype=np.uint8))  # chroma is halved whatever the quantiser
    smooth = grey.resize((192, 192), Image.BICUBIC).convert("RGB")
    away = {}
    for name, filming in micc.build.FILMINGS.items():
        path = tmp_path / f"clip{filming.suffix}"
        micc.build.write_video(path, [smooth] * 4, filming)
        clip = open_clip(path)
        frames = [each.image for each in read_frames(clip)]
        assert clip.num_frames == len(frames) == 4 and frames[0].shape == (192, 192, 3)
        away[name] = np.abs(frames[-1].astype(float) - np.asarray(smooth)).mean()
    assert away["cooperative"] < 3.0 and away["indoor"] > 2.0 * away["cooperative"]


def test_shares_count_the_cases_that_are_no_worse(micc):
    def case(subject, condition, fuse, coarse, medium, fine):
        stages = {"coarse": coarse, "medium": medium, "fine": fine}
        errors = {stage: {"headline_mm": value, "normal_degrees": 10.0 - value} for stage, value in stages.items()}
        return micc.study.Case(subject, condition, micc.people.Variant(fuse=fuse), {"ok": 1}, {"p": errors}, ())

    cases = [
        case("a", "cooperative", "bundle", 3.0, 2.0, 1.0),
        case("a", "indoor", "bundle", 2.0, 2.0, 3.0),
        case("a", "cooperative", "mean", 3.0, 3.0, 2.0),
        case("a", "indoor", "mean", 3.0, 3.0, 2.5),
    ]
    rows = {
        (row["fuse"], row["figure"], row["after"], row["before"]): row for row in micc.ablation.stage_rows(cases, "p")
    }
    fine = rows["bundle", "headline_mm", "fine", "medium"]
    assert (fine["share"], fine["shares"], fine["change"]) == (0.5, {"cooperative": 1.0, "indoor": 0.0}, 0.0)
    assert rows["bundle", "headline_mm", "medium", "coarse"]["share"] == 1.0  # equal is no worse
    assert rows["bundle", "headline_mm", "medium", "coarse"]["equal"] == 0.5
    assert rows["mean", "normal_degrees", "fine", "coarse"]["share"] == 0.0
    distance, normals = micc.ablation.variant_rows(cases, "p")
    assert distance["share"] == 0.5 and distance["change"] == pytest.approx(-0.25) == -normals["change"]
    lines = micc.ablation.lines(micc.study.Study(cases, [], 1), "p")
    assert any(line.startswith("| bundle <= mean") and "50 %" in line for line in lines)
