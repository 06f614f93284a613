"""The study of detail detectors from its command line, at a tiny size, and its parts."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxface.io.images import read_image

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"


@pytest.fixture
def detectors(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from albedo_study import detectors

    return detectors


def run_script(*arguments):
    command = [sys.executable, str(EXPERIMENTS / "detail_detection.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )


def test_smoke_from_the_command_line(detectors, tmp_path):
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    ended = run_script("--smoke", f"--output_dir={tmp_path}")
    assert ended.returncode == 0, ended.stderr
    names = ["detail_detection.json", "detail_detection.md", "detail_detection.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    text = (tmp_path / "detail_detection.md").read_text()
    assert text in ended.stdout and text.startswith("# ") and "--smoke" in text.split("Command: ")[1]
    stored = json.loads((tmp_path / "detail_detection.json").read_text())
    rows = {row["detector"]: row for row in stored["summary"]}
    assert list(rows) == list(detectors.DETECTORS) and len(stored["cases"]) == 2
    for detector, row in rows.items():
        assert f"| {detector} " in text
        assert all(0.0 <= row[title] <= 1.0 for title in detectors.COMPARISONS)
    edges, means = rows["Laplace"], rows["Laplace, averaged"]
    for row in (edges, means):
        assert row["contours above flat skin"] > 0.8 and row["texture above contours"] < 0.5
    for preset in ("paper", "default"):
        rtv = rows[f"RTV, {preset}"]
        assert rtv["contours above flat skin"] < means["contours above flat skin"]
        assert rtv["relief above contours"] > means["relief above contours"]
    picture = read_image(tmp_path / "detail_detection.png")
    assert picture.shape[1] > 900 and np.std(picture) > 0.1


def test_a_missing_photo_is_refused_in_one_sentence(tmp_path):
    ended = run_script("--smoke", f"--output_dir={tmp_path / 'out'}", tmp_path / "nowhere.png")
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "nowhere.png" in ended.stdout + ended.stderr
    assert not (tmp_path / "out").exists()


def test_separation_is_the_share_of_pairs_in_order(detectors):
    values = np.array([[3.0, 1.0, 2.0], [2.0, 0.0, 5.0]])
    above = np.array([[True, False, False], [True, False, False]])  # 3 and 2
    below = np.array([[False, True, True], [False, False, True]])  # 1, 2 and 5
    pairs = [(high > low) + 0.5 * (high == low) for high in (3.0, 2.0) for low in (1.0, 2.0, 5.0)]
    assert detectors.separation(values, above, below) == pytest.approx(np.mean(pairs))
    assert detectors.separation(values, values > 2.5, values < 2.5) == 1.0
    assert detectors.separation(values, values < 1.5, values > 1.5) == 0.0
    assert np.isnan(detectors.separation(values, values > 9.0, values < 9.0))


def test_each_pixel_has_at_most_one_label(detectors):
    """Relief steep on the left, texture in the middle, contours on the right, on a face within a frame."""
    rng, size = np.random.default_rng(0), 60
    maps = [0.1 * rng.uniform(size=(size, size)) for _ in range(3)]
    for k, values in enumerate(maps):
        values[20:40, 15 * k + 8 : 15 * k + 12] += 1.0
    face = np.zeros((size, size), bool)
    face[4:-4, 4:-4] = True
    brows = np.zeros_like(face)
    brows[20:24] = True
    marked = detectors.labels(detectors.Sources(*maps, face), brows)
    assert np.max(sum(values.astype(int) for values in marked.values())) == 1
    for k, name in enumerate(("relief", "texture", "contours")):
        assert marked[name][24:40, 15 * k + 8 : 15 * k + 12].all()
        assert not marked[name][brows].any()
    assert marked["flat"].sum() > 200 and not marked["flat"][20:40, 8:12].any() and not marked["flat"][~face].any()
