"""The 52 expressions of ARKit's names, from MakeHuman's face units: lids that meet, eyes that turn about a point."""

import numpy as np
import scipy.sparse as sparse
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from default_model import contours, uvs
from default_model.head import Head
from default_model.makehuman import MakeHuman
from default_model.rims import Rims, points
from jaxface.models.embedding import Embedding
from jaxface.types import Part

TURN = 2.0  # times the angle of MakeHuman's eyes: to 29 degrees sideways, 20 up and down
LID_GAP_MM = 0.3  # of the upper lid's landmarks from the lower one's, where they meet
LID_OUT_MM = 0.7  # closed lids lie so far before the eyeball
ROUNDS = 8  # until lids meet
SMOOTHINGS, SMOOTH_MM = 12, (10.0, 20.0)  # rounds, and distances to lids and lips between which they set in
SIDES = {"Left": Part.LEFT_EYE, "Right": Part.RIGHT_EYE}


def expressions(
    source: MakeHuman, head: Head, mean_mm: np.ndarray, found: Embedding, rims: Rims, *, scale: float
) -> dict[str, np.ndarray]:
    """What each unit adds to the mean head at weight 1, (vertices, 3) in mm, sorted by name. `scale` is the mean head's
    size in MakeHuman's."""
    means, amount = _smoothing(head, mean_mm)
    shapes = {name: _smooth(scale * (head.matrix @ source.unit(name)), means, amount) for name in source.units()}
    for side, eye in SIDES.items():
        name = f"eyeBlink{side}"
        for _ in range(ROUNDS):
            shapes[name] = _meeting(shapes[name], head, mean_mm, found, rims, eye)
        for way in ("Up", "Down", "In", "Out"):
            name = f"eyeLook{way}{side}"
            shapes[name] = _turning(shapes[name], mean_mm, head.parts == eye)
    return {name: (shape + _image(shapes, name, head)) / 2.0 for name, shape in shapes.items()}


def _image(shapes: dict[str, np.ndarray], name: str, head: Head) -> np.ndarray:
    """The mirror image of the other side's shape, or of a shape of both sides itself."""
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side) and name.removesuffix(side) + other in shapes:
            name = name.removesuffix(side) + other
            break
    return shapes[name][head.mirror] * [-1.0, 1.0, 1.0]


def lid_margin(head: Head, mean_mm: np.ndarray, *, left: bool) -> np.ndarray:
    """The vertices along which an eye's lids end."""
    return _margin(head, mean_mm, "socket", (mean_mm[:, 0] > 0.0) == left)


def lip_margin(head: Head, mean_mm: np.ndarray) -> np.ndarray:
    """The vertices along which the inside of the mouth begins."""
    return _margin(head, mean_mm, "mouth", np.ones(len(mean_mm), bool))


def _margin(head, mean_mm, kind, chosen):
    kinds = uvs.kinds_of_triangles(head, mean_mm)
    both = np.intersect1d(head.triangles[kinds == kind], head.triangles[kinds == "head"])
    return both[chosen[both]]


def _meeting(
    blink_mm: np.ndarray, head: Head, mean_mm: np.ndarray, found: Embedding, rims: Rims, eye: Part
) -> np.ndarray:
    """A blink whose upper lid goes just down to the lower one, all along it; what is around the lids goes with them."""
    shut = points(head, found, mean_mm + blink_mm)
    missing = np.zeros((2 * len(rims.upper), 3))
    ours = np.isin(rims.upper, (contours.LEFT_LIDS if eye == Part.LEFT_EYE else contours.RIGHT_LIDS)[0])
    missing[: len(rims.upper), 1] = np.where(ours, (shut[rims.lower] - shut[rims.upper])[:, 1] + LID_GAP_MM, 0.0)
    return _before_the_eye(blink_mm + rims.weights @ missing, head, mean_mm, eye)


def _before_the_eye(blink_mm: np.ndarray, head: Head, mean_mm: np.ndarray, eye: Part) -> np.ndarray:
    """A blink whose lids stay LID_OUT_MM before the eyeball, where they are in front of it."""
    ball = mean_mm[head.parts == eye]
    centre = _middle(ball)
    outer = np.unique(head.triangles[uvs.kinds_of_triangles(head, mean_mm) == "head"])
    outward = mean_mm[outer] + blink_mm[outer] - centre
    radius = np.linalg.norm(outward, axis=1)
    directions = (ball - centre) / np.linalg.norm(ball - centre, axis=1, keepdims=True)
    place = KDTree(directions).query(outward / radius[:, None])[1]
    wanted = np.linalg.norm(ball - centre, axis=1)[place] + LID_OUT_MM
    pushed = np.where((radius < wanted) & (outward[:, 2] > 0.0), wanted / radius, 1.0)
    moved = blink_mm.copy()
    moved[outer] += outward * (pushed - 1.0)[:, None]
    return moved


def _smooth(shape_mm: np.ndarray, means, amount: np.ndarray) -> np.ndarray:
    """Without the folds that MakeHuman's units press into cheeks."""
    for _ in range(SMOOTHINGS):
        shape_mm = shape_mm + amount[:, None] * (means @ shape_mm - shape_mm)
    return shape_mm


def _smoothing(head: Head, mean_mm: np.ndarray):
    """Means over neighbours, and how far each vertex is smoothed: only skin, and not near lids and lips."""
    sides = np.concatenate([head.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    both = np.unique(np.concatenate([sides, sides[:, ::-1]]), axis=0)
    graph = sparse.csr_matrix((np.ones(len(both)), both.T), (len(mean_mm),) * 2)
    margins = np.concatenate([lip_margin(head, mean_mm), *(lid_margin(head, mean_mm, left=k) for k in (True, False))])
    distance = KDTree(mean_mm[margins]).query(mean_mm)[0]
    t = np.clip((distance - SMOOTH_MM[0]) / (SMOOTH_MM[1] - SMOOTH_MM[0]), 0.0, 1.0)
    return sparse.diags(1.0 / np.asarray(graph.sum(axis=1)).ravel()) @ graph, t * t * (head.parts == Part.SKIN)


def _turning(look_mm: np.ndarray, mean_mm: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """A look whose lids move TURN times as far, and whose eyeball turns as much farther without changing its shape."""
    centre = _middle(mean_mm[ball])
    before = mean_mm[ball] - centre
    turn, _ = Rotation.align_vectors(before + look_mm[ball] - look_mm[ball].mean(axis=0), before - before.mean(axis=0))
    look_mm = TURN * look_mm
    look_mm[ball] = Rotation.from_rotvec(TURN * turn.as_rotvec()).apply(before) - before
    return look_mm


def _middle(ball_mm: np.ndarray) -> np.ndarray:
    """Centre of the sphere that fits best."""
    system = np.concatenate([2.0 * ball_mm, np.ones((len(ball_mm), 1))], axis=1)
    return np.linalg.lstsq(system, np.square(ball_mm).sum(axis=1), rcond=None)[0][:3]
