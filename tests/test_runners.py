"""Every runner of experiments/ at its tiny size, from its command line, and what it leaves behind.

The columns of its tables must be among those of the committed results, and all numbers finite.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from PIL import Image

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[1] / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

from overview.runners import RUNNERS  # noqa: E402

CHEAP = ("neutral_faces",)  # some 15 s of one core; the others take up to minutes
RUNNING = {runner.name: runner for runner in RUNNERS if runner.outputs}
# Whose tables a runner's are like that has no committed results of its own.
LIKE = {"micc_table1": "synthetic_micc"}
WITHOUT_FACES = ("accuracy", "benchmark", "sensitivity")  # they have true landmarks, and need no MediaPipe


@pytest.fixture(scope="module")
def finish(tmp_path_factory):
    """Runs a runner once, after the one whose files it reads; its folder, and what it printed."""
    work, done = tmp_path_factory.mktemp("work"), {}

    def run(name: str) -> tuple[pathlib.Path, str]:
        if name in done:
            return done[name]
        runner, out = RUNNING[name], tmp_path_factory.mktemp(name)
        if runner.after:
            run(runner.after)
        flags = [f"--output_dir={out}", *(flag.format(work=work) for flag in runner.smoke)]
        around = os.environ | {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg"}
        command = [sys.executable, str(EXPERIMENTS / runner.script), *flags]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=around, cwd=work)
        assert ended.returncode == 0, ended.stderr
        done[name] = out, ended.stdout
        return done[name]

    return run


def heads(path: pathlib.Path) -> list[set[str]]:
    """The columns of each table in a Markdown file, without the counts in them."""
    found = re.findall(r"^\|(.+)\|\n\|[-|]+\|$", path.read_text(), re.MULTILINE)
    return [{re.sub(r" \(\d+ videos?\)", "", cell.strip()) for cell in line.split("|")} for line in found]


def check_table(path: pathlib.Path) -> None:
    """It has tables, known columns, and no number that is none."""
    name = RUNNING[path.stem.removesuffix("_cpu")].name
    known = heads(EXPERIMENTS / "results" / f"{LIKE.get(name, name)}{path.stem.removeprefix(name)}.md")
    assert heads(path)
    for columns in heads(path):
        assert any(columns <= each for each in known), columns
    assert not re.search(r"\b(nan|inf)\b", path.read_text())


def refuse_constant(word: str) -> None:
    pytest.fail(f"{word} among the numbers")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow) for name in RUNNING]
)
def test_a_tiny_run_leaves_its_files(name, finish):
    if name not in WITHOUT_FACES:
        pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    out, printed = finish(name)
    assert sorted(path.name for path in out.iterdir()) == sorted(RUNNING[name].outputs)
    for path in out.iterdir():
        if path.suffix == ".md":
            check_table(path)
            assert path.read_text() in printed
        elif path.suffix == ".json":
            assert json.loads(path.read_text(), parse_constant=refuse_constant)
        elif path.suffix == ".png":
            Image.open(path).verify()
