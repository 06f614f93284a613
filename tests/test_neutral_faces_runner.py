"""The study of neutral faces from its command line, at a small size with the embedded model."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from jaxface.io.images import read_image

RUNNER = pathlib.Path(__file__).resolve().parents[1] / "experiments" / "neutral_faces.py"


def test_both_portraits_from_the_command_line(tmp_path):
    for needed in ("mediapipe", "skimage"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    command = [sys.executable, str(RUNNER), "--model=default", "--size=96", f"--output_dir={tmp_path}"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | {"JAX_PLATFORMS": "cpu"}
    )
    assert ended.returncode == 0, ended.stderr
    found = re.findall(r"(.*): corners ([+-][0-9.]+) mm, lips ([0-9.]+) mm apart", ended.stdout)
    corners_mm = {name: float(corners) for name, corners, _ in found}
    lips_mm = {name: float(lips) for name, _, lips in found}
    faces = [f"{who}, {what}" for who in ("Eileen Collins", "Grace Hopper") for what in ("landmarks", "with shading")]
    neutral = ["Eileen Collins, neutral", "Grace Hopper, neutral"]
    assert set(corners_mm) == {"Model default, mean face", *faces, *neutral}
    for name in ("Eileen Collins, landmarks", "Eileen Collins, with shading"):  # she smiles
        assert corners_mm[name] > corners_mm["Eileen Collins, neutral"] + 1.0
        assert lips_mm[name] > lips_mm["Eileen Collins, neutral"] + 1.0
    for name in neutral:
        assert abs(corners_mm[name] - corners_mm["Model default, mean face"]) < 3.0
    picture = read_image(tmp_path / "neutral_faces.png")
    assert picture.shape[1] > picture.shape[0] > 500 and np.std(picture) > 0.1
