"""MediaPipe's 3-D face mesh on the two public-domain portraits that ship inside dependencies."""

import ast
import inspect

import matplotlib.cbook
import numpy as np
import skimage.data
from mediapipe.python.solutions import face_mesh, face_mesh_connections
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

NUM_POINTS = 468
OUTER_CANTHI = (33, 263)
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)


def portrait_meshes() -> dict[str, np.ndarray]:
    """One mesh (468, 3) a portrait, x right, y up, z toward the viewer, symmetric, outer canthi 90 apart."""
    detector = face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True, min_detection_confidence=0.2)
    hopper = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    collins = Image.fromarray(skimage.data.astronaut())
    views = {"hopper": _views(detector, hopper), "collins": _views(detector, collins)}
    mirror = mirror_permutation(_procrustes_mean(np.concatenate(list(views.values()))))
    return {name: _symmetric_mean(samples, mirror) for name, samples in views.items()} | {"mirror": mirror}


def surface_triangles() -> np.ndarray:
    """The 852 triangles of the tesselation, outward: consecutive triples of its directed edges.

    The order is lost in the frozenset that MediaPipe exports, so the literal is read from its source.
    """
    module = ast.parse(inspect.getsource(face_mesh_connections))
    for node in module.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "FACEMESH_TESSELATION":
            edges = np.array(ast.literal_eval(node.value.args[0])).reshape(-1, 3, 2)
            if not (edges[:, :, 1] == np.roll(edges[:, :, 0], -1, axis=1)).all():
                raise RuntimeError("the tesselation is not written triangle by triangle; use mediapipe 0.10.14")
            return edges[:, :, 0]
    raise RuntimeError("no FACEMESH_TESSELATION; use mediapipe 0.10.14")


def mirror_permutation(mesh: np.ndarray) -> np.ndarray:
    """Index of each point's mirror image: eye contours in order, the rest by alternating alignment and matching."""
    mirror = np.arange(NUM_POINTS)
    mirror[list(RIGHT_EYE)], mirror[list(LEFT_EYE)] = LEFT_EYE, RIGHT_EYE
    eyes = np.array(RIGHT_EYE + LEFT_EYE)
    rest = np.setdiff1d(np.arange(NUM_POINTS), eyes)
    known = eyes
    flipped = mesh * [-1, 1, 1]
    for _ in range(20):
        aligned = align(flipped, mesh, source=flipped[known], target=mesh[mirror[known]])
        _, match = linear_sum_assignment(cdist(aligned[rest], mesh[rest]) ** 2)
        mirror[rest], known = rest[match], np.arange(NUM_POINTS)
    if not (mirror[mirror] == np.arange(NUM_POINTS)).all():
        raise RuntimeError("the mirror map is not an involution; look at the detections")
    return mirror


def align(mesh, reference, *, source=None, target=None):
    """Similarity transform of `mesh` that carries `source` onto `target` (Umeyama 1991); default all points."""
    source = mesh if source is None else source
    target = reference if target is None else target
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(a.T @ b)
    handed = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * handed).sum() / (a * a).sum()
    return scale * (mesh - source_mean) @ (u * handed) @ vt + target_mean


def _views(detector, image):
    """Detections on crops of several sizes and roll angles and on their mirror images, in crop pixels."""
    rng = np.random.default_rng(0)
    first = _detect(detector, np.asarray(image))
    low, high = first[:, :2].min(0), first[:, :2].max(0)
    centre, size = (low + high) * [0.5, -0.5], (high - low).max()
    samples = []
    for mirrored in (False, True):
        for degrees in (-20, -10, 0, 10, 20):
            for margin in (1.7, 2.1, 2.6):
                crop = _crop(image, centre + rng.normal(size=2) * 0.03 * size, margin * size / 512, degrees)
                found = _detect(detector, crop[:, ::-1] if mirrored else crop)
                if found is not None:
                    samples.append(found[:NUM_POINTS])
    return np.array(samples)


def _crop(image, centre, scale, degrees):
    """A 512-pixel view about `centre` with `scale` source pixels a crop pixel."""
    c, s = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    affine = (c, -s, centre[0] - 256 * (c - s), s, c, centre[1] - 256 * (s + c))
    return np.asarray(image.transform((512, 512), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC))


def _detect(detector, pixels):
    """Points in pixels with y up and z toward the viewer; z has the scale of x (MediaPipe's convention)."""
    result = detector.process(np.ascontiguousarray(pixels)).multi_face_landmarks
    if not result:
        return None
    height, width = pixels.shape[:2]
    return np.array([[p.x * width, -p.y * height, -p.z * width] for p in result[0].landmark])


def _procrustes_mean(samples):
    """Generalised Procrustes mean, outer canthi 90 apart."""
    mean = samples[0]
    for _ in range(15):
        mean = np.mean([align(sample, mean) for sample in samples], axis=0)
        mean = (mean - mean.mean(0)) * 90 / np.linalg.norm(np.subtract(*mean[list(OUTER_CANTHI)]))
    return mean


def _symmetric_mean(samples, mirror):
    """Procrustes mean of the views and their reflections, turned so that the mirror plane is x = 0."""
    mean = _procrustes_mean(np.concatenate([samples, samples[:, mirror] * [-1, 1, 1]]))
    across = np.linalg.svd(mean - mean[mirror])[2][0]
    across *= np.sign(across[0])
    up = np.array([0, 1, 0]) - across[1] * across
    up /= np.linalg.norm(up)
    mean = (mean - mean.mean(0)) @ np.stack([across, up, np.cross(across, up)]).T
    return (mean + mean[mirror] * [-1, 1, 1]) / 2
