"""A user's mistake ends a runner with one sentence, before anything is written."""

import pathlib

import pytest
from PIL import Image

REFUSALS = [
    ("albedo_ablation", ["--model=nobody"], "'nobody' is not a known model"),
    ("segmentation", ["nowhere.png"], "nowhere.png: it does not exist"),
    ("medium_vs_coarse", ["nowhere.jpg"], "nowhere.jpg: it does not exist"),
    ("compare", ["--methods=a:nowhere/{}.obj"], "there are no such files"),
    ("compare", ["--scan=scan.obj"], "--scan goes with --methods"),
    ("sensitivity", ["--presets=best"], "There is no preset 'best'"),
    ("sensitivity", ["--check", "--seed=0"], "--check needs other faces"),
    ("accuracy", ["--models=nobody"], "'nobody' is not a known model"),
    ("accuracy", ["--ict_dir=nowhere"], "--ict_dir=nowhere does not exist"),
    ("accuracy_video", ["--worlds=mars"], "--worlds=mars: there are default and ict"),
    ("micc_table1", ["--micc_dir=nowhere", "--work_dir=work"], "nowhere is not a folder"),
    ("micc_table1", ["--work_dir=work"], "Name the folder of the data set by --micc_dir"),
    ("benchmark_video", ["--chunks=8,x"], "--chunks=8,x: name positive numbers"),
    ("benchmark_video", ["--sizes=0"], "--sizes=0: name positive numbers"),
]


@pytest.mark.parametrize(("runner", "arguments", "sentence"), REFUSALS)
def test_a_mistake_ends_in_one_sentence(refuse, tmp_path, monkeypatch, runner, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    said = refuse(runner, *arguments, "--output_dir=out")
    assert sentence in said and "\n" not in said
    assert not pathlib.Path("out").exists()


def test_a_photo_without_a_face_is_named(refuse, tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    Image.new("RGB", (96, 96), (90, 120, 200)).save(tmp_path / "sky.png")
    assert refuse("multi_scale", tmp_path / "sky.png", f"--output_dir={tmp_path / 'out'}").startswith("sky: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_stays_as_it_is(refuse, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    here = [f"--{name}_dir={tmp_path}" for name in ("data", "work", "output")]
    assert "holds something other than a result" in refuse("synthetic_micc", "--smoke", *here)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
