"""A small made-up reconstruction, a dome with a UV seam, for whatever comes after the pipeline."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from dome import grid_triangles

from jaxface.export.reconstruction import Reconstruction
from jaxface.types import (
    Camera,
    CoarseFit,
    Crop,
    FineMaps,
    Landmarks,
    Mesh,
    MorphableModel,
    Part,
    Pose,
    StageReport,
    TextureMaps,
)

SIZE, TEXELS = 48, 32
EXPRESSIONS = ("jawOpen", "mouthSmileLeft", "mouthSmileRight")


def dome_mesh(*, height_mm: float = 40.0, rows: int = 9, columns: int = 11) -> Mesh:
    """A paraboloid 150 mm wide facing +z; the UV square is cut along the middle column, where UVs are doubled."""
    y, x = np.mgrid[1 : -1 : rows * 1j, -1 : 1 : columns * 1j]
    vertices = np.stack([75.0 * x, 90.0 * y, height_mm * (1.0 - x * x - y * y)], axis=-1).reshape(-1, 3)
    triangles = grid_triangles(rows, columns)
    middle = columns // 2
    u = np.where(x <= 0.0, 0.45 * (x + 1.0), 0.55 + 0.45 * x)
    uvs = np.stack([u, 0.5 + 0.45 * y], axis=-1).reshape(-1, 2)
    seam = middle + columns * np.arange(rows)
    right = vertices[triangles].mean(axis=1)[:, 0] > 0.0
    doubled = np.arange(len(uvs))
    doubled[seam] = len(uvs) + np.arange(rows)
    uv_triangles = np.where(right[:, None], doubled[triangles], triangles)
    uvs = np.concatenate([uvs, uvs[seam] + np.array([[0.1, 0.0]])])
    return Mesh(vertices.astype(np.float32), triangles.astype(np.int32), uvs.astype(np.float32), uv_triangles)


def with_parts(mesh: Mesh) -> Mesh:
    """The same mesh, its upper rows one eye, its lower ones teeth and tongue."""
    middle = mesh.vertices_mm[mesh.triangles].mean(axis=1)[:, 1]
    parts = np.select([middle > 50.0, middle < -60.0, middle < -40.0], [Part.LEFT_EYE, Part.LOWER_TEETH, Part.TONGUE])
    return dataclasses.replace(mesh, parts=parts.astype(np.int32))


def face_model(mesh: Mesh) -> MorphableModel:
    """A model of the mesh's topology with made-up expressions; there is nothing to fit it by."""
    vertices, none = len(mesh.vertices_mm), jnp.zeros(1, jnp.int32)
    offsets = jnp.stack([jnp.asarray(mesh.vertices_mm) * factor for factor in (0.02, -0.03, 0.04)])
    return MorphableModel(
        mean_mm=jnp.asarray(mesh.vertices_mm),
        identity_basis_mm=jnp.zeros((5, vertices, 3)),
        expression_basis_mm=offsets,
        triangles=jnp.asarray(mesh.triangles),
        uvs=jnp.asarray(mesh.uvs),
        uv_triangles=jnp.asarray(mesh.uv_triangles),
        landmark_triangles=none,
        landmark_barycentrics=jnp.zeros((1, 3)),
        landmark_regions=none,
        vertex_regions=jnp.zeros(vertices, jnp.int32),
        vertex_parts=jnp.zeros(vertices, jnp.int32),
        ibug_vertices=jnp.full(68, -1, jnp.int32),
        albedo=jnp.full((vertices, 3), 0.5),
        name="dome",
        licence="Apache-2.0",
        expression_names=EXPRESSIONS,
        expression_bounds=(0.0, 1.0),
    )


def dome_normals(mesh: Mesh) -> np.ndarray:
    x, y = mesh.vertices_mm[:, 0] / 75.0, mesh.vertices_mm[:, 1] / 90.0
    normals = np.stack([80.0 * x / 75.0, 80.0 * y / 90.0, np.ones_like(x)], axis=-1)
    return (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)


def fine_maps() -> FineMaps:
    """A lit dome; image = albedo * shading + specular holds exactly."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    radius = np.hypot(x, y)
    mask = (radius < 0.9).astype(np.float32)
    height = 12.0 * (1.0 - radius**2).astype(np.float32)
    normals = np.stack([x, y, np.ones_like(x)], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    albedo = np.stack([0.7 + 0.1 * x, 0.5 + 0.1 * y, 0.4 + 0.0 * x], axis=-1)
    shading = np.repeat((0.6 + 0.5 * normals[..., 2:] + 0.3 * normals[..., :1]), 3, axis=-1)
    return FineMaps(
        medium_height_px=height * 0.9,
        phase1_height_px=height * 0.95,
        height_px=height,
        normals_image=normals,
        albedo=albedo,
        shading=shading,
        specular=np.full((SIZE, SIZE, 3), 0.02, np.float32),
        mask=mask,
        confidence=mask,
        light=np.arange(27, dtype=np.float32).reshape(9, 3),
        finite=np.array(True),
    )


def texture_maps() -> TextureMaps:
    v, u = np.mgrid[1 : 0 : TEXELS * 1j, 0 : 1 : TEXELS * 1j].astype(np.float32)
    normals = np.stack([0.2 * np.sin(9 * u), 0.2 * np.cos(9 * v), np.ones_like(u)], axis=-1)
    return TextureMaps(
        albedo=np.stack([u, v, 0.5 + 0.0 * u], axis=-1),
        displacement_mm=(0.8 * np.sin(9 * u) - 0.2).astype(np.float32),
        normals_tangent=normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        covered=np.ones((TEXELS, TEXELS), np.float32),
    )


def coarse_fit(mesh: Mesh) -> CoarseFit:
    pose = Pose(
        rotation_vector=np.array([0.0, 0.3, 0.0], np.float32),
        translation_px=np.array([60.0, 70.0], np.float32),
        log_scale=np.array(np.log(0.4), np.float32),
    )
    identity, expression = np.linspace(-1, 1, 5).astype(np.float32), np.array([0.1, 0.2, 0.3], np.float32)
    return CoarseFit(identity, expression, pose, mesh.vertices_mm, np.array(1.5, np.float32), np.array(True))


def landmarks() -> Landmarks:
    angle = np.linspace(0, 2 * np.pi, 478, dtype=np.float32)
    points = 60.0 + 25.0 * np.stack([np.cos(angle), np.sin(3 * angle)], axis=-1)
    return Landmarks(points.astype(np.float32), np.zeros(478, np.float32), np.ones(478, np.float32))


def make_reconstruction(**changes) -> Reconstruction:
    """The record; `changes` replace single fields."""
    maps = fine_maps()
    image = (maps.albedo * maps.shading + maps.specular).astype(np.float32)
    mesh = dome_mesh()
    fields = {
        "image": np.pad(image, ((40, 20), (30, 30), (0, 0))),
        "crop_image": image,
        "crop": Crop(np.array([30.0, 40.0], np.float32), np.array(1.0, np.float32)),
        "camera": Camera(np.array(0.0, np.float32), np.array([54.0, 54.0], np.float32)),
        "landmarks": landmarks(),
        "coarse_fit": coarse_fit(mesh),
        "neutral": dome_mesh(height_mm=35.0),
        "coarse": dome_mesh(height_mm=36.0),
        "medium": dome_mesh(height_mm=38.0),
        "phase1": mesh,
        "fine": mesh,
        "fine_normals": dome_normals(mesh),
        "fine_colours": np.full_like(mesh.vertices_mm, 0.5),
        "maps": maps,
        "textures": texture_maps(),
        "relit": image[:, ::-1],
        "stages": (
            StageReport("coarse", "ok", "", 0.5, {"compile_seconds": 3.0, "residual_px": 1.5}),
            StageReport("fine", "left out", "The image explains less than before.", 2.5, {"rms": float("nan")}),
        ),
        "settings": {"preset": "default", "size": SIZE, "seed": 0},
        "model": face_model(mesh),
        "model_name": "dome",
        "model_licence": "Apache-2.0",
        "expression_names": EXPRESSIONS,
    }
    return Reconstruction(**(fields | changes))


def make_renders() -> dict[str, np.ndarray]:
    shades = {"coarse": 0.5, "medium": 0.6, "phase1": 0.7, "fine": 0.8}
    return {name: np.full((SIZE, SIZE, 3), shade, np.float32) for name, shade in shades.items()}
