"""glTF files as the format's text describes them, and as Khronos' validator judges them."""

import json
import os
import pathlib
import shutil
import struct
import subprocess

import numpy as np
import pytest

NODE_MODULES = pathlib.Path(__file__).resolve().parents[1] / "node_modules"
COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
COMPONENTS = {5125: "<u4", 5126: "<f4"}


def read_glb(path: pathlib.Path) -> tuple[dict, bytes]:
    """The tree and the bytes of a binary glTF."""
    data = path.read_bytes()
    magic, version, total, length, kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    size, kind = struct.unpack("<I4s", data[20 + length : 28 + length])
    assert (size, kind) == (len(data) - 28 - length, b"BIN\0")
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def read_accessor(tree: dict, data: bytes, index: int) -> np.ndarray:
    """Rows of an accessor; its bounds, where given, must be those of its values."""
    accessor = tree["accessors"][index]
    view = tree["bufferViews"][accessor["bufferView"]]
    shape = accessor["count"], COLUMNS[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    values = np.frombuffer(data, COMPONENTS[accessor["componentType"]], shape[0] * shape[1], start).reshape(shape)
    if "min" in accessor:
        np.testing.assert_array_equal(values.min(axis=0), np.asarray(accessor["min"], values.dtype))
        np.testing.assert_array_equal(values.max(axis=0), np.asarray(accessor["max"], values.dtype))
    return values


def validate(path: pathlib.Path) -> dict:
    """Report of Khronos' validator; skips where it is not installed."""
    modules = pathlib.Path(os.environ.get("GLTF_VALIDATOR_MODULES", NODE_MODULES))
    if shutil.which("node") is None or not (modules / "gltf-validator").is_dir():
        pytest.skip("needs node and `npm install gltf-validator`; `make test-all` brings it")
    script = (
        "const v = require(process.argv[1]); const fs = require('fs');"
        "v.validateBytes(new Uint8Array(fs.readFileSync(process.argv[2])))"
        ".then(r => console.log(JSON.stringify(r)), e => { console.error(e); process.exit(1); });"
    )
    command = ["node", "-e", script, str(modules / "gltf-validator"), str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
