# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A video: one person, every frame
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxface/jaxface/blob/main/experiments/notebooks/video.ipynb)
#
# A clip goes in; one person, the pose and the expression of each frame, and an animation come out. The command
# `jaxface track clip.mp4` does the same. In Colab the next cell installs jaxface; if it asks for a restart, restart and
# run on.

# %%
import sys

if "google.colab" in sys.modules:
    # %pip install -q "jaxface[landmarks] @ git+https://github.com/jaxface/jaxface"
    print("jaxface is installed.")

# %% [markdown]
# ## The clip
#
# A rendered person turns the head and makes a face, so that the true pose is known; in one frame the camera is covered.
# For your own clip put its path into `CLIP`; then there is no truth to compare with.

# %%
import os
import pathlib

import jax
import matplotlib.pyplot as plt
import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from jaxface.export.clip import write_clip
from jaxface.export.pictures import to_bytes
from jaxface.io.video import open_clip, read_frames
from jaxface.morphable.default import load_default
from jaxface.rendering.camera import orthographic
from jaxface.rendering.clay import clay_picture
from jaxface.synthetic import FaceSettings, preset_light, synthetic_face
from jaxface.tracking.records import TrackSettings
from jaxface.tracking.reports import angles_degrees, jitter_text
from jaxface.tracking.track import track
from jaxface.types import Crop, FaceError, Pose

CLIP = None
SMOKE = bool(os.environ.get("JAXFACE_SMOKE"))
FRAMES, PIXELS, SIZE = (4, 96, 128) if SMOKE else (24, 256, 256)  # SIZE: side of the square that is refined

folder = pathlib.Path("out")
folder.mkdir(exist_ok=True)


def act(moment):
    """The rendered person at a moment from 0 to 1."""
    yaw, grimace = np.radians(25.0) * np.sin(2.0 * np.pi * moment), 0.8 * np.sin(np.pi * moment) ** 2
    settings = FaceSettings(expression=grimace, noise=0.01)
    light = preset_light("soft")
    return synthetic_face(
        jax.random.key(7), model=load_default(), size=PIXELS, yaw=yaw, light=light, settings=settings, levels=1
    )


def show(pictures, titles):
    """Pictures side by side, each with its title."""
    width = sum(picture.shape[1] / picture.shape[0] for picture in pictures)
    figure, panels = plt.subplots(1, len(pictures), figsize=(12, 12 / width + 0.4), layout="constrained")
    for panel, picture, title in zip(np.ravel(panels), pictures, titles, strict=True):
        panel.imshow(picture)
        panel.set_title(title)
        panel.axis("off")
    plt.show()


truth = None
if CLIP is None:
    acted = [act(k / FRAMES) for k in range(FRAMES)]
    pictures = [to_bytes(np.asarray(face.image)) for face in acted]
    pictures[FRAMES // 2] = np.zeros_like(pictures[0])
    truth = Pose(*(np.stack(rows) for rows in zip(*(face.pose for face in acted), strict=True)))
    CLIP = folder / "clip.mp4"
    write_clip(CLIP, pictures, frames_per_second=25.0)
shown = [picture for picture in read_frames(open_clip(CLIP, max_frames=FRAMES)) if picture.image is not None]
shown = shown[:: max(1, len(shown) // 6)]
show([picture.image for picture in shown], [f"frame {picture.index}" for picture in shown])

# %% [markdown]
# ## Track it
#
# Each frame is fitted alone, one person is fitted to all of them, and the temporal terms steady pose and expression. A
# frame without a usable face is bridged from its neighbours. Run again, a stopped run goes on where it was.

# %%
try:
    result = track(CLIP, folder / "video", settings=TrackSettings(size=SIZE), overwrite=True)
except FaceError as error:  # no face, or no MediaPipe to find it: the message says what to do
    sys.exit(str(error))
print(f"{len(result.status)} frames, model {result.model_name}: {jitter_text(result)}")
for k, (status, reason) in enumerate(zip(result.status, result.reason, strict=True)):
    if status != "ok":
        print(f"frame {k} is {status}: {reason}")

# %% [markdown]
# ## Pose, jitter, status
#
# Above, the head's yaw; below, how much the surface of the face speeds up or slows down as the head moves: what departs
# from the truth is jitter; at the bottom, what became of each frame.

# %%
INK, RAW, SMOOTH = "#333333", "#d9791e", "#2f6fb5"
STATUS = {"ok": "#a9cfa6", "bridged": "#e8b234", "lost": "#c0392b"}

points_mm = np.asarray(result.neutral.vertices_mm, np.float64)[::20]


def acceleration(pose):
    """Mean acceleration of the neutral face's surface, mm/frame^2, for the frames between the first and the last."""
    turns = Rotation.from_rotvec(np.asarray(pose.rotation_vector, np.float64)).as_matrix()
    places_mm = np.einsum("tij,vj->tvi", turns, points_mm)
    moves_mm = pose.translation_px * np.array([1.0, -1.0]) / np.exp(pose.log_scale)[:, None]
    places_mm[..., :2] += moves_mm[:, None]
    return np.linalg.norm(np.diff(places_mm, n=2, axis=0), axis=2).mean(axis=1)


curves = {"each frame alone": (result.raw_pose, {"color": RAW}), "smoothed": (result.pose, {"color": SMOOTH})}
if truth is not None:
    curves["truth"] = (truth, {"color": INK, "linewidth": 3, "alpha": 0.35})

good = np.array(result.status) == "ok"
figure, (top, middle, bottom) = plt.subplots(
    3, 1, figsize=(10, 5), height_ratios=(5, 3, 0.5), sharex=True, layout="constrained"
)
for name, (pose, style) in curves.items():
    top.plot(angles_degrees(pose)[:, 0], label=name, **style)
    middle.plot(np.arange(1, len(good) - 1), acceleration(pose), **style)
top.set_ylabel("yaw, degrees")
top.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
middle.set(ylabel="acceleration,\nmm/frame²", ylim=(0.0, None))
for status, colour in STATUS.items():
    frames = np.flatnonzero(np.array(result.status) == status)
    if len(frames):
        bottom.bar(frames, 1.0, width=1.0, color=colour, label=f"{status}: {len(frames)}")
bottom.set(yticks=[], xlabel="frame", xlim=(-0.5, len(good) - 0.5))
bottom.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -1.6))
plt.show()

# %% [markdown]
# ## The person
#
# `mean.glb` is one neutral shape from all frames, with the detail and the colours of those that saw each place best.

# %%
person = trimesh.load(folder / "video" / "mean.ply", process=False)
vertices_mm, side_px = np.asarray(person.vertices, np.float32), 384
middle_mm, scale = vertices_mm.mean(axis=0), 0.65 * side_px / np.ptp(vertices_mm[:, 1])


def view(yaw_degrees):
    """The person in clay, turned towards its left."""
    turn = np.array([0.0, np.radians(yaw_degrees), 0.0], np.float32)
    pose = Pose(turn, np.full(2, side_px / 2, np.float32), np.float32(np.log(scale)))
    crop = Crop(np.zeros(2, np.float32), np.float32(1.0))
    picture = clay_picture(vertices_mm - middle_mm, np.asarray(person.faces), pose, orthographic(), crop, size=side_px)
    return to_bytes(np.asarray(picture))


yaws = (-60, -30, 0, 30, 60)
show([view(yaw) for yaw in yaws], [f"{yaw}°" for yaw in yaws])

# %% [markdown]
# Turn it with the mouse:

# %%
if "ipykernel" in sys.modules:  # only a notebook can show it
    from IPython.display import display
    from trimesh.viewer import scene_to_notebook

    display(scene_to_notebook(trimesh.load(folder / "video" / "mean.glb")))

# %% [markdown]
# ## The frames
#
# `overlay.mp4` shows each frame with its coarse, medium and fine mesh; `animation.glb` moves in any viewer, and
# `tracking.csv` holds the numbers.

# %%
stills = [still.image for still in read_frames(open_clip(folder / "video" / "overlay.mp4"))]
for k in (0, len(stills) // 4):
    show([stills[k]], [f"frame {k}"])
