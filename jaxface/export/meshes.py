"""Meshes as OBJ and PLY, and what `glb` shares with them (host side).

Millimetres, in the object frame's axes (x to the subject's left, y up, z out of the face). Arrays are host arrays;
colours RGB in [0, 1]; textures as pictures, row 0 at v = 1. `normal_map` holds unit normals in the tangent frame (x
along u, y along v, z out) relative to `normals`.
"""

import os
import pathlib

import numpy as np
from jaxtyping import Float, Int

from jaxface.export.pictures import save_picture, to_bytes
from jaxface.io.atomic import new_file
from jaxface.types import Mesh

METRES_PER_MM = 0.001


def write_obj(
    path: str | os.PathLike,
    mesh: Mesh,
    *,
    normals: Float[np.ndarray, "vertices 3"],
    albedo_texture: Float[np.ndarray, "rows columns 3"] | None = None,
    normal_map: Float[np.ndarray, "rows columns 3"] | None = None,
) -> None:
    """`path` (.obj, in millimetres); with a texture, beside it the .mtl, the .png and, where given, `_normals.png`."""
    path = pathlib.Path(path)
    material = path.with_suffix(".mtl")
    if albedo_texture is not None:
        _write_material(material, albedo_texture, normal_map)
    with new_file(path) as fresh:
        fresh.write_text(_obj(mesh, unit_rows(normals), "" if albedo_texture is None else material.name))


def write_ply(
    path: str | os.PathLike,
    mesh: Mesh,
    *,
    normals: Float[np.ndarray, "vertices 3"] | None = None,
    colours: Float[np.ndarray, "vertices 3"] | None = None,
) -> None:
    """Binary little-endian PLY in millimetres, with normals and 8-bit colours where given."""
    columns = [("x y z", "float", "<f4", mesh.vertices_mm)]
    if normals is not None:
        columns.append(("nx ny nz", "float", "<f4", unit_rows(normals)))
    if colours is not None:
        columns.append(("red green blue", "uchar", "u1", to_bytes(colours)))
    fields = [(name, kind) for names, _, kind, _ in columns for name in names.split()]
    vertices = np.empty(len(mesh.vertices_mm), np.dtype(fields))
    for names, _, _, values in columns:
        for axis, name in enumerate(names.split()):
            vertices[name] = values[:, axis]
    faces = np.empty(len(mesh.triangles), np.dtype([("count", "u1"), ("corners", "<i4", (3,))]))
    faces["count"], faces["corners"] = 3, mesh.triangles
    properties = [f"property {word} {name}" for names, word, _, _ in columns for name in names.split()]
    with new_file(path) as fresh:
        fresh.write_bytes(_ply_header(vertices, faces, properties) + vertices.tobytes() + faces.tobytes())


def split_seams(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vertex, uv_vertex, triangles) with one row a distinct pair, as formats with one index a corner need."""
    pairs = mesh.triangles.astype(np.int64) * len(mesh.uvs) + mesh.uv_triangles
    distinct, corners = np.unique(pairs, return_inverse=True)
    return distinct // len(mesh.uvs), distinct % len(mesh.uvs), corners.reshape(-1, 3)


def unit_rows(vectors: Float[np.ndarray, "vertices 3"]) -> Float[np.ndarray, "vertices 3"]:
    """Rows of length 1; a row without a direction becomes +z, since viewers choke on zero normals."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    usable = np.isfinite(lengths) & (lengths > 1e-8)
    up = np.array([[0.0, 0.0, 1.0]], np.float32)
    return np.where(usable, vectors / np.where(usable, lengths, 1.0), up).astype(np.float32)


def surface_normals(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "vertices 3"]:
    """Area-weighted unit normals."""
    corners = vertices[triangles].astype(np.float64)
    faces = np.repeat(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), 3, axis=0)
    sums = [np.bincount(triangles.ravel(), column, minlength=len(vertices)) for column in faces.T]
    return unit_rows(np.stack(sums, axis=1))


def _write_picture(path: pathlib.Path, values: np.ndarray) -> None:
    with new_file(path) as fresh:
        save_picture(fresh, to_bytes(values))


def _write_material(path: pathlib.Path, albedo_texture: np.ndarray, normal_map: np.ndarray | None) -> None:
    texture, bumps = path.with_suffix(".png"), path.with_name(f"{path.stem}_normals.png")
    lines = ["newmtl face", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "illum 1", f"map_Kd {texture.name}"]
    _write_picture(texture, albedo_texture)
    if normal_map is not None:
        _write_picture(bumps, 0.5 + 0.5 * normal_map)
        lines.append(f"norm {bumps.name}")
    with new_file(path) as fresh:
        fresh.write_text("\n".join(lines) + "\n")


def _obj(mesh: Mesh, normals: np.ndarray, material: str) -> str:
    corners = np.stack([mesh.triangles, mesh.uv_triangles, mesh.triangles], axis=-1) + 1
    return "".join(
        [
            "# unit: millimetre; x to the subject's left, y up, z out of the face\n",
            f"mtllib {material}\n" if material else "",
            _rows("v %.5f %.5f %.5f\n", mesh.vertices_mm),
            _rows("vt %.6f %.6f\n", mesh.uvs),
            _rows("vn %.5f %.5f %.5f\n", normals),
            "usemtl face\n" if material else "",
            _rows("f %d/%d/%d %d/%d/%d %d/%d/%d\n", corners.reshape(-1, 9)),
        ]
    )


def _rows(template: str, values: np.ndarray) -> str:
    return (template * len(values)) % tuple(values.ravel().tolist())


def _ply_header(vertices: np.ndarray, faces: np.ndarray, properties: list[str]) -> bytes:
    lines = [
        "ply",
        "format binary_little_endian 1.0",
        "comment unit: millimetre; x to the subject's left, y up, z out of the face",
        f"element vertex {len(vertices)}",
        *properties,
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    return ("\n".join(lines) + "\n").encode("ascii")
