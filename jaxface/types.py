"""Records that cross a door between stages; axes and units are stated here, once.

Frames
  object   right-handed, millimetres: +x the subject's left, +y up, +z out of the face.
  camera   right-handed, millimetres: +x image right, +y image up, +z toward the viewer.
  image    pixels: x right, y down, height toward the viewer; pixel centres at integer coordinates.
Normals named `normals_image` live in the image frame: n is proportional to (-dh/dx, -dh/dy, 1).
Colours are RGB in [0, 1]. Angles are radians.
"""

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

if TYPE_CHECKING:
    import trimesh

NUM_LANDMARKS = 478  # MediaPipe face mesh: 468 surface points, then 2 x 5 iris points.

# The community's approximate map from the iBUG 68 points; it has no official status. Points 0-16 are the outline of
# the jaw in the image, not fixed surface points: their places here belong to the face oval, whose points slide.
IBUG_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


class Region(enum.IntEnum):
    """Semantic label of a vertex or a landmark; left and right are not told apart."""

    SKIN = 0
    EYEBROW = 1
    MOUTH = 2  # lips
    NOSE = 3
    EYE = 4  # lids
    EYE_OPENING = 5  # the eyeball's visible part
    MOUTH_OPENING = 6  # between the lips
    BORDER = 7  # the outline of the face mask
    OUTSIDE = 8  # from here on, beyond it; what is behind the lips
    EAR, SCALP, NECK = 9, 10, 11


class Part(enum.IntEnum):
    """What piece of a head a vertex belongs to; sides are the subject's. Only skin is refined and given relief."""

    SKIN = 0
    RIGHT_EYE, LEFT_EYE = 1, 2
    UPPER_TEETH, LOWER_TEETH = 3, 4
    TONGUE = 5
    INSIDE = 6  # sockets, gums, lashes and the like


class FaceError(ValueError):
    """A user's input cannot be used; the message is one sentence that says what to do."""


class Camera(NamedTuple):
    """Intrinsics. `inverse_focal` is 1 / focal length in pixels; 0 means scaled orthographic."""

    inverse_focal: Float[Array, ""]
    principal_point_px: Float[Array, "2"]


class Pose(NamedTuple):
    """6-DOF head pose, Jin et al. (2021) Sec. 3.2: object frame to image.

    `rotation_vector` turns object axes into camera axes (axis-angle); `translation_px` is where the object's
    origin appears; `log_scale` is the logarithm of the scale there, in pixels per millimetre.
    """

    rotation_vector: Float[Array, "3"]
    translation_px: Float[Array, "2"]
    log_scale: Float[Array, ""]


class Crop(NamedTuple):
    """A square window: point_crop = (point_image - offset_px) * zoom, both with pixel centres at integers."""

    offset_px: Float[Array, "2"]
    zoom: Float[Array, ""]


class Landmarks(NamedTuple):
    """Detected points in MediaPipe's 478-point order, confidence 0 if absent. `height_px` is the detector's own depth
    estimate, toward the viewer, up to an unknown offset."""

    points_px: Float[Array | np.ndarray, "landmarks 2"]
    height_px: Float[Array | np.ndarray, "landmarks"]
    confidence: Float[Array | np.ndarray, "landmarks"]


# Finds all faces in an RGB image, largest first. Its `name`, or the function's own, tells it from others in manifests.
Detector = Callable[[UInt8[np.ndarray, "height width 3"]], Sequence[Landmarks]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Articulation:
    """Joints that turn parts of a face: linear blend skinning with pose correctives (object frame, mm).

    Joints sit at `joints_mm` on the mean face and move with the coefficients. A vertex moves by `correctives_mm` times
    R - I of `corrected` joints, row by row. Parents come before children; the root's is -1. Rotations of the `free`
    joints (axis-angle, in units of `spread` radians) are the last 3 * len(free) expression coefficients of the model.
    """

    joints_mm: Float[Array, "joints 3"]
    joint_identity_mm: Float[Array, "identity joints 3"]
    joint_expression_mm: Float[Array, "expression joints 3"]
    weights: Float[Array, "vertices joints"]
    correctives_mm: Float[Array, "rotation_entries vertices 3"]
    corrected: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    parents: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    free: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    spread: float = dataclasses.field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)  # compared and hashed by identity: arrays are neither
class MorphableModel:
    """A linear face model, Jin et al. (2021) Eq. 1, in the object frame.

    Coefficients are whitened: identity ~ N(0, 1); expression 0 is neutral and 1 the full named shape for blendshape
    models (`expression_bounds` (0, 1)), or ~ N(0, 1) for statistical ones (bounds (-3, 3)).
    `uv_triangles` indexes `uvs` per corner, so that seams need no doubled vertices. v points up, as in OBJ.
    Landmark l lies at `landmark_barycentrics[l]` of triangle `landmark_triangles[l]`; weight rows that are all
    zero mark landmarks the model does not have (the irises, say). `ibug_vertices` are iBUG's 68 points, -1 if unknown.
    Regions and parts are values of `Region` and `Part`; a triangle has the part of its first corner.
    With an `articulation`, the last rows of the expression basis are the joints' rotations to first order.
    """

    mean_mm: Float[Array, "vertices 3"]
    identity_basis_mm: Float[Array, "identity vertices 3"]
    expression_basis_mm: Float[Array, "expression vertices 3"]
    triangles: Int[Array, "faces 3"]
    uvs: Float[Array, "uv_vertices 2"]
    uv_triangles: Int[Array, "faces 3"]
    landmark_triangles: Int[Array, "landmarks"]
    landmark_barycentrics: Float[Array, "landmarks 3"]
    landmark_regions: Int[Array, "landmarks"]
    vertex_regions: Int[Array, "vertices"]
    vertex_parts: Int[Array, "vertices"]
    ibug_vertices: Int[Array, "68"]
    albedo: Float[Array, "vertices 3"]  # mean texture, the initial albedo of Sec. 3.4
    name: str = dataclasses.field(metadata={"static": True})
    licence: str = dataclasses.field(metadata={"static": True})
    expression_names: tuple[str, ...] = dataclasses.field(metadata={"static": True})
    expression_bounds: tuple[float, float] = dataclasses.field(metadata={"static": True})
    articulation: Articulation | None = None


class Raster(NamedTuple):
    """What each pixel sees. `triangle` is -1 where nothing is; `complete` is False if the work list overflowed."""

    triangle: Int[Array, "height width"]
    barycentrics: Float[Array, "height width 3"]
    height_px: Float[Array, "height width"]
    complete: Array


class CoarseFit(NamedTuple):
    """Result of the coarse stage: whitened coefficients, pose, their shape, the landmarks' weighted rms distance (image
    pixels); `finite` is False if the solve broke down."""

    identity: Float[Array, "identity"]
    expression: Float[Array, "expression"]
    pose: Pose
    vertices_mm: Float[Array, "vertices 3"]
    residual_px: Float[Array, ""]
    finite: Array


class MediumFit(NamedTuple):
    """Result of the medium stage: the deformed mesh (object frame), the energy before each Adam step, and the weighted
    rms landmark distance left (image pixels)."""

    vertices_mm: Float[Array, "vertices 3"]
    energies: Float[Array, "steps"]
    residual_px: Float[Array, ""]
    finite: Array


class Parsing(NamedTuple):
    """What a network sees on a square crop, soft maps in [0, 1]: `indicators` of skin, eyebrow and lips, with a sum of
    at most 1, and `visible`, 1 less the probability that something is in front of the face."""

    indicators: Float[Array, "size size 3"]
    visible: Float[Array, "size size"]


class Regression(NamedTuple):
    """A network's pose of a face in the photo and, in its own face model only, whitened coefficients."""

    pose: Pose
    identity: Float[Array, "identity"] | None
    expression: Float[Array, "expression"] | None


class LearnedNormals(NamedTuple):
    """A network's word: what slopes (dh/dx, dh/dy) of a smooth surface miss, how far off its normals may then be
    (radians), and how probably skin is seen."""

    slope_change: Float[Array, "height width 2"]
    spread: Float[Array, "height width"]
    skin: Float[Array, "height width"]


class FineInputs(NamedTuple):
    """The fine stage's view of the crop: `covered` is 1 where the medium mesh is, `prior` in [0, 1] where skin may be
    by geometry alone; `indicators` are of skin, eyebrow and mouth; `albedo` is the model's mean texture."""

    image: Float[Array, "height width 3"]
    height_px: Float[Array, "height width"]
    covered: Float[Array, "height width"]
    prior: Float[Array, "height width"]
    indicators: Float[Array, "height width regions"]
    albedo: Float[Array, "height width 3"]


class FineMaps(NamedTuple):
    """Result of the fine stage on the square crop; heights in crop pixels toward the viewer, colours to the input's own
    scale (Eq. 4). `confidence` is the soft data mask in [0, 1], `spread` as in `LearnedNormals`."""

    medium_height_px: Float[Array, "height width"]
    phase1_height_px: Float[Array, "height width"]
    height_px: Float[Array, "height width"]
    normals_image: Float[Array, "height width 3"]
    albedo: Float[Array, "height width 3"]
    shading: Float[Array, "height width 3"]
    specular: Float[Array, "height width 3"]
    mask: Float[Array, "height width"]
    confidence: Float[Array, "height width"]
    light: Float[Array, "9 3"]
    finite: Array
    spread: Float[Array, "height width"] | None = None


class DetailMesh(NamedTuple):
    """The medium mesh subdivided and displaced along its normals (object frame, mm). In [0, 1], `trust` is
    visibility, by which displacement is already faded, and `sure` whether skin was seen there; `facing` is the base
    normals' component along the line of sight (scaled to z = 1), negative where turned away."""

    base_mm: Float[Array, "fine_vertices 3"]
    vertices_mm: Float[Array, "fine_vertices 3"]
    displacement_mm: Float[Array, "fine_vertices"]
    normals: Float[Array, "fine_vertices 3"]
    colours: Float[Array, "fine_vertices 3"]
    trust: Float[Array, "fine_vertices"]
    facing: Float[Array, "fine_vertices"]
    sure: Float[Array, "fine_vertices"]


class TextureMaps(NamedTuple):
    """Maps over the model's UV square; row 0 is v = 1, as pictures are stored."""

    albedo: Float[Array, "height width 3"]
    displacement_mm: Float[Array, "height width"]
    normals_tangent: Float[Array, "height width 3"]
    covered: Float[Array, "height width"]


@dataclasses.dataclass(frozen=True)
class StageReport:
    """What became of one stage: `status` is "ok", "left out" or "failed"; `reason` a sentence on it, or empty."""

    name: str
    status: str
    reason: str
    seconds: float
    figures: dict[str, float]


@dataclasses.dataclass(frozen=True, repr=False)
class Mesh:
    """Triangles with UVs per corner (object frame, host arrays). `parts` are theirs, None where all are skin."""

    vertices_mm: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    uv_triangles: np.ndarray
    parts: np.ndarray | None = None

    def to_trimesh(self) -> "trimesh.Trimesh":
        """As a `trimesh.Trimesh` (millimetres), vertices in their order, each with one of its UVs at a seam."""
        import trimesh

        uvs = np.zeros((len(self.vertices_mm), 2))
        uvs[self.triangles.reshape(-1)] = self.uvs[self.uv_triangles.reshape(-1)]
        visual = trimesh.visual.TextureVisuals(uv=uvs)
        return trimesh.Trimesh(self.vertices_mm, self.triangles, visual=visual, process=False)

    def __repr__(self) -> str:
        return f"Mesh of {len(self.vertices_mm)} vertices and {len(self.triangles)} triangles"
