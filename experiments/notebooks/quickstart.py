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
# # From a photo to a mesh
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxface/jaxface/blob/main/experiments/notebooks/quickstart.ipynb)
#
# One photo goes in; landmarks, a coarse, a medium and a fine shape, the skin's colour and its light come out (Jin et
# al. 2021, *High-fidelity 3D face reconstruction with multi-scale details*). In Colab the next cell installs jaxface;
# if it asks for a restart, restart and run on.

# %%
import sys

if "google.colab" in sys.modules:
    # %pip install -q "jaxface[landmarks] @ git+https://github.com/jaxface/jaxface"
    print("jaxface is installed.")

# %% [markdown]
# ## The photo
#
# Grace Hopper's portrait is in the public domain and comes with matplotlib. For your own photo put its path into
# `PHOTO`; in Colab, drag the file into the panel on the left first.

# %%
import os
import pathlib

import matplotlib.cbook
import matplotlib.pyplot as plt
import numpy as np

import jaxface
from jaxface.export.maps import normals_picture
from jaxface.export.overview import landmarks_picture, render_shapes
from jaxface.io.images import read_image
from jaxface.types import FaceError

PHOTO = None
SIZE = 128 if os.environ.get("JAXFACE_SMOKE") else 512  # side of the square that is refined, pixels

photo = read_image(PHOTO or matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
try:
    rec = jaxface.reconstruct(photo, size=SIZE)
except FaceError as error:  # no face, or no MediaPipe to find it: the message says what to do
    sys.exit(str(error))

# %% [markdown]
# ## What became of each stage
#
# No truth is needed to judge a stage: one that breaks, or whose shading explains the photo worse than the stage before,
# is left out. The shape before it goes on, and the report says why. The first run also compiles, which is not counted.

# %%
print(f"Face model: {rec.model_name} ({rec.model_licence})")
for stage in rec.stages:
    print(f"{stage.name:15} {stage.status:9} {stage.seconds:6.2f} s  {stage.reason}")


# %% [markdown]
# ## Coarse, medium, fine
#
# *Coarse* is a face model fitted to the landmarks and to the skin's shading. *Medium* bends it to the landmarks
# (Eq. 3). *Fine* adds what shading tells of wrinkles and folds (Eq. 9). In clay, without colour, they can be compared.


# %%
def show(pictures):
    """Pictures side by side, each with its name."""
    figure, panels = plt.subplots(1, len(pictures), figsize=(2.8 * len(pictures), 3.1), layout="constrained")
    for panel, (title, picture) in zip(panels, pictures.items(), strict=True):
        panel.imshow(np.clip(picture, 0, 255 if picture.dtype == np.uint8 else 1))
        panel.set_title(title)
        panel.axis("off")
    plt.show()


clay = render_shapes(rec)
landmarks = np.asarray(landmarks_picture(rec))
show({"photo": rec.crop_image, "landmarks": landmarks, **{name: clay[name] for name in ("coarse", "medium", "fine")}})

# %% [markdown]
# ## Shape, colour and light
#
# A photo is *albedo times shading plus specular* (Eq. 4). Normals and shading belong to the fine surface; the last
# picture puts the parts together again.

# %%
maps = rec.maps
seen = maps.mask[..., None] > 0.5
parts = {
    "normals": normals_picture(maps.normals_image) / 255.0,
    "albedo": maps.albedo,
    "shading": maps.shading / np.percentile(maps.shading[seen[..., 0]], 99),
    "specular, brightened": maps.specular / max(maps.specular.max(), 0.05),
    "albedo x shading + specular": maps.albedo * maps.shading + maps.specular,
}
show({title: np.where(seen, picture, 1.0) for title, picture in parts.items()})

# %% [markdown]
# ## Save it
#
# `mesh.glb` opens in any viewer: the detail is geometry, the albedo its texture. The README lists the other files.

# %%
folder = pathlib.Path("out") / "quickstart"
folder.parent.mkdir(exist_ok=True)
rec.save(folder)
for path in sorted(path for path in folder.iterdir() if path.is_file()):
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# Turn it with the mouse:

# %%
if "ipykernel" in sys.modules:  # only a notebook can show it
    import trimesh
    from IPython.display import display
    from trimesh.viewer import scene_to_notebook

    display(scene_to_notebook(trimesh.load(folder / "mesh.glb")))
