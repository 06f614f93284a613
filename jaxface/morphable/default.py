"""The embedded face model, built by experiments/build_default_model.py; needs no download and no licence form."""

import functools
import pathlib

import jax.numpy as jnp
import numpy as np

from jaxface.types import IBUG_68, MorphableModel

LICENCE = "Apache-2.0 (built by experiments/build_default_model.py from MakeHuman's mesh and targets, which are CC0)"
_PATH = pathlib.Path(__file__).parent / "data" / "default_head.npz"


@functools.lru_cache(maxsize=1)
def load_default() -> MorphableModel:
    """The default model: a whole head, 80 identity components ~ N(0, 1) and ARKit's 52 expressions in [0, 1].

    Skin down to the neck, eyeballs, teeth and tongue are pieces of their own (`vertex_parts`).
    """
    with np.load(_PATH, allow_pickle=False) as stored:
        data = {name: stored[name] for name in stored.files}
    floats, whole = (
        (lambda name: jnp.asarray(data[name], jnp.float32)),
        (lambda name: jnp.asarray(data[name], jnp.int32)),
    )
    places = data["landmark_triangles"][list(IBUG_68)], data["landmark_barycentrics"][list(IBUG_68)].argmax(axis=1)
    return MorphableModel(
        mean_mm=floats("mean_mm"),
        identity_basis_mm=floats("identity_mm"),
        expression_basis_mm=floats("expression_mm"),
        triangles=whole("triangles"),
        uvs=floats("uvs"),
        uv_triangles=whole("uv_triangles"),
        landmark_triangles=whole("landmark_triangles"),
        landmark_barycentrics=floats("landmark_barycentrics"),
        landmark_regions=whole("landmark_regions"),
        vertex_regions=whole("vertex_regions"),
        vertex_parts=whole("vertex_parts"),
        ibug_vertices=jnp.asarray(data["triangles"][places], jnp.int32),
        albedo=floats("albedo") / 255,
        name="default",
        licence=LICENCE,
        expression_names=tuple(str(name) for name in data["expression_names"]),
        expression_bounds=(0.0, 1.0),
    )
