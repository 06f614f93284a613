"""What a reconstruction is told to use: a face model, and networks in place of the landmark fit (host side)."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.transform import Rotation

from jaxface.detection.face_regressor import TddfaWeights, regress_face
from jaxface.detection.parsing import parse_face
from jaxface.detection.select import is_present
from jaxface.io.arrays import crop_window, host_array
from jaxface.models import catalogue, store
from jaxface.models.readers import tddfa
from jaxface.networks import bisenet, mobilenet
from jaxface.types import IBUG_68, Crop, FaceError, Landmarks, MorphableModel, Parsing, Pose, Regression

COARSE, PARSING = ("landmarks", "3ddfa"), ("landmarks", "bisenet")  # the latter are networks of the catalogue
REGRESSED_MODEL = "3ddfa_v2"  # the face model whose coefficients the network 3ddfa gives
# The parsing network was trained on whole portraits: the crop is widened by this share of its side all around.
_PORTRAIT = 0.3


class Tools(NamedTuple):
    """What is loaded before a photo is looked at; None stands for a network that is not used."""

    model: MorphableModel
    regressor: TddfaWeights | None
    parser: bisenet.Params | None

    @property
    def shape_is_regressed(self) -> bool:
        """Whether the network's coefficients are the model's own; else only its pose is of use."""
        return self.regressor is not None and self.model.name == REGRESSED_MODEL


def choose(
    *, model: str | MorphableModel | None = None, coarse: str = "landmarks", parsing: str = "landmarks"
) -> Tools:
    """Loads the face model and the networks that `pipeline.reconstruct` is told to use.

    Raises FaceError if one is unknown, not installed or damaged; the message says what to do.
    """
    for setting, value, choices in (("coarse", coarse, COARSE), ("parsing", parsing, PARSING)):
        if value not in choices:
            raise FaceError(f"The setting {setting} must be one of {', '.join(choices)}, not {value!r}.")
    if model is None or isinstance(model, str):
        model = store.resolve(model)
    regressor = _load_regressor(coarse) if coarse != "landmarks" else None
    parser = _load(parsing, bisenet.parse_logits, size=64).params if parsing != "landmarks" else None
    return Tools(model, regressor, jax.tree.map(jnp.asarray, parser))


def regress(
    image: Float[np.ndarray, "height width 3"],
    landmarks: Landmarks,
    weights: TddfaWeights,
    *,
    run: Callable[..., Array],
) -> Regression:
    """What the network makes of the face with these landmarks, in the model `REGRESSED_MODEL`.

    Raises FaceError where it sees no face.
    """
    ibug = np.array(IBUG_68)
    points_px = np.asarray(landmarks.points_px)[ibug][is_present(landmarks)[ibug]]
    face = regress_face(image, points_px, weights, apply=lambda *arrays: run(mobilenet.regress, *arrays))
    parameters = np.concatenate([np.zeros(tddfa.IDENTITY.start), face.shape, face.expression])
    vector = Rotation.from_matrix(face.rotation).as_rotvec()
    pose = Pose(*(_floats(part) for part in (vector, face.translation_px, np.log(face.px_per_mm))))
    return Regression(pose, *map(_floats, tddfa.whitened(parameters, weights.std)))


def parse(
    image: Float[np.ndarray, "height width 3"],
    crop: Crop,
    params: bisenet.Params,
    *,
    size: int,
    run: Callable[..., Array],
) -> Parsing:
    """What the network sees on the crop of `size` pixels, with what is around it (host arrays)."""
    margin = round(_PORTRAIT * size)
    corner_px = host_array(crop.offset_px) - margin / host_array(crop.zoom)
    portrait = crop_window(image, Crop(corner_px, crop.zoom), size=size + 2 * margin)
    parsing = parse_face(portrait, params, run=run)
    return Parsing(*(host_array(maps[margin:-margin, margin:-margin], dtype=np.float32) for maps in parsing))


def _load_regressor(name: str) -> TddfaWeights:
    network = _load(name, mobilenet.regress, size=mobilenet.CROP_SIZE)
    shapes = [np.shape(network.extras.get(key, ())) for key in ("mean", "std")]
    if shapes != [(mobilenet.NUM_OUTPUTS,)] * 2 or not np.all(network.extras["std"] > 0.0):
        raise FaceError(_unusable(name))
    return TddfaWeights(jax.tree.map(jnp.asarray, network.params), network.extras["mean"], network.extras["std"])


def _load(name: str, apply: Callable, *, size: int) -> store.Network:
    """The network as installed, if `apply` can use it on a square picture."""
    network = store.resolve_network(name)
    try:
        jax.eval_shape(apply, network.params, jax.ShapeDtypeStruct((size, size, 3), jnp.float32))
    except (LookupError, TypeError, ValueError):  # what haiku and JAX raise for missing and misshapen parameters
        raise FaceError(_unusable(name)) from None
    return network


def _unusable(name: str) -> str:
    entry = catalogue.BY_NAME[name]
    how = catalogue.how_to_install(entry)
    return f"{catalogue.installed_path(entry)} does not hold the network {name}: {how} again."


def _floats(values) -> Array:
    return jnp.asarray(values, jnp.float32)
