"""The runner of Table 1 on a tiny data set in MICC's layout, from its command line, and its parts."""

import csv
import json
import os
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import micc_layout
import numpy as np
import pytest

from jaxface.evaluation.protocols import PROTOCOLS
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.types import FaceError

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
DENG = PROTOCOLS["micc-deng2019"]


@pytest.fixture(scope="module")
def micc():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXPERIMENTS)
        from micc import build, dataset, people, study, table

        yield SimpleNamespace(build=build, dataset=dataset, people=people, study=study, table=table)


def _run(*arguments, timeout=600):
    command = [sys.executable, str(EXPERIMENTS / "micc_table1.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def _bodies(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_what_is_broken_is_told_and_the_rest_is_counted(micc, tmp_path, monkeypatch):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    data, work, out = micc_layout.make(tmp_path), tmp_path / "work", tmp_path / "out"
    ended = _run(
        f"--micc_dir={data}", f"--landmarks_dir={tmp_path / 'landmarks'}", f"--work_dir={work}", f"--output_dir={out}",
        "--smoke", "--fuse=bundle", "--protocols=micc-deng2019,now",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in out.iterdir()) == [f"micc_table1.{end}" for end in ("csv", "json", "md", "png")]
    text = (out / "micc_table1.md").read_text()
    assert text in ended.stdout and text.startswith(
        "# Errors on the MICC Florence set\n\nCommand: `python experiments/"
    )
    found = json.loads((out / "micc_table1.json").read_text())
    assert found["used"] == {"subjects": 1, "of_subjects": 3, "videos": 1, "frames": 3, "of_frames": 3}
    assert "Used: 1 of 3 subjects, 1 videos, 3 of 3 sampled frames." in text
    whose = ("subject_01, cooperative:", "subject_01, indoor, is", "subject_02: it is empty", "subject_03_frontal1 is")
    for start in whose:  # one sentence each, on the console as in the results
        (sentence,) = [line for line in found["left_out"] if line.startswith(start)]
        assert sentence in ended.stdout and f"- {sentence}" in text and "\n" not in sentence
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
    _check_resumption(micc, data, tmp_path / "landmarks", work, monkeypatch, rows)


def _check_resumption(micc, data, landmarks, work, monkeypatch, rows):
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


def test_a_wrong_path_is_one_sentence(tmp_path):
    ended = _run(f"--micc_dir={tmp_path / 'nowhere'}", f"--work_dir={tmp_path / 'work'}")
    assert ended.returncode != 0
    assert "nowhere is not a folder: name the one that holds subject_01" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_subjects_are_chosen_by_number_and_range(micc, tmp_path):
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


def test_files_are_found_by_stem_whatever_their_suffix(micc, tmp_path):
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


def test_frames_are_spread_over_the_video(micc, tmp_path):
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


def test_the_nearer_of_two_scans_judges(micc):
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


def _case(micc, subject, condition, fuse, errors_mm):
    errors = {
        stage: {"headline_mm": error, "normal_degrees": 10.0 * error}
        for stage, error in zip(micc.people.STAGES, errors_mm, strict=True)
    }
    frames = {"ok": 5, "bridged": 0, "lost": 1}
    return micc.study.Case(subject, condition, micc.people.Variant(fuse=fuse), frames, {DENG.name: errors}, ())


def test_variants_differ_from_the_first_in_one_thing(micc, tmp_path):
    plan = micc.study.Plan((DENG,), tmp_path, models=("default", "ict"), presets=("default", "paper"))
    names = ["bundle", "mean", "bundle, paper preset", "bundle, ict model"]
    assert [variant.name for variant in plan.variants] == names
    for wrong in ({"models": ()}, {"presets": ("best",)}, {"fuses": ()}):
        with pytest.raises(FaceError, match="is no|No model"):
            micc.study.Plan((DENG,), tmp_path, **wrong)


def test_the_table_holds_means_and_spreads_by_condition(micc):
    cases = [
        _case(micc, "subject_01", "cooperative", "bundle", (2.0, 1.5, 1.0)),
        _case(micc, "subject_02", "cooperative", "bundle", (3.0, 2.5, 2.0)),
        _case(micc, "subject_02", "outdoor", "bundle", (4.0, 4.0, 4.0)),
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
