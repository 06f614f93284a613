"""All runners in one go, with scripts made up for the test, and the index of the results."""

import json
import pathlib
import re
import subprocess
import sys

import pytest
from overview import headlines, index, processes, runners

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[2] / "experiments"
RESULTS = EXPERIMENTS / "results"
TOOLS = {"build_default_model", "reconstruct_dataset", "run_all", "train_normals"}  # they make no results

WORKS = '''"""A runner
that works.

    python experiments/works.py [PHOTO]

Text.
"""
import pathlib, sys

folder = pathlib.Path(sys.argv[1].removeprefix("--output_dir="))
name = pathlib.Path(sys.argv[0]).stem
(folder / f"{name}.md").write_text(" ".join(sys.argv[2:]))
'''
FAILS = '''"""A runner that fails."""
import sys

print("this is why")
sys.exit(3)
'''
overview = {"headlines": headlines, "index": index, "processes": processes, "runners": runners}


@pytest.fixture
def scripts(tmp_path):
    """A folder of made-up runners."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    for name, text in {"works": WORKS, "fails": FAILS, "waits": WORKS, "reads": WORKS}.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def test_a_failure_stops_no_other(scripts, tmp_path):
    make, told, out = overview["runners"].Runner, [], tmp_path / "smoke"
    runners = [
        make("fails"),
        make("works", ("--of={work}/x",)),
        make("waits", after="fails"),
        make("reads", ("--of={work}/y",), after="works"),
    ]
    failed = overview["processes"].run_all(runners, scripts=scripts, out=out, at_once=2, tell=told.append)
    assert failed == ["fails", "waits"]
    given = {name: (out / f"{name}.md").read_text() for name in ("works", "reads")}
    work = pathlib.Path(given["works"].removeprefix("--of=")).parent
    assert given == {"works": f"--of={work}/x", "reads": f"--of={work}/y"}
    assert work not in (out, tmp_path) and not work.exists()  # nothing is left to go on from
    assert (out / "fails.log").read_text() == "this is why\n"
    assert not (out / "waits.log").exists()
    lines = sorted(re.sub(r"^\[\d/4\] |, \d+ s$", "", line) for line in told)
    assert lines == [
        "fails: failed with exit code 3",
        "reads: ok",
        "waits: needs the files of fails, which failed",
        "works: ok",
    ]
    assert [line[:5] for line in told] == [f"[{k}/4]" for k in (1, 2, 3, 4)]


def test_one_that_waits_blocks_no_other_and_two_run_at_once(scripts, tmp_path):
    # "first" ends only when "other" has run; "second" needs what "first" leaves.
    (scripts / "first.py").write_text(
        "import pathlib, time\n"
        "while not pathlib.Path('other').exists():\n    time.sleep(0.02)\n"
        "pathlib.Path('first').touch()\n"
    )
    (scripts / "second.py").write_text("import pathlib\nassert pathlib.Path('first').exists()\n")
    (scripts / "other.py").write_text("import pathlib\npathlib.Path('other').touch()\n")
    make = overview["runners"].Runner
    runners, told = [make("first"), make("second", after="first"), make("other")], []
    shared = dict(scripts=scripts, out=tmp_path / "smoke", tell=told.append)
    assert overview["processes"].run_all(runners, at_once=2, **shared) == []


def test_a_runner_that_hangs_is_stopped(scripts, tmp_path, monkeypatch):
    monkeypatch.setattr(overview["processes"], "LIMIT_SECONDS", 0.3)
    (scripts / "works.py").write_text("import time\ntime.sleep(60)\n")
    runners, told = [overview["runners"].Runner("works")], []
    assert overview["processes"].run_all(runners, scripts=scripts, out=tmp_path, at_once=1, tell=told.append) == [
        "works"
    ]
    assert "stopped after" in told[0]


def _main(scripts, *flags):
    """run_all.py with the made-up runners."""
    driver = f"""
import pathlib, sys
sys.path.insert(0, {str(EXPERIMENTS)!r})
from absl import app
import run_all
from overview.runners import Runner
run_all.RUNNERS = (Runner("works"), Runner("fails"), Runner("reads", after="works"), Runner("waits", long=True))
run_all.SCRIPTS = pathlib.Path({str(scripts)!r})
app.run(run_all.main)
"""
    return subprocess.run([sys.executable, "-c", driver, *flags], capture_output=True, text=True, timeout=100)


def test_the_command_names_what_failed_and_writes_the_index(scripts, tmp_path):
    results = tmp_path / "results"
    ended = _main(scripts, "--smoke", f"--output_dir={results}")
    assert ended.returncode != 0
    assert "1 of 3 runners failed: fails;" in ended.stderr and "Traceback" not in ended.stderr
    assert "works: ok" in ended.stdout and "fails: failed with exit code 3" in ended.stdout
    text = (results / "README.md").read_text()
    assert "A runner that works.\n\n- Command: `python experiments/works.py [PHOTO]`\n- Not run yet" in text
    ended = _main(scripts, "--smoke", "--only=reads", f"--output_dir={results}")
    assert ended.returncode == 0 and "fails" not in ended.stdout
    assert "works: ok" in ended.stdout and "reads: ok" in ended.stdout  # the one reads what the other leaves
    assert (results / "README.md").read_text() == text  # what is made in smoke mode is no result


def test_wrong_names_are_one_sentence(scripts, tmp_path):
    for flags, sentence in (
        (
            ["--smoke", "--only=nobody"],
            "There is no runner 'nobody' with tiny sizes; take some of works, fails, reads.",
        ),
        (["--smoke", "--only=waits"], "There is no runner 'waits'"),
        (["--only=works"], "add --smoke"),
    ):
        ended = _main(scripts, *flags, f"--output_dir={tmp_path / 'none'}")
        assert ended.returncode != 0
        assert sentence in ended.stdout + ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "none").exists()


def test_the_index_of_made_up_results(scripts, tmp_path):
    make, index = overview["runners"].Runner, overview["index"]
    results = tmp_path / "results"
    results.mkdir()
    (results / "works.md").write_text(
        "# Title\n\nCommand: `python experiments/works.py --seed=4`\n\nOn a 2-core CPU, JAX on cpu; jax 1.\n"
    )
    for name in ("works.json", "works_both_cpu.png", "fails_cpu.csv", "stray.png", "notes.txt"):
        (results / name).write_text("{}")
    runners = (make("works"), make("fails"), make("reads", results=("works_both",)), make("gone"))
    text = index.to_markdown(results, scripts=scripts, runners=runners)
    entries = dict(re.findall(r"^### (.+?)\n\n(.*?)\n(?=\n#|\Z)", text + "\n", re.MULTILINE | re.DOTALL))
    entries = {name: entry.rstrip() for name, entry in entries.items()}
    assert entries["works"] == (
        "A runner that works.\n\n- Command: `python experiments/works.py --seed=4`\n"
        "- On a 2-core CPU, JAX on cpu; jax 1.\n- [works.md](works.md), [works.json](works.json)"
    )
    assert entries["reads"].endswith("- [works_both_cpu.png](works_both_cpu.png)")
    assert entries["fails"] == "A runner that fails.\n\n- No command.\n- [fails_cpu.csv](fails_cpu.csv)"
    assert entries["gone"] == "This runner is missing."
    assert entries["Of unknown origin"] == "- [stray.png](stray.png)"
    assert "notes.txt" not in text
    assert index.to_markdown(results, scripts=scripts, runners=runners[::-1]) == text


def test_headlines_come_from_the_files_alone(tmp_path):
    headlines = overview["headlines"]
    (tmp_path / "a.json").write_text(
        json.dumps({"rows": [{"mm": 1.234, "of": "a, b"}, {"mm": 5.0, "of": "c"}], "count": 3})
    )
    sentences = (
        ("a.json", "<count:d> faces, <rows/0/mm:.2f> mm."),
        ("a.json", "<rows/of=a, b/mm:.1f>, <rows/mm=5.0&of=c/mm:.1f>."),
        ("a.json", "<rows/of=d/mm:d>"),
        ("a.json", "<rows/2/mm:d>"),
        ("a.json", "<count/deeper:d>"),
        ("b.json", "<count:d>"),
    )
    told = headlines.lines(tmp_path, tuple(headlines.Headline(*each) for each in sentences))
    assert told == [
        "- 3 faces, 1.23 mm. ([a.json](a.json))",
        "- 1.2, 5.0. ([a.json](a.json))",
        "- Not measured yet: `a.json` has no `rows/of=d/mm`.",
        "- Not measured yet: `a.json` has no `rows/2/mm`.",
        "- Not measured yet: `a.json` has no `count/deeper`.",
        "- Not measured yet: there is no `b.json`.",
    ]


def test_the_committed_index_is_that_of_the_results():
    text = (RESULTS / "README.md").read_text()
    made = overview["index"].to_markdown(RESULTS, scripts=EXPERIMENTS)
    assert text == made, "results or docstrings changed: run `python experiments/run_all.py`"
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    assert links == {path.name for path in RESULTS.iterdir() if path.is_file()} - {"README.md"}
    assert "` has no `" not in text and "unknown origin" not in text and "runner is missing" not in text


def test_every_runner_is_in_the_table():
    listed = {runner.script for runner in overview["runners"].RUNNERS}
    assert all((EXPERIMENTS / script).exists() for script in listed)
    runners = {path.name for path in EXPERIMENTS.glob("*.py") if path.stem not in TOOLS}
    assert runners <= listed
