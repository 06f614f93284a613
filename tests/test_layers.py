"""Imports point inwards only: every import of jaxface in jaxface, wherever it stands in a file, is read with ast."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "jaxface"

CORE = {"types", "numerics"}
LEAVES = ["imaging", "geometry", "morphable", "rendering"]  # each may use those to its left
INNER = CORE | set(LEAVES) | {"energies"}
STAGES = INNER | {"solvers", "presets", "synthetic"}
PROGRAM = STAGES | {"stages", "templates", "verdicts", "execution", "mapping"}  # what runs on devices
HOST = PROGRAM | {"program", "networks", "io", "export", "detection", "models", "evaluation"}
PIPELINE = HOST | {"stage_log", "network_outputs"}

ALLOWED = {
    "types": set(),
    "numerics": set(),
    **{leaf: CORE | set(LEAVES[:place]) for place, leaf in enumerate(LEAVES)},
    "solvers": CORE,
    "energies": CORE | set(LEAVES),
    "presets": INNER,
    "synthetic": INNER,
    "stages": STAGES,
    "templates": STAGES | {"stages"},
    "verdicts": INNER,
    "execution": CORE,
    "mapping": CORE | {"execution"},
    "program": PROGRAM | {"networks"},
    "io": CORE,
    "export": CORE | {"io"} | set(LEAVES),
    "networks": CORE | set(LEAVES),
    "detection": CORE | set(LEAVES) | {"networks"},
    "models": INNER | {"synthetic", "networks", "io", "detection"},
    "evaluation": CORE | {"imaging", "geometry"},
    "stage_log": HOST,
    "network_outputs": HOST,
    "photos": PIPELINE,
    "pipeline": PIPELINE | {"photos"},
    "tracking": PIPELINE,
    "commands": PIPELINE | {"photos", "pipeline", "tracking"},
    "__main__": PIPELINE | {"photos", "pipeline", "tracking", "commands"},
    "__init__": PIPELINE | {"photos", "pipeline", "tracking"},
}
# Modules beside the one that gave the ring its name, split off when it grew.
ALIASES = {
    "synthetic_fields": "synthetic",
    "synthetic_paint": "synthetic",
    "model_commands": "commands",
    "track_commands": "commands",
    "evaluate_commands": "commands",
    "error_views": "commands",
    "state": "program",
    "network_view": "program",
}
SEALED = {"stages"}  # rings whose modules do not import each other


def ring_of(parts: tuple[str, ...]) -> str:
    """The ring of a module given its path inside the package."""
    return ALIASES.get(parts[0], parts[0]) if parts else "__init__"


def imports(source: str, *, package: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """What `source`, a module in `package`, imports from jaxface, as paths inside the package."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ("jaxface", *package)[: len(package) + 2 - node.level] if node.level else ()
            base = above + tuple((node.module or "").split(".") if node.module else ())
            found |= {(*base, alias.name) for alias in node.names}
    return {path[1:] for path in found if path[0] == "jaxface"}


def modules() -> list[tuple[str, ...]]:
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found.append(parts)
    return found


@pytest.mark.parametrize("parts", modules(), ids=".".join)
def test_imports_point_inwards(parts):
    package = parts[:-1]
    ring = ring_of(parts)
    assert ring in ALLOWED, f"{'.'.join(parts)} belongs to no ring; give it a place in ALLOWED"
    source = PACKAGE.joinpath(*parts).with_suffix(".py").read_text()
    for target in imports(source, package=package):
        other = ring_of(target)
        if other == ring:
            assert ring not in SEALED or not package, f"{'.'.join(parts)} imports its sibling {'.'.join(target)}"
        else:
            assert other in ALLOWED[ring], f"{'.'.join(parts)} must not import {'.'.join(target)}"


def test_imports_are_seen_in_every_form():
    source = """
import numpy, jaxface.types
from jaxface import numerics as n, pipeline
def inside():
    from jaxface.stages.fine import run
    from . import albedo
    from ..solvers import adam
"""
    assert imports(source, package=("energies",)) == {
        ("types",),
        ("numerics",),
        ("pipeline",),
        ("stages", "fine", "run"),
        ("energies", "albedo"),
        ("solvers", "adam"),
    }


def test_the_table_has_no_arrow_outwards():
    """Whoever may be imported may not import back, and may itself import no more than the importer."""
    for ring in ALLOWED:
        for inner in ALLOWED[ring]:
            assert ring not in ALLOWED[inner]
            assert ALLOWED[inner] <= ALLOWED[ring]
