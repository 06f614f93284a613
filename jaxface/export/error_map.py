"""Error heat maps: distances as colours on the judged surface, as PLY, GLB and a picture (host side).

The scale is fixed, 0 to LIMIT_MM, so that maps of different faces and methods compare; what is farther off has the
colour of the limit, and what was not judged is grey.
"""

import os
import pathlib
import textwrap

import matplotlib
import numpy as np
import trimesh
from jaxtyping import Float, Int
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from trimesh.parent import Geometry

from jaxface.export.meshes import METRES_PER_MM, write_ply
from jaxface.export.pictures import to_bytes
from jaxface.io.atomic import new_file
from jaxface.types import Mesh

LIMIT_MM = 5.0
COLOUR_MAP = "viridis"  # perceptually even, and readable without colour vision
NOT_JUDGED = (0.72, 0.72, 0.72)

_WIDTH, _BAR, _LINE, _DPI = 10.0, 0.9, 0.17, 100  # inches: in all, of the colour bar, of a line of text; dots an inch
_LINE_LETTERS = 130
_INK = "#333333"


def error_colours(
    errors_mm: Float[np.ndarray, "judged"], judged_vertices: Int[np.ndarray, "judged"], *, num_vertices: int
) -> Float[np.ndarray, "vertices 3"]:
    """RGB in [0, 1] (sRGB) of every vertex of a surface on which some vertices were judged."""
    colours = np.tile(np.array(NOT_JUDGED), (num_vertices, 1))
    colours[judged_vertices] = matplotlib.colormaps[COLOUR_MAP](np.asarray(errors_mm) / LIMIT_MM)[:, :3]
    return colours


def write_error_meshes(
    stem: str | os.PathLike,
    vertices_mm: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "faces 3"],
    colours: Float[np.ndarray, "vertices 3"],
) -> None:
    """`<stem>.ply` in millimetres and `<stem>.glb` in metres, with a colour a vertex; without triangles, points."""
    stem = pathlib.Path(stem)
    unused = np.zeros((0, 2))
    mesh = Mesh(np.asarray(vertices_mm), np.asarray(triangles), unused, np.zeros((0, 3), np.int64))
    write_ply(stem.with_name(stem.name + ".ply"), mesh, colours=colours)
    with new_file(stem.with_name(stem.name + ".glb")) as fresh:
        fresh.write_bytes(_glb_bytes(mesh, to_bytes(_linear(colours))))


def write_error_picture(
    path: str | os.PathLike, views: dict[str, Float[np.ndarray, "height width 3"]], *, title: str, subtitle: str
) -> None:
    """A PNG: pictures of the coloured surface side by side under their names, and the colour bar in millimetres."""
    with new_file(path) as fresh:
        draw_error_map(views, title=title, subtitle=subtitle).savefig(fresh, format="png", dpi=_DPI)


def draw_error_map(views: dict[str, Float[np.ndarray, "height width 3"]], *, title: str, subtitle: str) -> Figure:
    """The picture that `write_error_picture` writes."""
    words = f"{title}\n{textwrap.fill(subtitle, _LINE_LETTERS)}"
    panel = (_WIDTH - _BAR) / len(views)
    height = panel + _LINE * (words.count("\n") + 3)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor="white")
    figure.suptitle(words, parse_math=False, color=_INK, fontsize=9)
    axes = figure.subplots(1, len(views), squeeze=False)[0]
    for each, (name, picture) in zip(axes, views.items(), strict=True):
        each.imshow(np.clip(picture, 0.0, 1.0))
        each.set_title(name, fontsize=10, color=_INK)
        each.axis("off")
    scale = ScalarMappable(Normalize(0.0, LIMIT_MM), COLOUR_MAP)
    bar = figure.colorbar(scale, ax=axes, extend="max", aspect=25, pad=0.01)
    bar.set_label("error, mm (grey: not judged)", color=_INK)
    return figure


def _glb_bytes(mesh: Mesh, colours: np.ndarray) -> bytes:
    vertices = mesh.vertices_mm * METRES_PER_MM
    shapes: dict[str, Geometry] = {}
    if len(mesh.triangles):
        shapes["error"] = trimesh.Trimesh(vertices, mesh.triangles, vertex_colors=colours, process=False)
    else:
        shapes["error"] = trimesh.PointCloud(vertices, colors=colours)
    return trimesh.Scene(geometry=shapes).export(file_type="glb", tree_postprocessor=_matt)


def _matt(tree: dict) -> None:
    """glTF's default material is polished metal, in which colours do not show."""
    surface = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    tree["materials"] = [{"name": "error", "pbrMetallicRoughness": surface, "doubleSided": True}]
    for shape in tree["meshes"]:
        for primitive in shape["primitives"]:
            primitive["material"] = 0


def _linear(colours: np.ndarray) -> np.ndarray:
    """sRGB to linear light, which glTF's vertex colours are in."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
