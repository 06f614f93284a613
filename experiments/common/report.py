"""The files in which a runner ends: text with tables, numbers, one picture."""

import csv
import importlib.metadata
import io
import json
import os
import pathlib
import re
import shlex
import sys

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from jaxface.io.atomic import new_file

DPI = 110
_LARGE_BYTES = 400_000


def environment() -> dict[str, object]:
    """Versions and kind of machine; nothing that names it."""
    versions = {}
    for name in ("jaxface", "jax", "numpy", "scipy", "mediapipe"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    return {"machine": f"{os.cpu_count()}-core CPU, JAX on {jax.default_backend()}", "versions": versions}


def command() -> str:
    """The command as it was given."""
    return shlex.join(["python", f"experiments/{pathlib.Path(sys.argv[0]).name}", *sys.argv[1:]])


def head(title: str, settings: dict) -> list[str]:
    """First lines of a report: title, the command, settings, machine and versions."""
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in settings.items()}
    around = environment()
    versions = ", ".join(f"{name} {version}" for name, version in around["versions"].items())
    lines = [f"# {title}", "", f"Command: `{command()}`"]
    if shown:
        lines += ["", f"Settings: {'; '.join(f'{name} {value}' for name, value in shown.items())}."]
    return [*lines, "", f"On a {around['machine']}; {versions}.", ""]


def write(folder: str | os.PathLike, name: str, lines: list[str], record: dict, figure: Figure | None = None) -> None:
    """Writes `name`.md, .json (`record`, with machine and versions) and .png into the folder, and prints the first."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines).rstrip("\n") + "\n"
    (folder / f"{name}.md").write_text(text)
    stored = {**environment(), **record}
    (folder / f"{name}.json").write_text(json.dumps(stored, indent=1, default=float) + "\n")
    if figure is not None:
        save_figure(folder / f"{name}.png", figure)
    print(text)


def write_csv(path: str | os.PathLike, rows: list[dict], *, names: tuple[str, ...] = ()) -> None:
    """A line for each row under `names` and whatever else the rows have."""
    names = list(dict.fromkeys([*names, *(name for row in rows for name in row)]))
    with new_file(path) as fresh, fresh.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)


def save_figure(path: str | os.PathLike, figure: Figure) -> None:
    """Writes a PNG; a large one with 256 colours: a third of the bytes, and photos and clay look the same."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=DPI)
    if stream.tell() < _LARGE_BYTES:
        pathlib.Path(path).write_bytes(stream.getvalue())
        return
    with Image.open(stream) as drawn:
        drawn.convert("RGB").quantize(256, kmeans=1).save(path, optimize=True)


def slug(device: str) -> str:
    """A device's name as a part of a file's."""
    return re.sub(r"[^a-z0-9]+", "_", device.lower()).strip("_")


def means(records: list[dict], *fields: str) -> list[dict]:
    """A row for each combination of what the records have in `fields`, in their order: how many records, and the means
    of their floats, each over those that have it."""
    groups: dict[tuple, list[dict]] = {}
    for record in records:
        groups.setdefault(tuple(record[field] for field in fields), []).append(record)
    rows = []
    for values, found in groups.items():
        names = dict.fromkeys(name for each in found for name, value in each.items() if isinstance(value, float))
        row = {name: float(np.mean([each[name] for each in found if name in each])) for name in names}
        rows.append(dict(zip(fields, values, strict=True)) | {"cases": len(found)} | row)
    return rows


def table(rows: list[dict], columns: dict[str, tuple[str, str]]) -> list[str]:
    """Markdown: of each row the keys that `columns` name by title, each with its format; "-" where it has no such."""
    cells = [[cell(row.get(key), style) for key, style in columns.values()] for row in rows]
    return format_table([list(columns), *cells])


def cell(value: object, style: str = "") -> str:
    """A value in its format; "share" is percents."""
    if value is None:
        return "-"
    return f"{100 * value:.0f} %" if style == "share" else format(value, style)


def every_column(rows: list[dict]) -> list[str]:
    """Markdown of all that the rows have, columns in order of first appearance, nothing where a row has no such."""
    columns = list(dict.fromkeys(name for row in rows for name, value in row.items() if value is not None))
    found = [[row.get(name) for name in columns] for row in rows]
    cells = [["" if x is None else f"{x:.4g}" if isinstance(x, float) else str(x) for x in line] for line in found]
    return format_table([columns, *cells])


def format_table(cells: list[list[str]]) -> list[str]:
    """Lines of a Markdown table, columns aligned; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [[each.ljust(width) for each, width in zip(line, widths, strict=True)] for line in cells]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return [text[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *text[1:]]


def listed(title: str, entries: dict[str, str]) -> list[str]:
    """How many entries there are, and each with its reason."""
    return [f"{title}: {len(entries)}.", *(f"- {name}: {reason}" for name, reason in entries.items()), ""]
