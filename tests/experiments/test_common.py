"""What the runners share: faces of known shape, photos by name, tables, grids and files."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from common import faces, panels, portraits, report, truth
from PIL import Image

from jaxface.morphable.default import load_default
from jaxface.templates import prepare
from jaxface.types import FaceError, Region


def test_pairs_differ_in_yaw_alone_and_lights_take_turns():
    cases = faces.make_cases("default", count=12)
    assert len(set(cases)) == 12
    for frontal, turned in zip(cases[::2], cases[1::2], strict=True):
        assert frontal.yaw == 0 and abs(turned.yaw) == 30
        assert dataclasses.replace(turned, yaw=0) == frontal
    assert len({(case.light, case.yaw) for case in cases[1::2]}) == 6


@pytest.mark.slow
def test_what_is_outside_the_face_is_not_judged():
    model = load_default()
    outside = np.asarray(model.mean_mm)[:, 1] < -50.0  # the chin
    labels = np.where(outside, Region.OUTSIDE, np.asarray(model.vertex_regions)).astype(np.int32)
    model = dataclasses.replace(model, vertex_regions=labels)
    kept = truth.face_triangles(model)
    assert not outside[kept].any() and 0 < len(kept) < len(model.triangles)
    subdivision = prepare(model).detail.subdivision
    fine = truth.fine_face_triangles(model)
    heights = np.sum(np.asarray(subdivision.weights) * np.asarray(model.mean_mm)[:, 1][subdivision.indices], axis=1)
    dropped = np.setdiff1d(np.arange(len(heights)), fine)
    assert 0 < len(fine) < len(subdivision.triangles)
    assert heights[dropped].max() < heights[fine].min() + 15.0 and heights[fine].min() > -60.0


def test_photos_go_by_their_names_and_bad_ones_end_in_a_sentence(tmp_path):
    (tmp_path / "deeper").mkdir()
    paths = [tmp_path / "anna.png", tmp_path / "deeper" / "anna.png", tmp_path / "ben.jpg"]
    for path, level in zip(paths, (0, 128, 255), strict=True):
        Image.new("RGB", (8, 6), (level,) * 3).save(path)
    photos = portraits.load([str(path) for path in paths])
    assert list(photos) == ["anna", str(paths[1]), "ben"]
    assert [round(255 * float(photo.mean())) for photo in photos.values()] == [0, 128, 255]
    assert list(portraits.load([]))[0] == "Grace Hopper"
    with pytest.raises(FaceError, match="nobody.jpg: it does not exist"):
        portraits.load([str(tmp_path / "nobody.jpg")])


def test_a_grid_has_a_place_for_every_row_and_column():
    dark, light = np.zeros((5, 7, 3), np.uint8), np.full((5, 7), 1.5)
    rows = {"anna": {"photo": dark, "shape": light}, "ben": {"photo": dark, "scan": light}}
    figure = panels.grid(rows, captions={"ben": {"scan": "2 mm"}})
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["photo", "shape", "scan", "", "", ""]
    assert [len(panel.images) for panel in figure.axes] == [1, 1, 0, 1, 0, 1]
    assert [panel.get_ylabel() for panel in figure.axes] == ["anna", "", "", "ben", "", ""]
    assert [panel.get_xlabel() for panel in figure.axes] == [""] * 5 + ["2 mm"]
    assert figure.axes[1].images[0].get_array().max() == 1.0


def test_files_carry_command_settings_and_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/somewhere/runner.py", "a b.jpg", "--smoke"])
    lines = report.head("Title", {"size": 64, "models": ["a", "b"]})
    assert lines[:3] == ["# Title", "", "Command: `python experiments/runner.py 'a b.jpg' --smoke`"]
    assert "Settings: size 64; models a, b." in lines and "numpy" in lines[-2]
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    figure = panels.grid({"row": {"noise": noise, "more": noise[::-1]}})
    report.write(tmp_path / "new", "runner", lines, {"value": np.float32(0.5)}, figure)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["runner.json", "runner.md", "runner.png"]
    assert (tmp_path / "new" / "runner.md").read_text() in capsys.readouterr().out
    stored = json.loads((tmp_path / "new" / "runner.json").read_text())
    assert stored["value"] == 0.5 and "machine" in stored


def test_large_figures_are_written_with_few_colours(tmp_path, monkeypatch):
    y, x = np.mgrid[0.0:1.0:100j, 0.0:1.0:100j]
    figure = panels.grid({"row": {"ramps": np.stack([x, y, 1.0 - x], axis=-1)}})
    report.save_figure(tmp_path / "exact.png", figure)
    monkeypatch.setattr(report, "_LARGE_BYTES", 1000)
    report.save_figure(tmp_path / "few.png", figure)
    exact, few = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), float) for name in ("exact", "few"))
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 256 < len(np.unique(exact.reshape(-1, 3), axis=0))
    assert np.abs(exact - few).mean() < 8.0


def test_rows_are_means_over_the_records_that_have_a_figure():
    records = [
        {"case": "a", "of": "x", "mm": 1.0},
        {"case": "b", "of": "x", "mm": 3.0, "hp": 0.5},
        {"case": "a", "of": "y", "mm": 7.0},
    ]
    rows = report.means(records, "of")
    assert rows == [{"of": "x", "cases": 2, "mm": 2.0, "hp": 0.5}, {"of": "y", "cases": 1, "mm": 7.0}]
    lines = report.table(rows, {"of": ("of", ""), "mm": ("mm", ".2f"), "higher in": ("hp", "share")})
    assert lines[0].split() == "| of | mm | higher in |".split()
    assert [line.split() for line in lines[2:]] == ["| x | 2.00 | 50 % |".split(), "| y | 7.00 | - |".split()]
