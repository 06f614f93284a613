"""The clips behind a pattern, a result folder for each, and a note of what is finished."""

import collections
import glob
import hashlib
import json
import os
import pathlib
from typing import NamedTuple

from jaxface.io.atomic import new_file

RESULT = "result.json"  # what the tracker writes last
_NOTES = ".finished"


class Clip(NamedTuple):
    """A video, or a folder of pictures: as the pattern named it, and where it and its results are (absolute)."""

    shown: str
    source: pathlib.Path
    folder: pathlib.Path


def find_clips(pattern: str, output_dir: pathlib.Path) -> list[Clip]:
    """What `pattern` matches, sorted, each place once, results of earlier runs left out.

    The result folder has the clip's own name. Where several share one, in any case, each has a digest of its path after
    it, counted from the pattern's fixed part: neither the order nor the machine decides which folder is whose.
    """
    output_dir, found = output_dir.resolve(), {}
    for shown in sorted(glob.glob(pattern, recursive=True)):
        source = pathlib.Path(shown).resolve()
        if not source.is_relative_to(output_dir):
            found.setdefault(source, shown)
    uses = collections.Counter(_name(source).casefold() for source in found)
    root, clips = _fixed_part(pattern), []
    for source, shown in found.items():
        name = _name(source)
        if uses[name.casefold()] > 1:
            name = f"{name}-{_digest(os.path.relpath(source, root))}"
        clips.append(Clip(shown, source, output_dir / name))
    return clips


def stamp(clip: Clip) -> list[list]:
    """Names, sizes and times of the clip's files: cheap, and others when the clip is replaced."""
    files = sorted(clip.source.iterdir()) if clip.source.is_dir() else [clip.source]
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def note_finished(clip: Clip, settings: dict, *, stamped: list[list], result: dict) -> None:
    """Remembers the result of a clip that was as `stamped` before, with these settings (all JSON-able)."""
    path = _note_path(clip)
    path.parent.mkdir(exist_ok=True)
    with new_file(path) as fresh:
        fresh.write_text(json.dumps({"clip": stamped, "settings": settings, "result": result}, indent=1) + "\n")


def finished(clip: Clip, settings: dict) -> dict | None:
    """The noted result, if it is of this very clip with these very settings and still there; else None."""
    try:
        note = json.loads(_note_path(clip).read_text())
        is_same = note["clip"] == stamp(clip) and note["settings"] == settings and (clip.folder / RESULT).is_file()
        return note["result"] if is_same else None
    except (OSError, ValueError, KeyError, TypeError):  # no note, or not one of ours
        return None


def _note_path(clip: Clip) -> pathlib.Path:
    return clip.folder.parent / _NOTES / f"{clip.folder.name}.json"


def _name(source: pathlib.Path) -> str:
    return source.name if source.is_dir() else source.stem


def _fixed_part(pattern: str) -> pathlib.Path:
    """The folder before the first wildcard."""
    parts = pathlib.Path(pattern).parts[:-1]
    magic = [glob.has_magic(part) for part in parts]
    fixed = parts[: magic.index(True)] if any(magic) else parts
    return pathlib.Path(*fixed).resolve()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
