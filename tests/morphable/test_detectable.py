"""MediaPipe takes a plain rendering of the mean face for a face, and finds its features where the model has them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.geometry.normals import vertex_normals
from jaxface.morphable.default import load_default
from jaxface.morphable.linear import landmark_positions
from jaxface.rendering.raster import interpolate, rasterise
from jaxface.types import Region

SIZE, PIXELS_PER_MM = 512, 1.7


def rendered_mean():
    """Lambert shading from above on grey, frontal; returns the picture and the pixel positions of the landmarks."""
    model = load_default()
    middle = landmark_positions(model.mean_mm, model=model).mean(axis=0, keepdims=True)
    flipped = PIXELS_PER_MM * np.array([1.0, -1.0, 1.0])
    pixels = np.asarray(model.mean_mm - middle) * flipped + [SIZE / 2, SIZE / 2, 0]
    vertices = jnp.asarray(pixels, jnp.float32)
    raster = rasterise(vertices, model.triangles, height=SIZE, width=SIZE)
    normals = interpolate(raster, vertex_normals(model.mean_mm, model.triangles), model.triangles)
    shading = 0.3 + 0.7 * np.clip(np.asarray(normals) @ [0.3, 0.4, 0.87], 0, 1)
    colours = np.asarray(interpolate(raster, model.albedo, model.triangles)) * shading[..., None]
    picture = np.where(np.asarray(raster.triangle)[..., None] >= 0, colours, 0.5)
    return (255 * np.clip(picture, 0, 1)).astype(np.uint8), landmark_positions(vertices, model=model)


@pytest.mark.slow
def test_mean_face_is_detected():
    face_mesh = pytest.importorskip("mediapipe.python.solutions.face_mesh")
    picture, pixels = rendered_mean()
    with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        faces = detector.process(picture).multi_face_landmarks
    assert faces
    found = np.array([[point.x * SIZE, point.y * SIZE] for point in faces[0].landmark])[:468]
    inner = np.asarray(load_default().landmark_regions)[:468] != Region.BORDER
    error_mm = np.linalg.norm(found - pixels[:468, :2], axis=1)[inner] / PIXELS_PER_MM
    assert error_mm.mean() < 3.0
