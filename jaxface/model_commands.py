"""The verb `models` of the command line: what there is, what is known of it, and how it comes to be here."""

import sys
from typing import Any

from absl import flags

from jaxface.commands import UsageError, one_line
from jaxface.models import catalogue

_ACTIONS = ("list", "info", "install")
_FLAGS = {"from": "install", "part": "install", "plot": "info"}


def define_models_flags(values: flags.FlagValues) -> None:
    """Adds the flags of `jaxface models`."""
    where: dict[str, Any] = {"flag_values": values}
    parts = sorted({part for entry in catalogue.ENTRIES for part in entry.parts})
    flags.DEFINE_string("from", None, "install: the file or folder that you have; without it a download.", **where)
    flags.DEFINE_enum("part", None, parts, "install ict: how much of the head; face unless told otherwise.", **where)
    flags.DEFINE_string("plot", None, "info: a picture of the model with its landmarks is written here.", **where)


def models(arguments: list[str], values: flags.FlagValues) -> int:
    """Lists, describes or installs; returns 0, or 1 if it failed. Raises UsageError before any work."""
    action, *names = arguments or [""]
    if action not in _ACTIONS:
        raise UsageError(f"say what to do: {', '.join(_ACTIONS)}.")
    for flag, owner in _FLAGS.items():
        if values[flag].value is not None and action != owner:
            raise UsageError(f"--{flag} goes with {owner} only.")
    if action == "list":
        if names:
            raise UsageError("list takes no name; info NAME tells about one.")
        print("\n".join(_table()))
        return 0
    if len(names) != 1:
        raise UsageError(f"name one model or network for {action}; `jaxface models list` shows them.")
    entry = catalogue.find(names[0])
    if entry is None:
        raise UsageError(catalogue.unknown(names[0]))
    _check_request(action, entry, values)
    if action == "info":
        print("\n".join(_facts(entry)))
        if not catalogue.is_installed(entry) and not values["plot"].value:
            return 0
    return _attempt(action, entry, values)


def _check_request(action: str, entry: catalogue.Entry, values: flags.FlagValues) -> None:
    if values["plot"].value and entry.kind != "model":
        raise UsageError(f"--plot shows face models; {entry.name} is a {entry.kind}.")
    if values["part"].value and values["part"].value not in entry.parts:
        raise UsageError(f"--part: {entry.name} has no parts to choose from.")
    if action == "install" and entry.name == catalogue.DEFAULT:
        raise UsageError("default is part of jaxface; there is nothing to install.")


def _attempt(action: str, entry: catalogue.Entry, values: flags.FlagValues) -> int:
    """Whatever goes wrong is told in one line."""
    from jaxface.types import FaceError

    try:
        if action == "install":
            _install(entry, values)
        else:
            _describe(entry, values["plot"].value)
        return 0
    except (FaceError, OSError) as error:
        sentence = one_line(error)
    except Exception as error:  # a defect of ours, or of a library
        sentence = f"{type(error).__name__}: {one_line(error)}"
    print(f"jaxface: models {action} {entry.name}: {sentence}", file=sys.stderr)
    return 1


def _table() -> list[str]:
    chosen = catalogue.preferred()
    rows = [("", "name", "kind", "installed", "licence", "what it adds")]
    for entry in catalogue.ENTRIES:
        mark = "*" if entry is chosen else ""
        installed = "yes" if catalogue.is_installed(entry) else "no"
        rows.append((mark, entry.name, entry.kind, installed, entry.licence.partition(" (")[0], entry.adds))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, "", "* is used where no model is named. `jaxface models info NAME` tells more."]


def _facts(entry: catalogue.Entry) -> list[str]:
    """What can be said without opening anything."""
    kind = f"{entry.kind}, {'open to all uses' if entry.is_open else 'not open to all uses'}"
    facts = {"name": entry.name, "title": entry.title, "kind": kind, "licence": entry.licence, "adds": entry.adds}
    facts |= {"from": entry.url, "--from": entry.source, "--part": ", ".join(entry.parts)}
    if entry.name != catalogue.DEFAULT:
        here = catalogue.is_installed(entry)
        facts["installed"] = str(catalogue.installed_path(entry)) if here else f"no: {catalogue.how_to_install(entry)}."
    return [_line(title, fact) for title, fact in facts.items() if fact]


def _line(title: str, fact: str) -> str:
    return f"{title + ':':<11}{fact}"


def _describe(entry: catalogue.Entry, plot: str | None) -> None:
    """What the installed file holds."""
    from jaxface.models import store
    from jaxface.models.install import describe_model, describe_network

    if entry.kind == "network":
        print(_line("holds", describe_network(store.resolve_network(entry.name))))
    else:
        model = store.resolve(entry.name)
        print(_line("holds", describe_model(model)))
    if entry.name != catalogue.DEFAULT:
        stored = store.read_facts(catalogue.installed_path(entry))
        print(_line("read from", str(stored.get("source"))))
        if stored.get("note"):
            print(_line("note", str(stored["note"])))
    if plot:
        from jaxface.models.picture import plot_embedding

        plot_embedding(model, plot)
        print(_line("picture", plot))


def _install(entry: catalogue.Entry, values: flags.FlagValues) -> None:
    from jaxface.models.install import install

    is_watched = sys.stderr.isatty()
    if is_watched and entry.kind == "model":
        print("Converting a model takes a minute or two, once.", file=sys.stderr)
    report = install(entry.name, source=values["from"].value, part=values["part"].value, progress=is_watched)
    print("\n".join(report.sentences))
