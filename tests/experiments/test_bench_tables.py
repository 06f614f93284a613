"""How the judge's records are grouped and averaged, on made-up ones."""

import json
import math

import pytest
from accuracy_study import bench

from jaxface.types import FaceError


def write(folder, work, cases):
    for name, case in cases.items():
        (folder / "cases" / name).mkdir(parents=True)
        facts = {"case": name, "head": "h", "light": "soft", "yaw_deg": 0} | case.get("facts", {})
        (folder / "cases" / name / "case.json").write_text(json.dumps(facts))
    work.mkdir()
    for place, stage in enumerate(bench.STAGES):
        found = {name: {"rmse_face": case["rmse"][place], "normal_deg": 9.0 - place} for name, case in cases.items()}
        (work / f"{stage}.json").write_text(json.dumps(found))
    relief = {name: {"relief_corr_3": 0.5, "detail_valid": case.get("valid", True)} for name, case in cases.items()}
    (work / "relief.json").write_text(json.dumps(relief))


@pytest.fixture
def records(tmp_path):
    cases = {
        "a": {"rmse": (1.5, 1.4, 1.2)},
        "b": {"rmse": (1.5, 1.6, 1.6), "facts": {"yaw_deg": -30, "light": "side"}, "valid": False},
        "b_occ": {"rmse": (2.0, 2.0, 2.5), "facts": {"occluder": "hand"}},
    }
    write(tmp_path / "bench", tmp_path / "work", cases)
    return bench.read(tmp_path / "bench", tmp_path / "work")


def test_means_and_shares_that_are_no_worse(records):
    found = bench.row(records)
    assert found["pictures"] == 3
    assert found["coarse rmse_face"] == pytest.approx(5.0 / 3)
    assert found["medium no worse, rmse_face"] == pytest.approx(2 / 3)
    assert found["fine no worse, rmse_face"] == pytest.approx(2 / 3)
    assert found["fine no worse, normal_deg"] == 1.0
    assert math.isnan(found["false_relief_px"])


def test_groups_by_what_is_in_front_yaw_light_and_head(records):
    names = {name: len(rows) for name, rows in bench.groups(records).items()}
    assert names == {
        "all": 3, "bare": 2, "something in front": 1, "bare, yaw 0": 1, "bare, yaw 30": 1, "bare, side light": 1,
        "bare, soft light": 1, "bare, head h": 2,
    }  # fmt: skip


def test_a_folder_without_a_judge_is_told(tmp_path):
    with pytest.raises(FaceError, match="no judge.py"):
        bench.judge(tmp_path, tmp_path / "work", model="default", pictures="*")
