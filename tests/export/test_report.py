"""result.json is complete, true and strict JSON."""

import json
import pathlib

import fake_face
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.export import report
from jaxface.types import Crop


def strict(text: str) -> dict:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))


def test_written_report_is_strict_json(tmp_path):
    report.write_result(tmp_path / "result.json", fake_face.make_reconstruction())
    found = strict((tmp_path / "result.json").read_text())
    assert found["verdict"]["word"] == "usable" and "left out: The image" in found["verdict"]["reason"]
    assert found["stages"][0]["compile_seconds"] == 3.0 and found["stages"][0]["figures"] == {"residual_px": 1.5}
    assert found["stages"][1]["reason"].startswith("The image") and found["stages"][1]["figures"] == {"rms": None}
    assert found["parameters"]["expression"] == {"jawOpen": 0.1, "mouthSmileLeft": 0.2, "mouthSmileRight": 0.3}
    assert found["residuals"]["coarse_landmarks_px"] == 1.5
    assert found["model"] == {"name": "dome", "licence": "Apache-2.0"}
    assert found["versions"]["jax"] and found["versions"]["device"].startswith(jax.devices()[0].platform)
    assert found["settings"] == {"preset": "default", "size": 48, "seed": 0}


def test_a_face_is_good_when_nothing_stands_against_it():
    rec = fake_face.make_reconstruction()
    found = report.result_json(fake_face.make_reconstruction(stages=rec.stages[:1]))
    assert found["verdict"] == {"word": "good", "reason": ""}


def test_pose_is_told_three_ways():
    pose = fake_face.make_reconstruction().coarse_fit.pose
    found = report.plain(report.pose_json(pose))
    assert found["euler_degrees"]["yaw"] == pytest.approx(np.degrees(0.3), abs=1e-4)
    assert found["euler_degrees"]["pitch"] == pytest.approx(0.0, abs=1e-9)
    assert found["scale_px_per_mm"] == pytest.approx(0.4)
    turned = np.array(found["rotation_matrix"]) @ np.array([0.0, 0.0, 1.0])
    np.testing.assert_allclose(turned, [np.sin(0.3), 0.0, np.cos(0.3)], atol=1e-6)


@pytest.mark.parametrize(("axis", "name"), [(0, "pitch"), (1, "yaw"), (2, "roll")])
def test_euler_angles_are_named_after_their_axes(axis, name):
    vector = np.zeros(3)
    vector[axis] = 0.2
    pose = fake_face.make_reconstruction().coarse_fit.pose._replace(rotation_vector=vector)
    assert report.pose_json(pose)["euler_degrees"][name] == pytest.approx(np.degrees(0.2))


def test_photometric_residual_of_an_exact_and_a_shifted_model():
    rec = fake_face.make_reconstruction()
    assert report.photometric_residual(rec) < 1e-6
    shifted = rec.maps._replace(specular=rec.maps.specular + 0.1)
    assert report.photometric_residual(fake_face.make_reconstruction(maps=shifted)) == pytest.approx(0.1, abs=1e-6)


def test_plain_knows_every_kind_of_value():
    crop = Crop(jnp.array([1.0, jnp.nan]), np.float32(0.3))
    values = {"a": crop, "b": (1, True, None, "x"), "c": np.arange(3), "d": pathlib.PurePosixPath("p"), "e": np.inf}
    expected = {"a": {"offset_px": [1.0, None], "zoom": 0.3}, "b": [1, True, None, "x"], "c": [0, 1, 2]}
    assert report.plain(values) == expected | {"d": "p", "e": None}


def test_versions_of_what_is_missing_are_null(monkeypatch):
    monkeypatch.setattr(report, "PACKAGES", ("numpy", "no-such-package"))
    assert report.versions()["no-such-package"] is None and report.versions()["numpy"]
