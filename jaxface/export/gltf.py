"""A glTF 2.0 tree and the bytes that it points to, put together piece by piece (host side)."""

import io
import json
import struct

import numpy as np
from PIL import Image

from jaxface.export.pictures import COMPRESSION

ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963  # bufferView.target
FLOAT, UNSIGNED_INT = 5126, 5125  # accessor.componentType
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}  # accessor.type by columns


class Gltf:
    """`tree` is the JSON text as Python has it; `add` and its kin append to its lists, and return the place there."""

    def __init__(self):
        self.tree: dict = {"asset": {"version": "2.0", "generator": "jaxface"}}
        self._bytes = bytearray()

    def add(self, kind: str, item: dict) -> int:
        """One more item of the list `kind`, which glTF does not know empty."""
        items = self.tree.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def add_array(self, values: np.ndarray, *, target: int | None = None) -> int:
        """An accessor of rows of floats or indices, with a buffer view of its own."""
        whole = values.dtype.kind in "iu"
        values = np.ascontiguousarray(values, "<u4" if whole else "<f4")
        return self.add(
            "accessors",
            {
                "bufferView": self._add_bytes(values.tobytes(), target=target),
                "componentType": UNSIGNED_INT if whole else FLOAT,
                "type": KINDS[values.shape[1]],
                "count": len(values),
                "min": values.min(axis=0).tolist(),
                "max": values.max(axis=0).tolist(),
            },
        )

    def add_texture(self, picture: Image.Image) -> int:
        """A picture, as PNG, and the texture that shows it."""
        with io.BytesIO() as file:
            picture.save(file, "PNG", compress_level=COMPRESSION)
            view = self._add_bytes(file.getvalue())
        return self.add("textures", {"source": self.add("images", {"bufferView": view, "mimeType": "image/png"})})

    def to_glb(self) -> bytes:
        """The binary file, text and bytes in one."""
        tree = self.tree | {"buffers": [{"byteLength": len(self._bytes)}]}
        text = json.dumps(tree, separators=(",", ":")).encode()
        chunks = [(b"JSON", text + b" " * (-len(text) % 4)), (b"BIN\0", bytes(self._bytes))]
        packed = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<4sII", b"glTF", 2, 12 + len(packed)) + packed

    def _add_bytes(self, data: bytes, *, target: int | None = None) -> int:
        view = {"buffer": 0, "byteOffset": len(self._bytes), "byteLength": len(data)}
        self._bytes += data + bytes(-len(data) % 4)
        return self.add("bufferViews", view if target is None else view | {"target": target})
