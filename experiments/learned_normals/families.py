"""Where heads come from: the default model, ICT-FaceKit where it is installed, and either bent by fields that no basis
holds. A head is made anew from its seeds, so nothing of it is stored."""

import dataclasses
import functools

import numpy as np
import scipy.sparse as sparse

from jaxface.geometry.subdivision import loop_matrix
from jaxface.models import store
from jaxface.types import Part, Region
from learned_normals import noise
from learned_normals.head import Head
from learned_normals.rays import vertex_normals

_WANTED_FACES = 110_000  # about 1 mm between the vertices of a face
FAMILIES = ("default", "ict", "bent")


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """A face model on the host: `fine` takes values of its vertices to the subdivided mesh."""

    name: str
    mean_mm: np.ndarray
    identity_mm: np.ndarray
    expression_mm: np.ndarray
    expression_names: tuple[str, ...]
    fine: sparse.csr_matrix
    triangles: np.ndarray
    regions: np.ndarray
    parts: np.ndarray
    landmarks: sparse.csr_matrix

    @functools.cached_property
    def places_mm(self) -> np.ndarray:
        return self.fine @ self.mean_mm


@functools.cache
def family(name: str) -> Family:
    """`default` or `ict`."""
    model = store.resolve(name)
    mean, triangles = np.asarray(model.mean_mm, float), np.asarray(model.triangles)
    levels = max(0, round(np.log(_WANTED_FACES / len(triangles)) / np.log(4.0)))
    fine, fine_triangles = loop_matrix(triangles, num_vertices=len(mean), levels=levels)
    nearest = np.asarray(fine.argmax(axis=1)).ravel()
    rows = np.repeat(np.arange(len(model.landmark_triangles)), 3)
    columns = triangles[np.asarray(model.landmark_triangles)].ravel()
    shares = np.asarray(model.landmark_barycentrics, float).ravel()
    landmarks = sparse.csr_matrix((shares, (rows, columns)), shape=(len(model.landmark_triangles), len(mean)))
    return Family(
        name, mean, np.asarray(model.identity_basis_mm, float), np.asarray(model.expression_basis_mm, float),
        model.expression_names, fine, fine_triangles, np.asarray(model.vertex_regions)[nearest],
        np.asarray(model.vertex_parts)[nearest], landmarks,
    )  # fmt: skip


def is_there(name: str) -> bool:
    """Whether a family's model is installed."""
    try:
        family("ict" if name == "ict" else "default")
    except ValueError:
        return False
    return True


def identity_mm(of: Family, rng: np.random.Generator, *, bend_mm: float) -> np.ndarray:
    """A person's neutral head (vertices, 3): random coefficients, a little of what no basis holds, and of a wide field
    as much as `bend_mm`."""
    coefficients = rng.normal(size=len(of.identity_mm)) * rng.uniform(0.6, 1.2)
    shape = of.mean_mm + np.tensordot(coefficients, of.identity_mm, axes=1)
    skin = (of.parts[: len(of.mean_mm)] == Part.SKIN)[:, None]
    wide = noise.vectors(of.mean_mm, size_mm=rng.uniform(50.0, 110.0), rng=rng)
    narrow = noise.vectors(of.mean_mm, size_mm=rng.uniform(16.0, 40.0), rng=rng)
    # Eyeballs, teeth and tongue go with the wide field, which hardly changes over one of them.
    return shape + bend_mm * wide + rng.uniform(0.1, 0.5) * narrow * skin


def expression_mm(of: Family, rng: np.random.Generator) -> np.ndarray:
    """Offsets (vertices, 3) of a random face: often calm, else up to six units, mostly alike on both sides; lids may be
    shut or half shut, and eyes look anywhere."""
    names = [name for name in of.expression_names if not name.startswith(("eyeLook", "eyeBlink"))]
    stems = sorted({_stem(name) for name in names})
    weights = dict.fromkeys(of.expression_names, 0.0)
    if rng.random() > 0.25:
        for stem in rng.choice(stems, size=rng.integers(1, 7), replace=False):
            strength, lopsided = rng.uniform(0.1, 1.0) ** 1.3, rng.random() < 0.2
            for name in (name for name in names if _stem(name) == stem):
                weights[name] = strength * (rng.uniform(0.0, 1.0) if lopsided else rng.uniform(0.9, 1.0))
    if rng.random() < 0.3:
        weights["jawOpen"] = rng.uniform(0.0, 0.9)
    lids = rng.choice([0.0, 0.15, 0.5, 1.0], p=[0.5, 0.25, 0.1, 0.15])
    for side in ("Left", "Right"):
        weights[f"eyeBlink{side}"] = np.clip(lids + rng.normal() * 0.05 * (0 < lids < 1), 0.0, 1.0)
    across, upward = rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.5)
    for side, inward in (("Left", -across), ("Right", across)):
        weights[f"eyeLookIn{side}"], weights[f"eyeLookOut{side}"] = max(inward, 0.0), max(-inward, 0.0)
        weights[f"eyeLookUp{side}"], weights[f"eyeLookDown{side}"] = max(upward, 0.0), max(-upward, 0.0)
    return np.tensordot([weights[name] for name in of.expression_names], of.expression_mm, axes=1)


def _stem(name: str) -> str:
    return name.removesuffix("Left").removesuffix("Right")


def head(of: Family, shape_mm: np.ndarray, relief_mm: np.ndarray) -> Head:
    """The subdivided head of a shape (vertices, 3), raised by relief (fine vertices,) along its normals."""
    smooth = of.fine @ shape_mm
    vertices = smooth + relief_mm[:, None] * vertex_normals(smooth, of.triangles)
    return Head(
        vertices, of.triangles, vertex_normals(vertices, of.triangles), of.places_mm, of.regions, of.parts,
        of.landmarks @ shape_mm, of.landmarks @ of.mean_mm,
    )  # fmt: skip


def is_skin(of: Family) -> np.ndarray:
    """Which fine vertices are skin (fine vertices,), away from openings."""
    inside = np.isin(of.regions, (Region.EYE_OPENING, Region.MOUTH_OPENING))
    return (of.parts == Part.SKIN) & ~inside
