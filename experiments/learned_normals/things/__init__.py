"""Things in front of faces and on heads, fitted to any head by its landmarks and by rays at its surface."""

import numpy as np

from learned_normals.head import Head, Thing
from learned_normals.things.beard import beard
from learned_normals.things.brows import brows
from learned_normals.things.cover import mask, scarf
from learned_normals.things.glasses import glasses
from learned_normals.things.hair import cap_of_hair
from learned_normals.things.hand import hand
from learned_normals.things.hats import hat
from learned_normals.things.held import cup, microphone, phone
from learned_normals.things.jewels import earrings_or_piercings
from learned_normals.things.shapes import combined
from learned_normals.things.strands import strands

__all__ = ["KINDS", "combined", "make"]

_MAKERS = {
    "cap_of_hair": cap_of_hair,
    "strands": strands,
    "beard": beard,
    "brows": brows,
    "glasses": glasses,
    "hand": hand,
    "cup": cup,
    "microphone": microphone,
    "phone": phone,
    "mask": mask,
    "scarf": scarf,
    "hat": hat,
    "earrings_or_piercings": earrings_or_piercings,
}
KINDS: tuple[str, ...] = tuple(_MAKERS)


def make(kind: str, head: Head, rng: np.random.Generator, *, skin: np.ndarray, hair: np.ndarray) -> Thing:
    """A random thing of a kind, fitted to `head`; `skin` and `hair` are the person's linear colours."""
    return _MAKERS[kind](head, rng, skin=np.asarray(skin, float), hair=np.asarray(hair, float))
