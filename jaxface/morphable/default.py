"""The embedded face model, built by experiments/build_default_model.py; needs no download and no licence form."""

import functools
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxface.types import MorphableModel

LICENCE = "Apache-2.0 (built by experiments/build_default_model.py from MakeHuman's mesh and targets, which are CC0)"
_PATH = pathlib.Path(__file__).parent / "data" / "default_head.npz"


@functools.lru_cache(maxsize=1)
def load_default() -> MorphableModel:
    """The default model: a whole head, 80 identity components ~ N(0, 1) and ARKit's 52 expressions in [0, 1].

    Skin down to the neck, eyeballs, teeth and tongue are pieces of their own (`vertex_parts`).
    """
    with np.load(_PATH, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names, albedo = arrays.pop("expression_names"), arrays.pop("albedo")
    fields: dict[str, Any] = {
        name: jnp.asarray(values, jnp.float32 if values.dtype.kind == "f" else jnp.int32)
        for name, values in arrays.items()
    }
    return MorphableModel(
        **fields,
        albedo=jnp.asarray(albedo, jnp.float32) / 255,
        name="default",
        licence=LICENCE,
        expression_names=tuple(str(name) for name in names),
        expression_bounds=(0.0, 1.0),
    )
