"""Each notebook is its script, holds no outputs, and runs.

It runs once, in smoke mode and in one process of its own: as a notebook in a kernel where nbclient and ipykernel are
installed, else its script in a plain interpreter.
"""

import ast
import asyncio
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import warnings

import pytest

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "experiments" / "notebooks"
NAMES = ("quickstart", "energies", "video")
NEEDS_FACES = ("quickstart", "video")
PICTURES = {"quickstart": 2, "energies": 3, "video": 5}
SAYS = {
    "quickstart": (r"fine phase 2 +ok", r"mesh\.glb  \d+\.\d MB"),
    "energies": (r"error, degrees +[\d.]+ -> +[\d.]+ at weight",),
    "video": (r"4 frames, model default: jitter [\d.]+ mm", r"frame 2 is bridged: no face was found"),
}
AS_NOTEBOOKS = all(importlib.util.find_spec(name) is not None for name in ("nbclient", "ipykernel"))


def load(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def script_cells(name: str) -> list[tuple[str, str]]:
    """(type, source) of each cell of a script in jupytext's percent format; magics stand in comments there."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    header, *parts = re.split(r"^# %%", text, flags=re.M)
    assert header.startswith("# ---\n") and header.rstrip().endswith("# ---")
    cells = []
    for part in parts:
        kind, _, body = part.partition("\n")
        if kind.strip() == "[markdown]":
            cells.append(("markdown", re.sub(r"^# ?", "", body, flags=re.M).strip()))
        else:
            cells.append(("code", re.sub(r"^( *)# (?=%\w)", r"\1", body, flags=re.M).strip()))
    return cells


def test_all_notebooks_are_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_and_script_agree_cell_by_cell(name):
    stored = [(cell["cell_type"], "".join(cell["source"])) for cell in load(name)["cells"]]
    assert stored == script_cells(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_pairing_writes_the_same_bytes(name, monkeypatch):
    pytest.importorskip("jupytext", reason="jupytext is not installed")
    monkeypatch.syspath_prepend(FOLDER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours
        import pair
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert pair.addressed(text) == text
    assert pair.to_notebook(text, name=name) == (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert pair.addressed(text.replace("github.com/jaxface/", "github.com/other/")) == text


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_stored_without_outputs(name):
    cells = load(name)["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells) < 20
    for cell in cells:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("name", NAMES)
def test_it_opens_in_colab_and_installs_itself_only_there(name):
    first, install, *_ = load(name)["cells"]
    badge = r"\[!\[Open In Colab\]\(https://colab\.research\.google\.com/assets/colab-badge\.svg\)\]\((.*)\)"
    link = re.search(badge, "".join(first["source"])).group(1)
    assert re.fullmatch(rf"https://colab\.research\.google\.com/github/[\w-]+/[\w-]+/blob/main/{_place(name)}", link)
    lines = "".join(install["source"]).splitlines()
    pip = next(place for place, line in enumerate(lines) if "%pip" in line)
    assert lines[pip - 1] == 'if "google.colab" in sys.modules:' and lines[pip].startswith("    %pip install")


def _place(name: str) -> str:
    return (FOLDER / f"{name}.ipynb").relative_to(FOLDER.parents[1]).as_posix()


@pytest.mark.parametrize("name", NEEDS_FACES)
def test_without_mediapipe_one_sentence_ends_it(name, monkeypatch, tmp_path):
    """The statement that asks for a face, as it stands in the script."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    (asks,) = [node for node in tree.body if isinstance(node, ast.Try)]
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "mediapipe" else found(name))
    with pytest.raises(SystemExit) as ended:
        exec(compile(ast.Module([asks], []), name, "exec"), _before(tmp_path))
    assert re.fullmatch(r"MediaPipe is not installed: run `pip install [^.]*\.", ended.value.code)


def _before(tmp_path: pathlib.Path) -> dict:
    """What the statement finds defined."""
    import numpy as np
    from PIL import Image

    import jaxface
    from jaxface.tracking.records import TrackSettings
    from jaxface.tracking.track import track
    from jaxface.types import FaceError

    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "0.png")
    given = {"CLIP": tmp_path / "photos", "folder": tmp_path, "photo": np.zeros((64, 64, 3)), "SIZE": 128}
    used = {"sys": sys, "jaxface": jaxface, "TrackSettings": TrackSettings, "track": track, "FaceError": FaceError}
    return given | used


@pytest.mark.parametrize("name", [*NAMES[:2], pytest.param("video", marks=pytest.mark.slow)])
def test_it_runs_to_its_end(name, tmp_path, monkeypatch):
    if name in NEEDS_FACES:
        pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    monkeypatch.setenv("JAXFACE_SMOKE", "1")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    said = _execute(name, tmp_path) if AS_NOTEBOOKS else _run_script(name, tmp_path)
    for words in SAYS[name]:
        assert re.search(words, said), said


def _execute(name: str, folder: pathlib.Path) -> str:
    """What the notebook prints; a failing cell raises. Its pictures are counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not ours
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        client = NotebookClient(notebook, timeout=1500, resources={"metadata": {"path": str(folder)}})
        asyncio.run(client.async_execute())
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[name]
    assert any("text/html" in output.get("data", {}) for output in outputs) == (name in NEEDS_FACES)  # the 3D viewer
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def _run_script(name: str, folder: pathlib.Path) -> str:
    ended = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py")],
        capture_output=True, text=True, timeout=1500, cwd=folder, env=os.environ | {"MPLBACKEND": "Agg"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
