"""A face as one GLB (host side): one mesh with a primitive for its skin, its eyes, and its teeth with what is around.

Metres; axes are the object frame's (x to the subject's left, y up, z out of the face), which are glTF's. Arrays are
host arrays; colours RGB in [0, 1]; textures as pictures, row 0 at v = 1. `normal_map` holds unit normals in the tangent
frame (x along u, y along v, z out) relative to `normals`; skin alone has it, as it alone has relief.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxface.export.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, Gltf
from jaxface.export.meshes import METRES_PER_MM, split_seams, surface_normals, unit_rows
from jaxface.export.pictures import to_picture
from jaxface.export.tangents import vertex_tangents
from jaxface.io.atomic import new_file
from jaxface.types import Mesh, Part

# By eye: skin without make-up or sweat, wet eyeballs, enamel and tongue.
ROUGHNESS = {"skin": 0.6, "eyes": 0.1, "teeth": 0.3}


class Morphs(NamedTuple):
    """What each expression at weight 1 adds to a mesh, by name, and the weights of the shape at rest."""

    names: tuple[str, ...]
    offsets_mm: Float[np.ndarray, "expression vertices 3"]
    weights: Float[np.ndarray, "expression"]


def write_glb(
    path: str | os.PathLike,
    mesh: Mesh,
    *,
    normals: Float[np.ndarray, "vertices 3"],
    albedo_texture: Float[np.ndarray, "rows columns 3"],
    normal_map: Float[np.ndarray, "rows columns 3"] | None = None,
    morphs: Morphs | None = None,
) -> None:
    """One glTF 2.0 file with everything inside: geometry, UVs, PBR materials that share their textures, and `morphs` as
    morph targets (`extras.targetNames`, where viewers look)."""
    data = glb_bytes(mesh, normals=normals, albedo_texture=albedo_texture, normal_map=normal_map, morphs=morphs)
    with new_file(path) as fresh:
        fresh.write_bytes(data)


def glb_bytes(
    mesh: Mesh,
    *,
    normals: Float[np.ndarray, "vertices 3"],
    albedo_texture: Float[np.ndarray, "rows columns 3"],
    normal_map: Float[np.ndarray, "rows columns 3"] | None = None,
    morphs: Morphs | None = None,
    extend: Callable[[Gltf], None] | None = None,
) -> bytes:
    """What `write_glb` writes, after `extend` has added to it; node 0 is the face. The vertices of each primitive are
    those of `split_seams` of its part of the mesh, in their order."""
    file = Gltf()
    albedo = file.add_texture(to_picture(albedo_texture))
    bumps = None if normal_map is None else file.add_texture(to_picture(0.5 + 0.5 * normal_map))
    turns = None if morphs is None else _turns(mesh, morphs)
    primitives = []
    for name, chosen in _surfaces(mesh):
        relief = bumps if name == "skin" else None
        piece = dataclasses.replace(mesh, triangles=mesh.triangles[chosen], uv_triangles=mesh.uv_triangles[chosen])
        primitive = _add_primitive(file, piece, normals, with_tangents=relief is not None)
        primitive["material"] = file.add("materials", _material(name, albedo, relief))
        if morphs is not None and turns is not None and morphs.names:  # glTF knows no empty list of targets
            primitive["targets"] = _add_targets(file, piece, morphs, turns)
        primitives.append(primitive)
    face: dict = {"name": "face", "primitives": primitives}
    if morphs is not None and morphs.names:
        face |= {"weights": morphs.weights.tolist(), "extras": {"targetNames": list(morphs.names)}}
    file.add("nodes", {"name": "face", "mesh": file.add("meshes", face)})
    file.tree["scene"] = file.add("scenes", {"nodes": [0]})
    if extend is not None:
        extend(file)
    return file.to_glb()


def _surfaces(mesh: Mesh) -> Iterator[tuple[str, Bool[np.ndarray, "faces"]]]:
    """The triangles of each material that the mesh has."""
    parts = np.zeros(len(mesh.triangles), np.int32) if mesh.parts is None else mesh.parts
    is_skin, is_eye = parts == Part.SKIN, np.isin(parts, (Part.RIGHT_EYE, Part.LEFT_EYE))
    for name, chosen in (("skin", is_skin), ("eyes", is_eye), ("teeth", ~is_skin & ~is_eye)):
        if chosen.any():
            yield name, chosen


def _material(name: str, albedo: int, relief: int | None) -> dict:
    surface = {"baseColorTexture": {"index": albedo}, "metallicFactor": 0.0, "roughnessFactor": ROUGHNESS[name]}
    material: dict = {"name": name, "pbrMetallicRoughness": surface}
    return material if relief is None else material | {"normalTexture": {"index": relief}}


def _add_primitive(file: Gltf, piece: Mesh, normals: np.ndarray, *, with_tangents: bool) -> dict:
    vertex, uv_vertex, triangles = split_seams(piece)
    vertices, uvs, normals = piece.vertices_mm[vertex] * METRES_PER_MM, piece.uvs[uv_vertex], unit_rows(normals)[vertex]
    indices = file.add_array(triangles.reshape(-1, 1), target=ELEMENT_ARRAY_BUFFER)
    arrays = {"POSITION": vertices, "NORMAL": normals, "TEXCOORD_0": uvs * [1.0, -1.0] + [0.0, 1.0]}
    if with_tangents:
        arrays["TANGENT"] = vertex_tangents(vertices, triangles, uvs=uvs, normals=normals)
    attributes = {name: file.add_array(values, target=ARRAY_BUFFER) for name, values in arrays.items()}
    return {"attributes": attributes, "indices": indices}


def _turns(mesh: Mesh, morphs: Morphs) -> Float[np.ndarray, "expression vertices 3"]:
    """What each expression adds to the normals."""
    at_rest = surface_normals(mesh.vertices_mm, mesh.triangles)
    moved = [surface_normals(mesh.vertices_mm + offsets_mm, mesh.triangles) for offsets_mm in morphs.offsets_mm]
    return np.array(moved, np.float32).reshape(-1, *at_rest.shape) - at_rest


def _add_targets(file: Gltf, piece: Mesh, morphs: Morphs, turns: np.ndarray) -> list[dict[str, int]]:
    """A target an expression, also where it moves nothing here: all primitives of a mesh have as many."""
    vertex, _, _ = split_seams(piece)
    still: list[int] = []

    def add(offsets: np.ndarray) -> int:
        if offsets.any():
            return file.add_array(offsets, target=ARRAY_BUFFER)
        if not still:
            still.append(file.add_array(offsets, target=ARRAY_BUFFER))
        return still[0]

    pairs = zip(morphs.offsets_mm, turns, strict=True)
    return [{"POSITION": add(offset[vertex] * METRES_PER_MM), "NORMAL": add(turn[vertex])} for offset, turn in pairs]
