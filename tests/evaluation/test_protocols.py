"""Presets are what the published texts say; every choice shows in the text; wrong choices are refused."""

import dataclasses

import pytest

from jaxface.evaluation.protocols import PROTOCOLS, Protocol, find_protocol
from jaxface.types import FaceError

CHANGES = {
    "scale": "rigid",
    "crop": "now",
    "crop_radius_mm": 60.0,
    "forehead_cut_mm": 12.5,
    "start_landmarks": (30, 36, 45, 48, 54, 33, 8),
    "fewest_landmarks": 5,
    "icp": "point_to_point",
    "kept": 0.7,
    "tolerance": 1e-3,
    "tolerance_mean_mm": 0.5,
    "num_iterations": 7,
    "distance": "point_to_plane",
    "overlap_only": True,
    "both_directions": True,
    "headline": "median_mm",
}


def test_presets():
    assert list(PROTOCOLS) == ["micc-deng2019", "micc-ganfit", "now"]
    deng, ganfit, now = PROTOCOLS.values()
    assert (deng.scale, deng.crop, deng.crop_radius_mm, deng.distance) == (
        "similarity",
        "nose_tip",
        95,
        "point_to_plane",
    )
    assert deng.forehead_cut_mm is not None and deng.headline == "rmse_mm"
    assert (ganfit.both_directions, ganfit.tolerance_mean_mm, ganfit.headline) == (True, 0.001, "mean_mm")
    assert (now.crop, now.fewest_landmarks, now.distance, now.kept) == ("now", 7, "point_to_surface", 1.0)


def test_every_field_can_change_and_shows():
    assert {field.name for field in dataclasses.fields(Protocol)} == {"name", *CHANGES}
    base = Protocol("my own")
    texts = {base.text, *(protocol.text for protocol in PROTOCOLS.values())}
    for field, value in CHANGES.items():
        changed = dataclasses.replace(base, **{field: value})
        assert f"{field}=" in changed.text
        texts.add(changed.text)
    assert len(texts) == 1 + len(PROTOCOLS) + len(CHANGES)


def test_labels_name_what_was_changed():
    now = PROTOCOLS["now"]
    assert now.label == "now" and now.text.startswith("now: ")
    assert dataclasses.replace(now, scale="rigid").label == "now with scale=rigid"
    assert Protocol("my own").label == "my own"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scale", "metric"),
        ("crop", "box"),
        ("icp", "normal"),
        ("distance", "far"),
        ("headline", "mean"),
        ("crop_radius_mm", 0.0),
        ("kept", 0.0),
        ("kept", 1.5),
        ("num_iterations", -1),
        ("fewest_landmarks", 2),
        ("fewest_landmarks", 8),
    ],
)
def test_choices_that_do_not_exist_are_refused(field, value):
    with pytest.raises(FaceError) as caught:
        dataclasses.replace(PROTOCOLS["micc-deng2019"], **{field: value})
    assert field in str(caught.value) and str(caught.value).endswith(".")


def test_both_directions_need_surfaces():
    with pytest.raises(FaceError, match="both_directions"):
        dataclasses.replace(PROTOCOLS["micc-deng2019"], both_directions=True)


def test_names():
    assert find_protocol("now") is PROTOCOLS["now"]
    with pytest.raises(FaceError, match="realy is not offered.*data set"):
        find_protocol("realy")
    with pytest.raises(FaceError, match="micc-deng2019, micc-ganfit, now"):
        find_protocol("micc")
