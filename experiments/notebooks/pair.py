"""Writes each notebook from its script beside it.

    python experiments/notebooks/pair.py

A second. Edit the scripts (jupytext's percent format), then run this: quickstart.ipynb, energies.ipynb and video.ipynb
are written anew, without outputs, with the same bytes for the same script. Needs `pip install "jaxface[notebooks]"`.
REPOSITORY is the one place where the public address stands; it is put into the scripts too.
"""

import pathlib
import re

import jupytext
import nbformat
from absl import app

REPOSITORY = "jaxface/jaxface"  # on GitHub: owner/name
NAMES = ("quickstart", "energies", "video")
FOLDER = pathlib.Path(__file__).resolve().parent


def addressed(text: str) -> str:
    """The script with every GitHub address set to REPOSITORY."""
    return re.sub(r"(github(?:\.com)?/)[\w.-]+/[\w-]+", rf"\g<1>{REPOSITORY}", text)


def to_notebook(text: str, *, name: str) -> str:
    """The notebook of a script, as stored: cells are numbered, so that nothing is random."""
    notebook = jupytext.reads(text, fmt="py:percent")
    for place, cell in enumerate(notebook.cells):
        cell["id"], cell["metadata"] = f"{name}-{place:02d}", {}
    notebook.metadata["language_info"] = {"name": "python"}
    return nbformat.writes(notebook, version=4) + "\n"


def main(_) -> None:
    """Scripts in, notebooks out."""
    for name in NAMES:
        script = FOLDER / f"{name}.py"
        text = addressed(script.read_text(encoding="utf-8"))
        script.write_text(text, encoding="utf-8")
        script.with_suffix(".ipynb").write_text(to_notebook(text, name=name), encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
