"""What became of every clip: one table, for the terminal and for programs."""

import pathlib
from typing import NamedTuple

from common.report import format_table, write_csv

from jaxface.io.atomic import new_file


class Row(NamedTuple):
    """A clip's line: `status` is "done", "skipped" (done before) or "failed"; None where nothing is known."""

    clip: str
    folder: str
    status: str
    ok: int | None
    bridged: int | None
    lost: int | None
    seconds: float | None
    reason: str


def to_row(clip: str, folder: str, answer: dict) -> Row:
    """The line of a clip whose worker gave this answer."""
    counts = [answer["frames"].get(state) for state in ("ok", "bridged", "lost")]
    seconds = None if answer["seconds"] is None else round(answer["seconds"], 1)
    return Row(clip, folder, answer["status"], *counts, seconds, answer["reason"])


def write(rows: list[Row], folder: pathlib.Path) -> str:
    """Writes summary.csv and summary.md, and returns the latter's text."""
    write_csv(folder / "summary.csv", [row._asdict() for row in rows], names=Row._fields)
    text = to_markdown(rows)
    with new_file(folder / "summary.md") as fresh:
        fresh.write_text(text)
    return text


def to_markdown(rows: list[Row]) -> str:
    """A table and a line of totals; columns aligned for the terminal."""
    lines = format_table([Row._fields, *([_cell(value) for value in row] for row in rows)])
    states = [row.status for row in rows]
    totals = ", ".join(f"{states.count(state)} {state}" for state in ("done", "skipped", "failed"))
    return "\n".join([*lines, "", f"{len(rows)} clips: {totals}."]) + "\n"


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", "\\|")
