"""jaxface: a photo or a video of a face in, a detailed and textured 3D mesh out (Jin et al. 2021, in JAX).

Words that mean one thing throughout:
  photo    a picture by itself; frame: one picture of a clip. Programs work on frames; a photo is a chunk of one.
  window   the square crop of a picture that is refined; `Crop` says where it lies.
  view     what is seen of a face in one picture; state: what the stages have found out about it so far.
  shape    vertices of the coarse or medium mesh in the object frame (mm); surface: its subdivision; detail: the
           displacement on that; height: depth toward the viewer on the window (pixels).
  scene    the window as Eqs. 4 to 9 see it: light, albedo, specular, height; term: an energy of a scene.
  stage    a step of the method, with a name, a pure function and a verdict; preset: all of their weights.
  figures  numbers by which a verdict is found without truth; limits: what must hold of them.
  clip     a video, a folder or a glob of pictures of one person; bundle: the fit of one identity to all of its frames.
"""

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxface import energies, presets
    from jaxface.export.reconstruction import Reconstruction
    from jaxface.pipeline import reconstruct, reconstruct_many
    from jaxface.tracking.records import Track, TrackSettings
    from jaxface.tracking.track import track
    from jaxface.types import FaceError, Landmarks, Mesh, StageReport

    __version__: str

# Where each name lives: imported when asked for, so that the command line's help does not wait for JAX.
_HOMES = {
    "reconstruct": "jaxface.pipeline",
    "reconstruct_many": "jaxface.pipeline",
    "track": "jaxface.tracking.track",
    "energies": "jaxface.energies",
    "presets": "jaxface.presets",
    "Reconstruction": "jaxface.export.reconstruction",
    "Track": "jaxface.tracking.records",
    "TrackSettings": "jaxface.tracking.records",
    "FaceError": "jaxface.types",
    "Landmarks": "jaxface.types",
    "Mesh": "jaxface.types",
    "StageReport": "jaxface.types",
}
__all__ = ["FaceError", "Landmarks", "Mesh", "Reconstruction", "StageReport", "Track", "TrackSettings", "energies",
           "presets", "reconstruct", "reconstruct_many", "track"]  # fmt: skip


if not TYPE_CHECKING:  # a checker then knows a wrong name

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return importlib.metadata.version("jaxface")
        if name not in _HOMES:
            raise AttributeError(f"module 'jaxface' has no attribute {name!r}")
        home = importlib.import_module(_HOMES[name])
        return home if _HOMES[name] == f"jaxface.{name}" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
