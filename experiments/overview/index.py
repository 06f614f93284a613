"""The index of the results: what each table and figure shows, and the command that made it."""

import ast
import pathlib
import re

from overview import headlines
from overview.runners import OTHERS, RUNNERS, Runner

KINDS = (".md", ".json", ".csv", ".png")
_HEAD = """# Results

Written by `python experiments/run_all.py` from the files beside it and the runners' docstrings. Run a command anew in
the repository's root to make its files anew; `make experiments` runs all that have tiny sizes, to see that they run.

## Figures that the README quotes

The README's numbers come from here and nowhere else.
"""


def write(folder: pathlib.Path, *, scripts: pathlib.Path, runners: tuple[Runner, ...] = RUNNERS) -> pathlib.Path:
    """Writes the index of a folder of results into it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "README.md"
    path.write_text(to_markdown(folder, scripts=scripts, runners=runners))
    return path


def to_markdown(folder: pathlib.Path, *, scripts: pathlib.Path, runners: tuple[Runner, ...] = RUNNERS) -> str:
    """The index; the same for the same files."""
    found = assign(folder, runners)
    lines = [*_HEAD.splitlines(), "", *headlines.lines(folder), "", "## Tables and figures", ""]
    for runner in sorted(runners, key=lambda runner: runner.name):
        if not runner.notebook:
            lines += [
                f"### {runner.name}",
                "",
                *_entry(folder, scripts / runner.script, found.pop(runner.name, [])),
                "",
            ]
    for name, (title, command) in OTHERS.items():
        if name in found:
            lines += [f"### {name}", "", title, "", f"- Command: `{command}`", _links(found.pop(name)), ""]
    if found:
        lines += ["### Of unknown origin", "", *(_links(files) for files in found.values()), ""]
    return "\n".join(lines)


def assign(folder: pathlib.Path, runners: tuple[Runner, ...]) -> dict[str, list[str]]:
    """File names by what made them: the longest name with which they begin; "" where there is none."""
    makers = {prefix: runner.name for runner in runners for prefix in runner.prefixes} | {name: name for name in OTHERS}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else []):
        if path.suffix in KINDS and path.name != "README.md":
            fitting = [prefix for prefix in makers if path.stem == prefix or path.stem.startswith(f"{prefix}_")]
            found.setdefault(makers[max(fitting, key=len)] if fitting else "", []).append(path.name)
    return found


def _entry(folder: pathlib.Path, script: pathlib.Path, files: list[str]) -> list[str]:
    """Title, command, machine and links of one runner."""
    if not script.exists():
        return ["This runner is missing."]
    title, command = describe(script)
    tables = [(folder / name).read_text() for name in files if name.endswith(".md")]
    commands = [found for text in tables for found in re.findall(r"^Command: `(.+)`$", text, re.MULTILINE)]
    if not commands and command is None:  # a module that others call
        commands = [found for text in tables for found in re.findall(r"`(python experiments/[^`]+)`", text)]
    lines = [title, "", f"- Command: `{(commands or [command])[0]}`" if commands or command else "- No command."]
    if not files:
        return [*lines, "- Not run yet: no results here."]
    machines = dict.fromkeys(line for text in tables for line in re.findall(r"^(?:On an? |device ).+$", text, re.M))
    return [*lines, *(f"- {line}" for line in machines), _links(files)]


def _links(files: list[str]) -> str:
    order = sorted(files, key=lambda name: (KINDS.index(pathlib.Path(name).suffix), name))
    return "- " + ", ".join(f"[{name}]({name})" for name in order)


def describe(script: pathlib.Path) -> tuple[str, str | None]:
    """A runner's title, the first paragraph of its docstring, and its command, the first indented line."""
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    title = " ".join(text.split("\n\n")[0].split())
    command = re.search(r"^ {4}(\S.*)$", text, re.MULTILINE)
    return title, command.group(1) if command else None
