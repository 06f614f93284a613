"""Where a head's surface lies, asked by rays from outside; object frame, millimetres."""

import numpy as np
from scipy import ndimage

from jaxface.types import Region
from learned_normals.head import Head
from learned_normals.rays import Rays, interpolate

FAR_MM = 400.0
MEAN_WIDTH_MM = 141.0  # between landmarks 234 and 454 on the mean head


class Surface:
    """A head and the places that things are fitted to: `unit` is its width over the mean head's, `axis` a point on the
    upright line through head and neck, `centre` the middle of the skull."""

    def __init__(self, head: Head):
        self.head = head
        self.rays = Rays(head.vertices_mm, head.triangles)
        marks = head.landmarks_mm
        self.marks = marks
        self.unit = float(np.linalg.norm(marks[454] - marks[234]) / MEAN_WIDTH_MM)
        sides = 0.5 * (marks[127] + marks[356])
        self.axis = sides + self.unit * np.array([0.0, 0.0, -20.0])
        self.centre = sides + self.unit * np.array([0.0, 12.0, -26.0])

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First hits of rays (..., 3) of unit directions: distance (NaN: none), triangle and barycentrics."""
        directions = np.broadcast_to(directions, np.broadcast_shapes(origins.shape, directions.shape))
        shape = directions.shape[:-1]
        origins = np.broadcast_to(origins, directions.shape).reshape(-1, 3)
        triangle, distance, barycentrics = self.rays.first(origins, directions.reshape(-1, 3))
        distance = np.where(triangle >= 0, distance, np.nan)
        return distance.reshape(shape), triangle.reshape(shape), barycentrics.reshape(*shape, 3)

    def at(self, values: np.ndarray, triangle: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
        """Values of vertices (vertices, n) at hits; a miss gives those of some triangle."""
        corners = self.head.triangles[triangle.reshape(-1)]
        found = interpolate(values, corners, barycentrics.reshape(-1, 3))
        return found.reshape(*triangle.shape, *values.shape[1:])

    def normals(self, triangle: np.ndarray, barycentrics: np.ndarray) -> np.ndarray:
        return unit(self.at(self.head.normals, triangle, barycentrics))

    def around(self, angles: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Distance of the outermost surface from the upright axis, NaN where there is none. Angle 0 is the front,
        positive to the subject's left."""
        angles, heights = np.broadcast_arrays(angles, heights)
        outwards = level(angles)
        origins = self.on_axis(heights) + FAR_MM * outwards
        return FAR_MM - self.cast(origins, -outwards)[0]

    def on_axis(self, heights: np.ndarray) -> np.ndarray:
        heights = np.asarray(heights, float)
        return np.stack([np.full_like(heights, self.axis[0]), heights, np.full_like(heights, self.axis[2])], -1)

    def cylinder(self, angles: np.ndarray, heights: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Points at angles, heights and distances from the upright axis."""
        angles, heights, radii = np.broadcast_arrays(angles, heights, radii)
        return self.on_axis(heights) + radii[..., None] * level(angles)

    def angle(self, points: np.ndarray) -> np.ndarray:
        """The angles of points around the upright axis."""
        return np.arctan2(points[..., 0] - self.axis[0], points[..., 2] - self.axis[2])

    def outward(self, directions: np.ndarray, *, ears: bool = True) -> np.ndarray:
        """Distance of the outermost surface from the centre of the skull; without ears, NaN where they are met."""
        distance, triangle, _ = self.cast(self.centre + FAR_MM * directions, -directions)
        met_ear = self.head.regions[self.head.triangles[:, 0]][triangle] == Region.EAR
        return np.where(met_ear & (not ears), np.nan, FAR_MM - distance)

    def relief(self, origin: np.ndarray, frame: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Height over the plane through `origin` along the third row of `frame`, at (u, v) along the others."""
        u, v = np.broadcast_arrays(u, v)
        origins = origin + u[..., None] * frame[0] + v[..., None] * frame[1] + FAR_MM * frame[2]
        return FAR_MM - self.cast(origins, -frame[2])[0]

    def normal_near(self, point: np.ndarray) -> np.ndarray:
        """The normal of the vertex nearest to a point."""
        nearest = np.argmin(np.sum((self.head.vertices_mm - point) ** 2, axis=1))
        return self.head.normals[nearest]

    def ear(self, side: float) -> tuple[np.ndarray, np.ndarray]:
        """Top of the ear where it leaves the head, and its lobe; `side` is 1 for the subject's left, else -1."""
        ear = self.head.vertices_mm[(self.head.regions == Region.EAR) & (self.head.vertices_mm[:, 0] * side > 0)]
        if not len(ear):
            near = self.marks[454 if side > 0 else 234] + self.unit * np.array([2.0 * side, 0.0, -14.0])
            return near + self.unit * np.array([0.0, 22.0, 0.0]), near - self.unit * np.array([0.0, 30.0, 0.0])
        return ear[np.argmax(ear[:, 1])], ear[np.argmin(ear[:, 1])]


_latest: list[Surface] = []


def surface_of(head: Head) -> Surface:
    """The surface of a head; the latest one is kept, for a head mostly bears several things."""
    if not _latest or _latest[0].head is not head:
        _latest[:] = [Surface(head)]
    return _latest[0]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def level(angles: np.ndarray) -> np.ndarray:
    angles = np.asarray(angles, float)
    return np.stack([np.sin(angles), np.zeros_like(angles), np.cos(angles)], axis=-1)


def sphere(polar: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Directions; polar 0 is up, azimuth 0 the front, positive to the subject's left."""
    polar, azimuth = np.broadcast_arrays(polar, azimuth)
    return np.stack([np.sin(polar) * np.sin(azimuth), np.cos(polar), np.sin(polar) * np.cos(azimuth)], axis=-1)


def filled(values: np.ndarray) -> np.ndarray:
    """Missing (NaN) values replaced by the nearest found; all missing gives 0."""
    missing = np.isnan(values)
    if missing.all():
        return np.zeros_like(values)
    nearest = ndimage.distance_transform_edt(missing, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


def taut(heights: np.ndarray, passes: int, *, size: int = 5, mode: str | tuple[str, str] = "nearest") -> np.ndarray:
    """A cloth stretched over heights (rows, columns): nowhere below them, smooth where it spans."""
    cloth = heights
    for _ in range(passes):
        cloth = np.maximum(heights, ndimage.uniform_filter(cloth, size, mode=mode))
    return ndimage.gaussian_filter(cloth, 1.0, mode=mode)


def falling(values: np.ndarray, along_mm: np.ndarray, slope: float) -> np.ndarray:
    """Values that drop along the last axis by no more than `slope` per millimetre, as hanging hair does."""
    return np.maximum.accumulate(values + slope * along_mm, axis=-1) - slope * along_mm
