"""MediaPipe face mesh (478 points) as a landmark detector; an optional extra, imported when called (host side)."""

import contextlib
import importlib
import importlib.util
import os
import pathlib
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from jaxface.detection import views
from jaxface.detection.indices import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from jaxface.types import NUM_LANDMARKS, FaceError, Landmarks

# A network sees square uint8 RGB pixels and returns (x, y, height) of every face in these pixels.
Network = Callable[[np.ndarray], list[np.ndarray]]

_MAX_FACES = 8
_LOOK_SIZES = (0.85, 0.92, 1.0, 1.08, 1.15)
_LOOK_ANGLES = (-0.16, 0.08, 0.0, -0.08, 0.16)
_SURE_SPREAD = 0.005  # share of the face's size
_LARGEST_SPREAD = 0.03
_SAME_FACE = 0.5  # distance of two middles, in face sizes


class MediaPipeDetector:
    """MediaPipe's face mesh as a `Detector`; `task_file` is a `face_landmarker.task`, which 0.10.30 and later need.

    Its networks load with the first image and are kept as long as the object, or until `close`; no image changes what
    is found in the next. Any thread may call it; others wait meanwhile. MediaPipe gives no confidence: it is 1 inside
    the image and 0.1 beyond its border, where points are guesses.
    """

    def __init__(self, *, task_file: str | os.PathLike | None = None):
        self.name = "mediapipe" if task_file is None else f"mediapipe ({pathlib.Path(task_file).name})"
        self._task_file = task_file
        self._network: Network | None = None
        self._lock, self._opened = threading.Lock(), contextlib.ExitStack()
        weakref.finalize(self, self._opened.close)

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> list[Landmarks]:
        picture = Image.fromarray(image)
        # Quiet until the first image is done: the networks' threads chatter as they begin.
        with self._lock, _quiet() if self._network is None else _no_warnings():
            if self._network is None:
                self._network = self._opened.enter_context(_open_network(self._task_file))
            faces = _search(self._network, picture)
        return [_landmarks(face, height=picture.height, width=picture.width) for face in faces]

    def close(self) -> None:
        """Lets go of the networks; another image loads them anew."""
        with self._lock:
            self._network = None
            self._opened.close()


def _search(network: Network, picture: Image.Image) -> list[np.ndarray]:
    """Faces of the first round of views that shows any."""
    for view_round in views.searches(height=picture.height, width=picture.width):
        sightings = _distinct([face for view in view_round for face in _look(network, picture, view)])
        settled = [_settle(network, picture, face) for face in sightings]
        if faces := _distinct([face for face in settled if face is not None]):
            return faces
    return []


def _look(network: Network, picture: Image.Image, view: views.View) -> list[np.ndarray]:
    return [views.uncut_points(face, view=view) for face in network(views.cut_view(picture, view=view))]


def _settle(network: Network, picture: Image.Image, face: np.ndarray) -> np.ndarray | None:
    """The median of several upright looks at a face, or None where they disagree: then it was none.

    On turned copies of portraits the median scatters a third as much as a single look. Upside down, the network
    invents an upright face, but its looks disagree by 1 % of the face and more, against 0.3 %.
    """
    middle, spread = _looks(network, picture, face, turn=0.0)
    if spread > _SURE_SPREAD:
        turned, turned_spread = _looks(network, picture, face, turn=np.pi)
        middle, spread = (turned, turned_spread) if turned_spread < spread else (middle, spread)
    return middle if spread < _LARGEST_SPREAD else None


def _looks(network: Network, picture: Image.Image, face: np.ndarray, *, turn: float) -> tuple[np.ndarray, float]:
    """Median of the looks at a face, and their spread (share of the face's size)."""
    for _ in range(2):  # The second time from a better starting place.
        upright = _upright_view(face, turn=turn)
        wiggled = [
            views.make_view(upright.centre_px, side_px=size * upright.side_px, angle=upright.angle + angle)
            for size, angle in zip(_LOOK_SIZES, _LOOK_ANGLES, strict=True)
        ]
        seen = [near for view in wiggled if (near := _nearest(_look(network, picture, view), face)) is not None]
        if 2 * len(seen) <= len(wiggled):
            return face, np.inf
        face, turn = np.median(seen, axis=0), 0.0
    offsets = np.linalg.norm((np.array(seen) - face)[..., :2], axis=-1)
    return face, float(np.median(offsets)) / _size(face)


def _upright_view(face: Float[np.ndarray, "478 3"], *, turn: float) -> views.View:
    """A square of twice a face's size around it, turned so that the eyes are level, and by `turn` more."""
    low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
    across = face[LEFT_EYE_CORNERS, :2].mean(axis=0) - face[RIGHT_EYE_CORNERS, :2].mean(axis=0)
    angle = np.arctan2(across[1], across[0]) + turn
    return views.make_view(tuple((low + high) / 2.0), side_px=2.0 * _size(face), angle=angle)


def _nearest(faces: list[np.ndarray], face: np.ndarray) -> np.ndarray | None:
    """The sighting of that face among others, if any."""
    near = [other for other in faces if _gap(face, other) < _SAME_FACE]
    return min(near, key=lambda other: _gap(face, other)) if near else None


def _size(face: np.ndarray) -> float:
    return float(np.ptp(face[:, :2], axis=0).max())


def _distinct(faces: list[np.ndarray]) -> list[np.ndarray]:
    """Largest first, without second sightings of one face."""
    kept: list[np.ndarray] = []
    for face in sorted(faces, key=_size, reverse=True):
        if all(_gap(face, other) > _SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _gap(face: np.ndarray, other: np.ndarray) -> float:
    """Distance of two faces' middles, in sizes of the larger."""
    offset = face[:, :2].mean(axis=0) - other[:, :2].mean(axis=0)
    return float(np.linalg.norm(offset)) / max(_size(face), _size(other))


def _landmarks(face: np.ndarray, *, height: int, width: int) -> Landmarks:
    points = face[:, :2].astype(np.float32)
    inside = np.all((points >= -0.5) & (points <= np.array([width, height]) - 0.5), axis=1)
    confidence = np.where(inside, 1.0, 0.1).astype(np.float32)
    return Landmarks(jnp.asarray(points), jnp.asarray(face[:, 2], jnp.float32), jnp.asarray(confidence))


@contextlib.contextmanager
def _open_network(task_file: str | os.PathLike | None) -> Iterator[Network]:
    if importlib.util.find_spec("mediapipe") is None:
        raise FaceError('MediaPipe is not installed: run `pip install "jaxface[landmarks]"` or give --landmarks.')
    mediapipe = importlib.import_module("mediapipe")
    if task_file is None and hasattr(mediapipe, "solutions"):
        with _open_face_mesh(mediapipe) as network:
            yield network
    else:
        with _open_landmarker(mediapipe, task_file) as network:
            yield network


@contextlib.contextmanager
def _open_face_mesh(mediapipe) -> Iterator[Network]:
    """MediaPipe up to 0.10.21: the networks are inside the wheel."""
    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=_MAX_FACES, refine_landmarks=True
    )
    with mesh:
        yield lambda pixels: [
            _to_pixels(face.landmark, pixels) for face in mesh.process(pixels).multi_face_landmarks or []
        ]


@contextlib.contextmanager
def _open_landmarker(mediapipe, task_file: str | os.PathLike | None) -> Iterator[Network]:
    """MediaPipe from 0.10.30 on: the networks come from a file."""
    path = pathlib.Path(task_file or "")
    if task_file is None or not path.is_file():
        where = "is not given" if task_file is None else f"{path} is not a file"
        raise FaceError(
            f"This MediaPipe needs face_landmarker.task, which {where}: download it from Google's MediaPipe model"
            " page and name it with --landmarker_task."
        )
    vision = mediapipe.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(path)), num_faces=_MAX_FACES
    )
    unusable = FaceError(f"{path} is not a usable face_landmarker.task file: download it again.")
    try:
        landmarker = vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, OSError) as error:
        raise unusable from error

    def look(pixels):
        try:
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
        except RuntimeError as error:  # Networks of the wrong kind fail only when a face is seen.
            raise unusable from error
        return [_to_pixels(face, pixels) for face in found.face_landmarks]

    with contextlib.suppress(RuntimeError), landmarker:  # Closing repeats what has failed before.
        yield look


def _to_pixels(face, pixels: np.ndarray) -> Float[np.ndarray, "478 3"]:
    """From fractions of the picture, counted from its corner, z away from the viewer, z as large as x."""
    height, width = pixels.shape[:2]
    fractions = np.array([(point.x, point.y, point.z) for point in face])
    assert fractions.shape == (NUM_LANDMARKS, 3), fractions.shape
    return fractions * np.array([width, height, -width]) - np.array([0.5, 0.5, 0.0])


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SymbolDatabase.GetPrototype", category=UserWarning)
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps MediaPipe's and protobuf's chatter off the terminal; the C++ part writes straight to file 2."""
    with _no_warnings(), contextlib.ExitStack() as stack:
        try:
            terminal = os.dup(2)
        except OSError:  # No standard error: nothing to keep quiet.
            yield
            return
        stack.callback(os.close, terminal)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        stack.callback(os.dup2, terminal, 2)
        yield
