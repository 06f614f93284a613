"""How good a face is, in words and degrees, from the reports of its stages."""

import math

import pytest

from jaxface.export.quality import expected_errors_degrees, overall
from jaxface.types import StageReport


def stages(*, seen=0.95, off=10.0, turned=3.0, **left_out):
    """Reports of a run in which the network led; `left_out` gives reasons by stage."""
    figures = {
        "coarse": {}, "medium": {}, "learned normals": {"seen_share": seen, "spread_degrees": off},
        "fine phase 2": {"turn_degrees": turned}, "light and albedo": {},
    }  # fmt: skip
    reasons = {name.replace("_", " "): reason for name, reason in left_out.items()}
    return [
        StageReport(name, "left out" if name in reasons else "ok", reasons.get(name, ""), 1.0, values)
        for name, values in figures.items()
    ]


def test_an_ordinary_photo_is_good_and_a_medium_stage_may_be_spared():
    assert overall(stages()) == ("good", "")
    assert overall(stages(medium="its shading explains the photo no better")) == ("good", "")


@pytest.mark.parametrize(
    ("changes", "word", "told"),
    [
        ({"seen": 0.7}, "usable", "30%"),
        ({"off": 13.0}, "usable", "13 degrees"),
        ({"light_and_albedo": "it did not stay finite"}, "usable", "light and albedo left out: it did not"),
        ({"seen": 0.3}, "poor", "70%"),
        ({"off": 20.0}, "poor", "20 degrees"),
    ],
)
def test_what_stands_against_a_face_is_told(changes, word, told):
    found, reason = overall(stages(**changes))
    assert found == word and told in reason and not reason.endswith(".")


def test_the_worst_word_wins_and_two_doubts_are_both_told():
    word, reason = overall(stages(seen=0.3, off=20.0))
    assert word == "poor" and "70%" in reason and "20 degrees" in reason


def test_without_a_network_the_stages_alone_tell():
    plain = [StageReport("coarse", "ok", "", 1.0, {}), StageReport("fine phase 1", "left out", "too dark", 1.0, {})]
    assert overall(plain[:1]) == ("good", "") and overall(plain) == ("usable", "fine phase 1 left out: too dark")
    assert expected_errors_degrees(plain) == {}


def test_the_medium_shape_is_off_by_what_the_network_turned_too():
    assert expected_errors_degrees(stages(off=8.0, turned=6.0)) == {"medium": math.hypot(6.0, 8.0), "fine": 8.0}
