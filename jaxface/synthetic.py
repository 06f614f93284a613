"""Worlds with known answers: a lit sphere, and faces with wrinkles that the morphable model cannot make.

Pure functions of a PRNG key. Image frame, colours and units as in `types`.
"""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxface.geometry.normals import depth_normals, vertex_normals
from jaxface.geometry.subdivision import Subdivision, loop_subdivision, subdivide
from jaxface.morphable.cut import face_of
from jaxface.morphable.linear import face_shape, has_landmark, landmark_positions
from jaxface.morphable.pose import rotation_matrix, rotation_vector
from jaxface.numerics import matmul, normalise
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import sh_basis, shading
from jaxface.rendering.raster import interpolate, rasterise, visibility
from jaxface.synthetic_fields import off_basis_field, relief
from jaxface.synthetic_paint import backdrop, paint_face
from jaxface.types import Camera, Landmarks, MorphableModel, Pose, Region

# Lambert's kernel in spherical harmonics, bands 0 to 2 (Basri and Jacobs 2003), in the order of `sh_basis`.
_LAMBERT = (np.pi,) + (2.0 * np.pi / 3.0,) * 3 + (np.pi / 4.0,) * 5
_Y0 = 0.282095

# Name: ambient light, then (direction in the image frame, strength, warmth) of each lamp.
LIGHTS = {
    "soft": (0.50, (((0.15, -0.35, 1.0), 0.50, 0.02),)),
    "side": (0.28, (((-1.0, -0.35, 0.6), 0.75, 0.06), ((1.0, 0.0, 0.5), 0.12, -0.05))),
    "top": (0.22, (((0.25, -1.0, 0.7), 0.85, 0.0), ((0.9, 0.3, 0.3), 0.12, 0.08))),
}


class FaceSettings(NamedTuple):
    """How far a synthetic face departs from the model, and how it is photographed."""

    identity: float = 1.0  # standard deviation of the whitened coefficients
    expression: float = 0.4  # size of the random expression, 1 is a full grimace
    off_basis_mm: float = 1.0  # rms of the smooth shape outside the model's basis
    detail_mm: float = 0.5  # depth of the deepest creases; folds on adult skin are 0.05 to 0.6 mm deep
    texture: float = 1.0  # mottling and freckles, which are not geometry
    specular: float = 0.05  # height of the highlight's peak
    noise: float = 0.004  # standard deviation a pixel, about one grey level


class LitSphere(NamedTuple):
    """A lit ellipsoid: `base_height_px` is smooth, `height_px` has relief; `regions` holds `Region` labels."""

    image: Float[Array, "height width 3"]
    height_px: Float[Array, "height width"]
    base_height_px: Float[Array, "height width"]
    normals_image: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    shading: Float[Array, "height width 3"]
    regions: Int[Array, "height width"]
    light: Float[Array, "9 3"]
    mask: Float[Array, "height width"]


class SyntheticFace(NamedTuple):
    """A photographed face and all that is true of it.

    Vertices (object frame) and maps hold the whole relief; `smooth_mm` is the same mesh without wrinkles and pores,
    on the same triangles. The image is albedo * shading + specular (Eq. 4) inside the mask, plus noise. Hidden or
    missing landmarks have confidence 0.
    """

    image: Float[Array, "height width 3"]
    vertices_mm: Float[Array, "fine_vertices 3"]
    smooth_mm: Float[Array, "fine_vertices 3"]
    triangles: Int[Array, "fine_faces 3"]
    height_px: Float[Array, "height width"]
    normals_image: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    shading: Float[Array, "height width 3"]
    specular: Float[Array, "height width"]
    mask: Float[Array, "height width"]
    light: Float[Array, "9 3"]
    landmarks: Landmarks
    pose: Pose
    camera: Camera
    identity: Float[Array, "identity"]
    expression: Float[Array, "expression"]


def preset_light(name: str) -> Float[Array, "9 3"]:
    """Light coefficients r of Eq. 5 for one of `LIGHTS`; shading is about 1 where a face is fully lit."""
    ambient, lamps = LIGHTS[name]
    light = np.zeros((9, 3), np.float32)
    light[0] = ambient / _Y0
    for direction, strength, warmth in lamps:
        unit = np.array(direction, np.float32) / np.linalg.norm(direction)
        tint = strength * np.array([1.0 + warmth, 1.0, 1.0 - warmth])
        light += np.outer(np.array(_LAMBERT) * np.asarray(sh_basis(jnp.asarray(unit))), tint)
    return jnp.asarray(light, jnp.float32)


def lit_sphere(
    key: PRNGKeyArray,
    *,
    height: int = 96,
    width: int = 96,
    relief_px: float = 0.0,
    texture: float = 0.05,
    noise: float = 0.0,
    light: Float[Array, "9 3"] | None = None,
) -> LitSphere:
    """An ellipsoid that fills the image, with bumps of `relief_px`, a brow and a mouth, and textured albedo."""
    light = preset_light("soft") if light is None else light
    bump_key, texture_key, noise_key = jax.random.split(key, 3)
    y, x = jnp.meshgrid(jnp.linspace(-1.0, 1.0, height), jnp.linspace(-1.0, 1.0, width), indexing="ij")
    squared = x * x + y * y
    base = 0.45 * min(height, width) * jnp.sqrt(jnp.maximum(1.0 - 0.9 * squared, 0.02))
    surface = base + relief_px * _waves(bump_key, height, width, wavelength_px=9.0)
    normals = depth_normals(surface)
    brow, mouth = (jnp.abs(y + 0.4) < 0.08) & (jnp.abs(x) < 0.5), (x / 0.35) ** 2 + ((y - 0.5) / 0.12) ** 2 < 1.0
    regions = jnp.where(brow, Region.EYEBROW, jnp.where(mouth, Region.MOUTH, Region.SKIN))
    palette = jnp.array([[0.62, 0.46, 0.38], [0.25, 0.18, 0.14], [0.60, 0.30, 0.29]])
    spots = 1.0 + texture * _waves(texture_key, height, width, wavelength_px=6.0)
    albedo = jnp.clip(palette[regions] * spots[..., None], 0.05, 0.9)
    mask = (squared < 0.8).astype(jnp.float32)
    shade = shading(normals, light)
    lit = render(albedo, shade) + noise * jax.random.normal(noise_key, albedo.shape)
    image = jnp.clip(jnp.where(mask[..., None] > 0, lit, 0.3), 0.0, 1.0)
    return LitSphere(image, surface, base, normals, albedo, shade, regions, light, mask)


def synthetic_face(
    key: PRNGKeyArray,
    *,
    model: MorphableModel,
    size: int = 512,
    yaw: Float[Array, ""] | float = 0.0,
    light: Float[Array, "9 3"] | None = None,
    settings: FaceSettings = FaceSettings(),
    levels: int = 2,
) -> SyntheticFace:
    """A random face on a square crop, turned by `yaw` radians (positive: towards the subject's left, image right).

    Only the face is shown, with its eyes: what grows or hangs around real ones hides the rest.
    Identity and expression are drawn from the model, then bent by a smooth field outside its basis, subdivided
    `levels` times and given creases, folds, lumps and pores. Pitch, roll and place vary a little. The model must be
    concrete, as its subdivision is prepared on the host, and have its landmarks in MediaPipe's order.
    """
    light = preset_light("soft") if light is None else light
    model = face_of(model)
    subdivision = _subdivision(np.asarray(model.triangles, np.int32).tobytes(), model.mean_mm.shape[0], levels)
    return _make_face(key, yaw, light, settings, model, subdivision, size=size)


@functools.lru_cache(maxsize=4)
def _subdivision(triangles: bytes, num_vertices: int, levels: int) -> Subdivision:
    indices = np.frombuffer(triangles, np.int32).reshape(-1, 3)
    with jax.ensure_compile_time_eval():  # The cache must not keep tracers.
        return loop_subdivision(indices, num_vertices=num_vertices, levels=levels)


@functools.partial(jax.jit, static_argnames="size")
def _make_face(key, yaw, light, settings, model, subdivision, *, size):
    keys = jax.random.split(key, 5)
    identity, expression, smooth, vertices = _geometry(keys[0], settings, model, subdivision)
    pose = _pose(keys[1], yaw, smooth, size=size)
    projected = project(vertices, pose, camera=orthographic())
    raster = rasterise(projected, subdivision.triangles, height=size, width=size)
    mask = (raster.triangle >= 0).astype(jnp.float32)
    normals, reference, regions = _pixel_maps(raster, vertices, pose, model, subdivision)
    paint = functools.partial(paint_face, keys[2], model=model, texture=settings.texture)
    painted = paint(reference, regions, landmarks_mm=landmark_positions(model.mean_mm, model=model))
    albedo = painted.reshape(size, size, 3) * mask[..., None]
    shade = shading(normals, light)
    highlight = settings.specular * mask * _highlight(normals, light)
    behind = _behind(keys[3], projected, albedo, mask, size=size)
    image = jnp.where(mask[..., None] > 0, render(albedo, shade, highlight), behind)
    image = image + settings.noise * jax.random.normal(keys[4], image.shape)
    return SyntheticFace(
        image=jnp.clip(image, 0.0, 1.0),
        vertices_mm=vertices,
        smooth_mm=smooth,
        triangles=subdivision.triangles,
        height_px=raster.height_px,
        normals_image=normals,
        albedo=albedo,
        shading=shade,
        specular=highlight,
        mask=mask,
        light=light,
        landmarks=_landmarks(vertices, pose, raster, model),
        pose=pose,
        camera=orthographic(),
        identity=identity,
        expression=expression,
    )


def _geometry(key, settings, model, subdivision):
    """Coefficients, the smooth fine mesh, and the same with relief along its normals."""
    coefficient_key, field_key, relief_key = jax.random.split(key, 3)
    identity, expression = _coefficients(coefficient_key, settings, model)
    control = face_shape(identity, expression, model=model)
    control = control + settings.off_basis_mm * off_basis_field(field_key, model=model)
    smooth = subdivide(control, subdivision=subdivision)
    reference, regions = _reference(model, subdivision)
    bare = regions[:, Region.EYE_OPENING] + regions[:, Region.MOUTH_OPENING] + 0.7 * regions[:, Region.MOUTH]
    bumps = relief(relief_key, reference, landmark_positions(model.mean_mm, model=model))
    bumps = settings.detail_mm * jnp.maximum(1.0 - bare, 0.0) * bumps
    return identity, expression, smooth, smooth + bumps[:, None] * vertex_normals(smooth, subdivision.triangles)


def _reference(model, subdivision):
    """Fine vertices on the mean face, and their share of each region label."""
    labels = jax.nn.one_hot(model.vertex_regions, len(Region))
    shares = subdivide(jnp.concatenate([model.mean_mm, labels], axis=1), subdivision=subdivision)
    return shares[:, :3], jnp.clip(shares[:, 3:], 0.0, 1.0)


def _pixel_maps(raster, vertices, pose, model, subdivision):
    """Normals (image frame, flat outside the mask); mean-face points and region shares as rows, a pixel each."""
    normals = matmul(vertex_normals(vertices, subdivision.triangles), rotation_matrix(pose.rotation_vector).T)
    normals = normals * jnp.array([[1.0, -1.0, 1.0]])  # y points down in the image frame
    values = jnp.concatenate([normals, *_reference(model, subdivision)], axis=1)
    drawn = interpolate(raster, values, subdivision.triangles)
    normals = jnp.where((raster.triangle >= 0)[..., None], drawn[..., :3], jnp.array([[[0.0, 0.0, 1.0]]]))
    rows = drawn.reshape(-1, drawn.shape[-1])
    return normalise(normals), rows[:, 3:6], rows[:, 6:]


def _coefficients(key, settings, model):
    """Identity ~ N(0, 1); expression normal too, or a few partial blendshapes where the bounds are (0, 1)."""
    identity_key, expression_key = jax.random.split(key)
    identity = settings.identity * jax.random.normal(identity_key, model.identity_basis_mm.shape[:1])
    low, high = model.expression_bounds
    # Left and right shapes move together, up to a fifth: faces are nearly symmetric.
    stems = [re.sub("(_L|_R|Left|Right)$", "", name) for name in model.expression_names]
    pairs = jnp.array([stems.index(stem) for stem in stems])
    u = jax.random.uniform(expression_key, (3, len(stems)))
    partial = jnp.where(u[0, pairs] < 0.25, u[1, pairs] * (1.0 - 0.2 * u[2]), 0.0)
    drawn = jax.scipy.stats.norm.ppf(jnp.clip(u[0], 1e-3, 1.0 - 1e-3)) if low < 0.0 else partial
    return identity, jnp.clip(settings.expression * drawn, low, high)


def _pose(key, yaw, vertices_mm, *, size):
    """The mesh in the middle of the crop, 70 % of its height; a few degrees of pitch and roll."""
    jitter = jax.random.uniform(key, (4,), minval=-1.0, maxval=1.0)
    turn = rotation_matrix(yaw * jnp.array([0.0, 1.0, 0.0]))
    nod = rotation_matrix(jnp.array([0.06, 0.0, 0.06]) * jitter[:3])
    rotation = matmul(nod, turn)
    rotated = matmul(vertices_mm, rotation.T)
    low, high = jnp.min(rotated[:, :2], axis=0), jnp.max(rotated[:, :2], axis=0)
    scale = (0.70 + 0.03 * jitter[3]) * size / jnp.maximum(high[1] - low[1], 1e-3)
    middle = 0.5 * (low + high) * scale * jnp.array([1.0, -1.0])
    place = jnp.array([0.5, 0.52]) * size + 0.015 * size * jitter[1:3]
    return Pose(rotation_vector(rotation), place - middle, jnp.log(scale))


def _highlight(normals, light):
    """Blinn and Phong's lobe about the brightest direction of the light, peak 1, one channel."""
    towards = normalise(jnp.mean(light, axis=1)[jnp.array([3, 1, 2])])
    half = normalise(towards + jnp.array([0.0, 0.0, 1.0]))
    return jnp.maximum(jnp.sum(normals * half[None, None], axis=-1), 0.0) ** 18


def _behind(key, projected, albedo, mask, *, size):
    low, high = jnp.min(projected[:, :2], axis=0), jnp.max(projected[:, :2], axis=0)
    skin = jnp.sum(albedo, axis=(0, 1)) / jnp.maximum(jnp.sum(mask), 1.0)
    return backdrop(key, size=size, centre_px=0.5 * (low + high), face_size_px=high - low, skin=skin)


def _landmarks(vertices, pose, raster, model):
    # Subdivision keeps the old vertices first, so that the model's own embedding applies.
    points = project(landmark_positions(vertices, model=model), pose, camera=orthographic())
    present = has_landmark(model)
    seen = visibility(points, raster, tolerance_px=2.0)
    return Landmarks(points[:, :2], points[:, 2], jnp.where(present, seen, 0.0))


def _waves(key, height, width, *, wavelength_px):
    """Smooth random bumps of unit variance: blurred noise in Fourier space."""
    noise = jnp.fft.rfft2(jax.random.normal(key, (height, width)))
    fy, fx = jnp.fft.fftfreq(height)[:, None], jnp.fft.rfftfreq(width)[None, :]
    band = jnp.exp(-0.5 * ((jnp.hypot(fy, fx) * wavelength_px - 1.0) / 0.35) ** 2)
    waves = jnp.fft.irfft2(noise * band, s=(height, width))
    return waves / jnp.std(waves)
