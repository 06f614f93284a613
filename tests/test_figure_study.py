"""What the runners of figures share: photos by name, grids of pictures, and the files they end in."""

import json
import pathlib
import sys

import numpy as np
import pytest
from absl import app
from PIL import Image

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from figure_study import markdown, panels, portraits

    return dict(markdown=markdown, panels=panels, portraits=portraits)


def test_photos_go_by_their_names_and_bad_ones_end_in_a_sentence(tmp_path, study):
    (tmp_path / "deeper").mkdir()
    paths = [tmp_path / "anna.png", tmp_path / "deeper" / "anna.png", tmp_path / "ben.jpg"]
    for path, level in zip(paths, (0, 128, 255), strict=True):
        Image.new("RGB", (8, 6), (level,) * 3).save(path)
    photos = study["portraits"].load([str(path) for path in paths])
    assert list(photos) == ["anna", str(paths[1]), "ben"]
    assert [round(255 * float(photo.mean())) for photo in photos.values()] == [0, 128, 255]
    assert list(study["portraits"].load([]))[0] == "Grace Hopper"
    with pytest.raises(app.UsageError, match="nobody.jpg: it does not exist"):
        study["portraits"].load([str(tmp_path / "nobody.jpg")])


def test_a_grid_has_a_place_for_every_row_and_column(study):
    dark, light = np.zeros((5, 7, 3), np.uint8), np.full((5, 7), 1.5)
    rows = {"anna": {"photo": dark, "shape": light}, "ben": {"photo": dark, "scan": light}}
    figure = study["panels"].grid(rows, captions={"ben": {"scan": "2 mm"}})
    titles = [panel.get_title() for panel in figure.axes]
    assert titles == ["photo", "shape", "scan", "", "", ""]
    assert [len(panel.images) for panel in figure.axes] == [1, 1, 0, 1, 0, 1]
    assert [panel.get_ylabel() for panel in figure.axes] == ["anna", "", "", "ben", "", ""]
    assert [panel.get_xlabel() for panel in figure.axes] == [""] * 5 + ["2 mm"]
    assert figure.axes[1].images[0].get_array().max() == 1.0


def test_files_carry_command_settings_and_machine(tmp_path, study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["/somewhere/runner.py", "a b.jpg", "--smoke"])
    lines = study["markdown"].head("Title", {"size": 64, "models": ["a", "b"]})
    assert lines[:3] == ["# Title", "", "Command: `python experiments/runner.py 'a b.jpg' --smoke`"]
    assert "Settings: size 64; models a, b." in lines and "numpy" in lines[-2]
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    figure = study["panels"].grid({"row": {"noise": noise, "more": noise[::-1]}})
    study["markdown"].write(tmp_path / "new", "runner", lines, {"value": np.float32(0.5)}, figure)
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["runner.json", "runner.md", "runner.png"]
    assert (tmp_path / "new" / "runner.md").read_text() in capsys.readouterr().out
    stored = json.loads((tmp_path / "new" / "runner.json").read_text())
    assert stored["value"] == 0.5 and "machine" in stored


def test_large_figures_are_written_with_few_colours(tmp_path, study, monkeypatch):
    y, x = np.mgrid[0.0:1.0:100j, 0.0:1.0:100j]
    figure = study["panels"].grid({"row": {"ramps": np.stack([x, y, 1.0 - x], axis=-1)}})
    study["markdown"].save_figure(tmp_path / "exact.png", figure)
    monkeypatch.setattr(study["markdown"], "_LARGE_BYTES", 1000)
    study["markdown"].save_figure(tmp_path / "few.png", figure)
    exact, few = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), float) for name in ("exact", "few"))
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 256 < len(np.unique(exact.reshape(-1, 3), axis=0))
    assert np.abs(exact - few).mean() < 8.0
