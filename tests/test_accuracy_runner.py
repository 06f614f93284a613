"""The accuracy runner from its command line, on one small case."""

import json
import pathlib
import subprocess
import sys

import pytest

RUNNER = pathlib.Path(__file__).resolve().parents[1] / "experiments" / "accuracy.py"


@pytest.mark.slow
def test_one_case_from_the_command_line(tmp_path):
    settings = ["--cases=1", "--ict_cases=0", "--size=192", "--landmarks=true", "--paper_cases=1", "--verbose"]
    command = [sys.executable, str(RUNNER), *settings, f"--output_dir={tmp_path}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["accuracy.json", "accuracy.md"]
    text = (tmp_path / "accuracy.md").read_text()
    assert text in ended.stdout and "| fine, paper preset" in text
    stored = json.loads((tmp_path / "accuracy.json").read_text())
    (record,) = stored["cases"]
    assert stored["summary"]["failures"] == {}
    for stage in ("coarse", "medium", "fine"):
        assert 0.5 < record["default"][stage]["normal_degrees"] < 25.0
        assert 0.05 < record["default"][stage]["rmse_mm"] < 6.0
    assert "mediapipe" not in record["default"]  # true landmarks are not MediaPipe's


def test_conditions_take_turns():
    sys.path.insert(0, str(RUNNER.parent))
    try:
        from accuracy_study.faces import make_cases
    finally:
        sys.path.remove(str(RUNNER.parent))
    cases = make_cases("default", identities=8, count=24)
    assert len(set(cases)) == 24
    for identity in range(8):
        mine = [case for case in cases if case.identity == identity]
        assert len({case.light for case in mine}) == 3 and len({case.yaw for case in mine}) == 3
    assert len({(case.light, case.yaw) for case in make_cases("ict", identities=8, count=8)}) == 8
