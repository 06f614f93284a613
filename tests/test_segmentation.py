"""The study of regions from its command line, at a tiny size, and its parts."""

import json
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface import presets
from jaxface.io.images import read_image
from jaxface.morphable.default import load_default
from jaxface.types import FineInputs, Parsing

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
SIZE = 24


@pytest.fixture
def regions(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from albedo_study import regions

    return regions


def run_script(*arguments):
    command = [sys.executable, str(EXPERIMENTS / "segmentation.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def test_smoke_from_the_command_line(tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run_script("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    names = ["segmentation.json", "segmentation.md", "segmentation.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    text = (tmp_path / "segmentation.md").read_text()
    assert text in ended.stdout and text.startswith("# ") and "--smoke" in text.split("Command: ")[1]
    assert "Without the network bisenet: " in text and "jaxface models install bisenet" in text
    stored = json.loads((tmp_path / "segmentation.json").read_text())
    assert stored["failures"] == {} and len(stored["cases"]) == 2
    assert [(row["preset"], row["parser"], row["cases"]) for row in stored["summary"]] == [
        (preset, "mesh", 2) for preset in presets.PRESETS
    ]
    for row in stored["summary"]:
        assert 0.7 < row["skin"] <= 1.0
        assert 0.1 < row["eyebrow"] < row["skin"] and 0.3 < row["mouth"] < row["skin"]
    picture = read_image(tmp_path / "segmentation.png")
    assert picture.shape[0] > 400 and np.std(picture) > 0.1


def test_a_missing_photo_is_refused_in_one_sentence(tmp_path):
    ended = run_script("--smoke", f"--output_dir={tmp_path / 'out'}", tmp_path / "nowhere.png")
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "nowhere.png" in ended.stdout + ended.stderr
    assert not (tmp_path / "out").exists()


def make_inputs() -> FineInputs:
    """Skin on the left half, lips on the right, a brow across the top of both; the last columns are not covered."""
    indicators, covered = np.zeros((SIZE, SIZE, 3), np.float32), np.ones((SIZE, SIZE), np.float32)
    indicators[:, : SIZE // 2, 0] = 0.9
    indicators[:, SIZE // 2 :, 2] = 0.8
    indicators[:4] = [0.1, 0.7, 0.2]
    indicators[-3:] = [0.3, 0.3, 0.3]  # the likeliest is not likely
    covered[:, -5:] = 0.0
    image = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    maps = (image, np.zeros_like(covered), covered, covered, indicators, image)
    return FineInputs(*map(jnp.asarray, maps))


def test_labels_are_the_likeliest_region_on_the_face(regions):
    marked = regions.to_labels(make_inputs())
    assert list(marked) == ["skin", "eyebrow", "mouth"]
    half, covered = SIZE // 2, SIZE - 5
    assert marked["eyebrow"].sum() == 4 * covered and marked["eyebrow"][:4, :covered].all()
    assert marked["skin"].sum() == (SIZE - 7) * half and marked["skin"][4:-3, :half].all()
    assert marked["mouth"].sum() == (SIZE - 7) * (covered - half) and marked["mouth"][4:-3, half:covered].all()


def test_overlap_by_hand(regions):
    """Ours is two columns to the right of the truth; an opening hides some of both."""
    ours, truth, openings = (np.zeros((10, 20), bool) for _ in range(3))
    ours[:, 4:14] = truth[:, 2:12] = True
    openings[:, 10:] = True
    nothing = np.zeros_like(ours)
    found = {"skin": ours, "eyebrow": ours, "mouth": nothing}
    figures = regions.overlap(found, {"skin": truth, "eyebrow": ours, "mouth": truth, "openings": openings})
    assert figures == {"skin": pytest.approx(6 / 8), "eyebrow": 1.0, "mouth": 0.0}


def test_true_regions_of_a_rendered_face(regions):
    """Brows above lips, skin around both, and nothing has two labels."""
    from accuracy_study import faces
    from albedo_study import scenes

    true = scenes.true_regions(faces.make_cases("default", count=1)[0], size=128, seed=0)
    assert np.max(sum(values.astype(int) for values in true.values())) == 1
    middle = {name: np.argwhere(values).mean(axis=0) for name, values in true.items()}
    assert middle["eyebrow"][0] < middle["skin"][0] < middle["mouth"][0]
    assert true["skin"].sum() > 10 * max(true["eyebrow"].sum(), true["mouth"].sum())
    for name in ("eyebrow", "mouth", "openings"):
        assert true[name].sum() > 20


@pytest.mark.slow
def test_a_network_s_regions_are_taken_where_it_sees_some(regions, monkeypatch):
    """A network that sees lips above, nothing below: there the mesh's regions stay."""
    from accuracy_study import faces
    from albedo_study import scenes

    size = 128
    world = scenes.make_world(faces.make_cases("default", count=1)[0], size=size, seed=0)
    upper = (np.arange(size) < size // 2)[:, None] * np.ones((1, size), np.float32)
    lips = np.stack([0.0 * upper, 0.0 * upper, upper], axis=-1).astype(np.float32)
    seen = Parsing(jnp.asarray(lips), jnp.ones((size, size)))
    monkeypatch.setattr(regions, "find_landmarks", lambda image: (world.landmarks, {}))
    monkeypatch.setattr(regions.tools, "parse", lambda *arrays, **settings: seen)
    parsers = regions.Parsers({"mesh": None, "bisenet": {}}, "")
    found = regions.observe_all(np.asarray(world.face.image), load_default(), parsers, size=size, whole=True)
    assert list(found) == [(preset, parser) for preset in presets.PRESETS for parser in ("mesh", "bisenet")]
    for preset in presets.PRESETS:
        mesh, network = (np.asarray(found[preset, parser].indicators) for parser in ("mesh", "bisenet"))
        covered = np.asarray(found[preset, "mesh"].covered) > 0.5
        assert (covered & (upper > 0)).sum() > 1000 and (covered & (upper == 0)).sum() > 1000
        np.testing.assert_allclose(network[covered & (upper > 0)], [[0.0, 0.0, 1.0]] * (covered & (upper > 0)).sum())
        np.testing.assert_allclose(network[covered & (upper == 0)], mesh[covered & (upper == 0)], atol=1e-6)
