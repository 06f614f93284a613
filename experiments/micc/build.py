"""A data set in MICC's layout whose truth is known: synthetic people, three videos and a scan of each.

Subjects take turns between the embedded model, bent by a smooth field outside its basis, and ICT-FaceKit's identities
where its data is found. Conditions:
  cooperative  near, soft light, small turns of the head; AVI, hardly compressed
  indoor       far: the face is half as large; blurred, and strongly compressed to MPEG-2
  outdoor      near, larger turns, hard sun from the side that saturates skin; a stream of JPEGs
Nobody's face is quite at rest. The scan is the neutral face with its relief, pitched and placed as MICC's are: of its
skin, what a scanner sees from the front and from both sides, so that no eyeballs, insides of mouth and nose or backs of
heads are in it.
"""

import dataclasses
import json
import pathlib
import tempfile

import av
import jax.numpy as jnp
import numpy as np
from common import ict
from PIL import Image, ImageFilter
from scipy.spatial.transform import Rotation
from video_study.film import SHINE, Actor, default_actor, ict_actor, shoot
from video_study.script import Script

from jaxface.evaluation.surfaces import NUM_IBUG
from jaxface.export.report import versions
from jaxface.io.atomic import new_folder
from jaxface.rendering.camera import orthographic, project
from jaxface.rendering.raster import rasterise, visibility
from jaxface.synthetic import preset_light
from jaxface.types import IBUG_68, Pose
from micc.dataset import CONDITIONS

TITLE = "Errors on a synthetic data set in MICC's layout (synthetic, not MICC)"
MANIFEST, LANDMARKS = "synthetic_micc.json", "landmarks"
FRAMES_PER_SECOND = 25
_MOST_TRIANGLES = 100_000  # of a scan, whose vertices are then about 1.4 mm apart
_PITCH_DEGREES, _PLACE_MM = 36.0, (8.0, -95.0, 640.0)
_SCANNER_YAWS_DEGREES, _SCANNER_SIDE, _SCANNER_PX_PER_MM = (-40.0, 0.0, 40.0), 512, 1.6  # orthographic views
_MOODS = ({"mouthSmileLeft": 0.2, "mouthSmileRight": 0.15}, {"browInnerUp": 0.25}, {"jawOpen": 0.1})


@dataclasses.dataclass(frozen=True)
class Filming:
    """One condition: head turns (degrees of yaw and pitch, to either side), size of the face against the film's usual,
    light and its strength, the highlight's peak, blur (standard deviation, shares of the picture's side), and the file:
    suffix, container, codec and its quantiser, 1 the finest and 31 the coarsest."""

    yaw: float
    pitch: float
    growth: float
    light: str
    strength: float
    shine: float
    blur: float
    suffix: str
    container: str
    codec: str
    quantiser: int


FILMINGS = {
    "cooperative": Filming(12.0, 4.0, 1.0, "soft", 1.0, SHINE, 0.0, ".avi", "avi", "mjpeg", 2),
    "indoor": Filming(18.0, 6.0, 0.5, "soft", 0.9, SHINE, 0.0025, ".mpg", "mpeg", "mpeg2video", 20),
    "outdoor": Filming(25.0, 8.0, 0.9, "side", 1.4, 0.25, 0.0, ".mjpg", "mjpeg", "mjpeg", 4),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What decides the data: how many subjects and frames, the videos' side in pixels, rounds of subdivision of the
    embedded model's people, and the seed."""

    subjects: int
    frames: int
    side: int
    levels: int
    seed: int


def build(folder: pathlib.Path, recipe: Recipe, *, ict_path: pathlib.Path | None) -> bool:
    """Makes the data set, unless it is there already and of this recipe; says whether it had to. An older one gives
    way. Raises FaceError for a folder that holds something else, or ICT data that cannot be read."""
    wanted = {"recipe": dataclasses.asdict(recipe), "ict": ict_path is not None, "versions": versions()}
    try:
        if json.loads((folder / MANIFEST).read_text()) == wanted:
            return False
    except (OSError, ValueError):
        pass
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder, marker=MANIFEST) as fresh:
        (fresh / LANDMARKS).mkdir()
        head = ict.load(ict_path) if ict_path is not None and recipe.subjects > 1 else None
        for index in range(recipe.subjects):
            seed = recipe.seed + index
            is_ict = head is not None and index % 2 == 1
            actor = ict_actor(head, seed=seed) if is_ict else default_actor(seed=seed, levels=recipe.levels)
            _add_subject(fresh, actor, recipe, index)
        (fresh / MANIFEST).write_text(json.dumps(wanted, indent=1) + "\n")
    return True


def script(filming: Filming, *, num_frames: int, index: int) -> Script:
    """A slow turn from one side to the other with a nod, and a mood that stays; subjects begin on different sides."""
    along, zeros = np.linspace(0.0, 1.0, num_frames), np.zeros(num_frames)
    side = 1.0 if index % 2 else -1.0
    yaw = side * filming.yaw * np.cos(np.pi * along)
    turns = np.radians(np.stack([yaw, filming.pitch * np.sin(2.0 * np.pi * along), 2.0 * side + zeros], axis=1))
    mood = {name: weight + zeros for name, weight in _MOODS[index % len(_MOODS)].items()}
    light = filming.strength * np.asarray(preset_light(filming.light), np.float64)
    growth = filming.growth * (1.0 + 0.03 * np.sin(np.pi * along))
    return Script(turns, np.zeros((num_frames, 2)), growth, mood, np.repeat(light[None], num_frames, axis=0))


def write_video(path: pathlib.Path, pictures: list[Image.Image], filming: Filming) -> None:
    """Pictures, blurred and encoded as the condition says; their sides must be even."""
    with av.open(str(path), "w", format=filming.container) as container:
        quantiser = {"qmin": str(filming.quantiser), "qmax": str(filming.quantiser)}
        stream = container.add_stream(filming.codec, rate=FRAMES_PER_SECOND, options=quantiser)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuvj420p" if filming.codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            seen = picture.filter(ImageFilter.GaussianBlur(filming.blur * picture.width))
            container.mux(stream.encode(av.VideoFrame.from_image(seen)))
        container.mux(stream.encode(None))


def scan(actor: Actor, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, triangles and iBUG landmarks (mm) of the true neutral face with its relief, where a scanner sees skin:
    pitched and placed like MICC's scans, each a little differently."""
    head = actor.head
    vertices = np.asarray(actor.shapes_mm({})[1], np.float64)
    triangles, is_skin = np.asarray(head.subdivision.triangles), np.asarray(head.excluded) < 0.5
    while is_skin[triangles].all(axis=1).sum() > _MOST_TRIANGLES:
        triangles = one_level_up(triangles)
    is_scanned = is_skin & seen_by_scanner(vertices, triangles)
    used, corners = np.unique(triangles[is_scanned[triangles].all(axis=1)], return_inverse=True)
    landmarks = np.full((NUM_IBUG, 3), np.nan)
    places = head.landmarks
    points = np.sum(np.asarray(places.weights, np.float64)[..., None] * vertices[np.asarray(places.corners)], axis=1)
    known = dict(zip(np.asarray(places.rows).tolist(), points, strict=True))
    for row, number in enumerate(IBUG_68):
        landmarks[row] = known.get(number, np.nan)
    draw = np.random.default_rng(seed)
    turn = Rotation.from_euler("xyz", [_PITCH_DEGREES, 0.0, 0.0] + draw.normal(0.0, 3.0, 3), degrees=True)
    place = np.array(_PLACE_MM) + draw.normal(0.0, 15.0, 3)
    return turn.apply(vertices[used]) + place, corners.reshape(-1, 3), turn.apply(landmarks) + place


def seen_by_scanner(vertices_mm: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Whether each vertex (object frame) is seen in one of the scanner's views: nostrils and mouths are not, inside."""
    centred = jnp.asarray(vertices_mm - vertices_mm[np.unique(triangles)].mean(axis=0), jnp.float32)
    seen = np.zeros(len(vertices_mm), bool)
    for degrees in _SCANNER_YAWS_DEGREES:
        pose = Pose(
            jnp.array([0.0, np.radians(degrees), 0.0]), jnp.full(2, _SCANNER_SIDE / 2), jnp.log(_SCANNER_PX_PER_MM)
        )
        vertices_px = project(centred, pose, camera=orthographic())
        raster = rasterise(vertices_px, jnp.asarray(triangles), height=_SCANNER_SIDE, width=_SCANNER_SIDE)
        seen |= np.asarray(visibility(vertices_px, raster)) > 0.0
    return seen


def one_level_up(triangles: np.ndarray) -> np.ndarray:
    """The triangles that one round of Loop subdivision made these of: in fours, a corner of the old one in each of the
    first three; old vertices keep their numbers."""
    return triangles.reshape(-1, 4, 3)[:, (0, 1, 2), (0, 1, 2)]


def write_scan(path: pathlib.Path, vertices_mm: np.ndarray, triangles: np.ndarray) -> None:
    """An OBJ of vertices and triangles alone."""
    corners = np.asarray(triangles) + 1
    rows = [("v %.4f %.4f %.4f\n", np.asarray(vertices_mm)), ("f %d %d %d\n", corners)]
    path.write_text("".join((template * len(values)) % tuple(values.ravel().tolist()) for template, values in rows))


def _add_subject(folder: pathlib.Path, actor: Actor, recipe: Recipe, index: int) -> None:
    name = f"subject_{index + 1:02d}"
    print(f"Filming {name}, from the world {actor.name}.", flush=True)
    models, videos = folder / name / "Model" / "frontal1" / "obj", folder / name / "Video"
    models.mkdir(parents=True)
    videos.mkdir()
    vertices_mm, triangles, landmarks_mm = scan(actor, seed=recipe.seed + index)
    write_scan(models / f"1109201504{index:02d}.obj", vertices_mm, triangles)
    np.save(folder / LANDMARKS / f"{name}_frontal1.npy", landmarks_mm)
    for condition, filming in FILMINGS.items():
        with tempfile.TemporaryDirectory() as work:
            play = script(filming, num_frames=recipe.frames, index=index)
            film = shoot(actor, play, pathlib.Path(work), size=recipe.side, shine=filming.shine)
            pictures = [Image.open(film.path(frame)).convert("RGB") for frame in range(film.num_frames)]
        write_video(videos / f"{CONDITIONS[condition]}{filming.suffix}", pictures, filming)
