"""Parts of micc_table1.py and synthetic_micc.py: data sets in MICC's layout, broken and synthetic."""

import csv
import json
from types import SimpleNamespace

import micc_layout
import numpy as np
import pytest
from micc import ablation, build, dataset, people, study, table
from PIL import Image
from video_study import film

from jaxface.evaluation.protocols import PROTOCOLS
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.geometry.subdivision import loop_subdivision
from jaxface.io.video import open_clip, read_frames
from jaxface.morphable.default import load_default
from jaxface.types import FaceError

DENG = PROTOCOLS["micc-deng2019"]
micc = SimpleNamespace(
    ablation=ablation, build=build, dataset=dataset, people=people, study=study, table=table, film=film
)


def _bodies(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_what_is_broken_is_told_and_the_rest_is_counted(tmp_path, monkeypatch, run_main):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    data, work, out = micc_layout.make(tmp_path), tmp_path / "work", tmp_path / "out"
    run_main(
        "micc_table1", f"--micc_dir={data}", f"--landmarks_dir={tmp_path / 'landmarks'}", f"--work_dir={work}",
        f"--output_dir={out}", "--smoke", "--fuse=bundle", "--protocols=micc-deng2019,now",
    )  # fmt: skip
    text, found = (out / "micc_table1.md").read_text(), json.loads((out / "micc_table1.json").read_text())
    assert found["used"] == {"subjects": 1, "of_subjects": 3, "videos": 1, "frames": 3, "of_frames": 3}
    whose = ("subject_01, cooperative:", "subject_01, indoor, is", "subject_02: it is empty", "subject_03_frontal1 is")
    for start in whose:  # one sentence each
        (sentence,) = [line for line in found["left_out"] if line.startswith(start)]
        assert f"- {sentence}" in text and "\n" not in sentence
    with open(out / "micc_table1.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["protocol"], row["stage"]) for row in rows] == [
        (protocol, stage) for protocol in ("micc-deng2019", "now") for stage in micc.people.STAGES
    ]
    for row in rows:
        assert row["subject"] == "subject_01" and row["condition"] == "outdoor" and row["scan"] == "subject_01_frontal1"
        assert 0.2 < float(row["headline_mm"]) < 10.0  # Grace Hopper is not the mean face, but a face
    deng, now = text.split("## Protocol ")[1:]
    assert "Jin et al. 2021, as printed" in deng and "cited" not in now  # whose protocol it is not
    _check_resumption(data, tmp_path / "landmarks", work, monkeypatch, rows)


def _check_resumption(data, landmarks, work, monkeypatch, rows):
    """With everything in the work folder nothing is tracked, read or written again; another scan judges anew."""
    before = _bodies(work)
    monkeypatch.setattr(micc.people, "track", lambda *_, **__: pytest.fail("it is tracked again"))
    subjects = micc.dataset.find_subjects(data, chosen=["1"], scans=("frontal1",))
    plan = micc.study.Plan(
        protocols=(DENG,), work_dir=work, landmarks_dir=landmarks, fuses=("bundle",), size=128,
        sampling=micc.people.Sampling(3),
    )  # fmt: skip
    (case,) = micc.study.run(subjects, plan).cases
    assert case.errors[DENG.name]["fine"]["headline_mm"] == float(rows[2]["headline_mm"])
    assert _bodies(work) == before
    (scan,) = (data / "subject_01/Model/frontal1/obj").iterdir()
    scan.write_text(scan.read_text() + "v 0 0 0\n")  # a stray vertex without triangles is not judged
    (again,) = micc.study.run(subjects, plan).cases
    assert again.errors[DENG.name]["fine"]["headline_mm"] == pytest.approx(
        case.errors[DENG.name]["fine"]["headline_mm"]
    )
    changed = {path.name.split("-")[0] for path in set(_bodies(work)) - set(before)}
    assert changed == {"errors"}


def test_subjects_are_chosen_by_number_and_range(tmp_path):
    for number in (1, 2, 5, 30):
        (tmp_path / f"subject_{number:02d}").mkdir()
    (tmp_path / "notes").mkdir()

    def names(*chosen):
        return [each.name[-2:] for each in micc.dataset.find_subjects(tmp_path, chosen=list(chosen), scans=())]

    assert names() == ["01", "02", "05", "30"]
    assert names("30", "1-2", "subject_05") == ["01", "02", "05", "30"]
    with pytest.raises(FaceError, match="holds no subject_03"):
        names("1-5")
    with pytest.raises(FaceError, match="'x' is no subject"):
        names("x")
    with pytest.raises(FaceError, match="holds no folder subject_NN"):
        micc.dataset.find_subjects(tmp_path / "notes", chosen=[], scans=())


def test_files_are_found_by_stem_whatever_their_suffix(tmp_path):
    videos, scans = tmp_path / "subject_07/Video", tmp_path / "subject_07/Model/frontal1/obj"
    videos.mkdir(parents=True)
    scans.mkdir(parents=True)
    for name in ("indoor-cooperative.MPG", "PTZ-Indoor.mp4", "PTZ-Indoor.avi", "PTZ-Outdoor.txt"):
        (videos / name).touch()
    (scans / "110920150452.obj").touch()
    (subject,) = micc.dataset.find_subjects(tmp_path, chosen=[], scans=("frontal1", "frontal2"))
    assert {key: path.name for key, path in subject.videos.items()} == {
        "cooperative": "indoor-cooperative.MPG",
        "indoor": "PTZ-Indoor.avi",
    }
    assert list(subject.scans) == ["frontal1"]
    assert ["frontal2" in subject.complaints[0], "PTZ-Outdoor.*" in subject.complaints[1]] == [True, True]
    (scans / "110920150453.obj").touch()
    (subject,) = micc.dataset.find_subjects(tmp_path, chosen=[], scans=("frontal1",))
    assert not subject.scans and "more than one OBJ" in subject.complaints[0]


def test_frames_are_spread_over_the_video(tmp_path):
    video = tmp_path / "clip.avi"
    grey = micc_layout.Image.new("RGB", (32, 32), "grey")
    micc.build.write_video(video, [grey] * 50, micc.build.FILMINGS["cooperative"])

    def frames(*sampling):
        chosen = micc.people.choose_settings(
            video, micc.people.Variant(fuse="mean"), size=128, sampling=micc.people.Sampling(*sampling)
        )
        assert chosen.chunk == min(8, sampling[0])  # whatever the video's length
        return list(range(chosen.start, 50, chosen.stride))[: chosen.max_frames]

    assert frames(6) == [4, 12, 20, 28, 36, 44]
    assert frames(3, 2) == [0, 2, 4]
    assert frames(80) == list(range(50))


def test_the_nearer_of_two_scans_judges():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-60.0, 60.0, 31), np.linspace(-60.0, 60.0, 31))
    grid = np.arange(31 * 31).reshape(31, 31)
    corners = [grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]]
    a, b, c, d = (each.ravel() for each in corners)
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)])
    face = np.stack([x, y, 40.0 - 0.01 * (x**2 + y**2)], axis=-1).reshape(-1, 3)
    landmarks = face[rng.choice(len(face), 68)]
    landmarks[30] = face[len(face) // 2]
    rough = face + rng.normal(0.0, 0.5, face.shape)
    surfaces = {name: FaceSurface(vertices, triangles, landmarks) for name, vertices in (("a", rough), ("b", face))}
    person = micc.people.Person({"coarse": surfaces["b"]}, {"ok": 1}, ())
    errors = micc.study.judge(person, surfaces, protocol=DENG)["coarse"]
    assert errors["scan"] == "b" and errors["headline_mm"] < 1e-6


def _case(subject, condition, fuse, errors_mm):
    errors = {
        stage: {"headline_mm": error, "normal_degrees": 10.0 * error}
        for stage, error in zip(micc.people.STAGES, errors_mm, strict=True)
    }
    frames = {"ok": 5, "bridged": 0, "lost": 1}
    return micc.study.Case(subject, condition, micc.people.Variant(fuse=fuse), frames, {DENG.name: errors}, ())


def test_variants_differ_from_the_first_in_one_thing(tmp_path):
    plan = micc.study.Plan((DENG,), tmp_path, models=("default", "ict"), presets=("default", "paper"))
    names = ["bundle", "mean", "bundle, paper preset", "bundle, ict model"]
    assert [variant.name for variant in plan.variants] == names
    for wrong in ({"models": ()}, {"presets": ("best",)}, {"fuses": ()}):
        with pytest.raises(FaceError, match="is no|No model"):
            micc.study.Plan((DENG,), tmp_path, **wrong)


def test_the_table_holds_means_and_spreads_by_condition():
    cases = [
        _case("subject_01", "cooperative", "bundle", (2.0, 1.5, 1.0)),
        _case("subject_02", "cooperative", "bundle", (3.0, 2.5, 2.0)),
        _case("subject_02", "outdoor", "bundle", (4.0, 4.0, 4.0)),
    ]
    study = micc.study.Study(cases, ["subject_03: it is empty."], 3)
    lines = micc.table.protocol_lines(study, DENG, beside_paper=True)
    coarse, medium, fine = ([cell.strip() for cell in line.split("|")[2:5]] for line in lines if "| ours" in line)
    assert coarse == ["2.50 ± 0.50", "-", "4.00"]
    assert (medium[0], fine[0]) == ("2.00 ± 0.50", "1.50 ± 0.50")
    assert "cooperative (2 videos)" in lines[2] and "outdoor (1 video)" in lines[2]
    assert any("1.59 ± 0.37" in line and "1.61 ± 0.28" in line for line in lines)
    assert not any("1.59" in line for line in micc.table.protocol_lines(study, DENG, beside_paper=False))
    assert micc.table.used(study) == {"subjects": 2, "of_subjects": 3, "videos": 3, "frames": 15, "of_frames": 18}


def test_the_scan_is_the_true_face_pitched_and_placed():
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


def test_the_scanner_sees_no_insides():
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


def test_triangles_go_back_one_level():
    triangles = np.asarray(load_default().triangles)
    number = int(triangles.max()) + 1
    fine = {
        levels: np.asarray(loop_subdivision(triangles, num_vertices=number, levels=levels).triangles)
        for levels in (1, 2)
    }
    assert (micc.build.one_level_up(fine[2]) == fine[1]).all()
    assert (micc.build.one_level_up(fine[1]) == triangles).all()


def test_conditions_differ_as_they_should():
    scripts = {name: micc.build.script(each, num_frames=5, index=0) for name, each in micc.build.FILMINGS.items()}
    yaw = {name: np.degrees(np.abs(each.turns[:, 0]).max()) for name, each in scripts.items()}
    assert yaw["cooperative"] < yaw["indoor"] < yaw["outdoor"] <= 25.0
    assert scripts["indoor"].growth.max() < 0.6 * scripts["cooperative"].growth.min()
    direct = {name: np.linalg.norm(each.light[0, 1:4]) / each.light[0, 0].mean() for name, each in scripts.items()}
    assert direct["outdoor"] > 1.5 * direct["cooperative"]
    assert 0.0 < max(rows.max() for rows in scripts["outdoor"].weights.values()) < 0.3  # nearly at rest


def test_videos_are_read_back_blurred_and_compressed_as_said(tmp_path):
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


def test_shares_count_the_cases_that_are_no_worse():
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
