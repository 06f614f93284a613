"""The files in which a runner's figures end: text with tables, numbers, one picture."""

import io
import json
import os
import pathlib
import shlex
import sys

from accuracy_study import report
from matplotlib.figure import Figure
from PIL import Image

DPI = 110
_LARGE_BYTES = 400_000


def head(title: str, settings: dict) -> list[str]:
    """First lines of a report: title, the command as it was given, settings, machine and versions."""
    command = shlex.join(["python", f"experiments/{pathlib.Path(sys.argv[0]).name}", *sys.argv[1:]])
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in settings.items()}
    around = report.environment()
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    lines = [f"# {title}", "", f"Command: `{command}`"]
    if shown:
        lines += ["", f"Settings: {'; '.join(f'{name} {value}' for name, value in shown.items())}."]
    return [*lines, "", f"On a {around['machine']}; {versions}.", ""]


def write(folder: str | os.PathLike, name: str, lines: list[str], record: dict, figure: Figure) -> None:
    """Writes `name`.md, .json (`record`, with machine and versions) and .png into the folder, and prints the first."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines).rstrip("\n") + "\n"
    (folder / f"{name}.md").write_text(text)
    stored = {**report.environment(), **record}
    (folder / f"{name}.json").write_text(json.dumps(stored, indent=1, default=float) + "\n")
    save_figure(folder / f"{name}.png", figure)
    print(text)


def save_figure(path: str | os.PathLike, figure: Figure) -> None:
    """Writes a PNG; a large one with 256 colours: a third of the bytes, and photos and clay look the same."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=DPI)
    if stream.tell() < _LARGE_BYTES:
        pathlib.Path(path).write_bytes(stream.getvalue())
        return
    with Image.open(stream) as drawn:
        drawn.convert("RGB").quantize(256, kmeans=1).save(path, optimize=True)
