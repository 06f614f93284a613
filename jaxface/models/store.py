"""Face models and networks as we keep them: one uncompressed .npz each, checked whenever it is read (host side)."""

import contextlib
import functools
import json
import os
import pathlib
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxface.io.atomic import new_file
from jaxface.models import catalogue
from jaxface.models.stored import JOINT_FACTS, JOINT_SHAPES, MODEL_FACTS, MODEL_SHAPES, check_model
from jaxface.morphable.default import load_default
from jaxface.types import Articulation, FaceError, MorphableModel

FORMAT = 2  # raised whenever files written before can no longer be used

_FACTS = "facts"  # the entry that holds the JSON text
# What numpy, zipfile and json raise on damaged files.
_BROKEN = (
    OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, SyntaxError, RuntimeError, MemoryError,
    OverflowError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


class Network(NamedTuple):
    """A trained network: haiku-style parameters, and arrays beside them (statistics of its outputs, say)."""

    params: dict[str, dict[str, np.ndarray]]
    extras: dict[str, np.ndarray]


def resolve(name: str | None) -> MorphableModel:
    """The face model of that name; None is the best openly licensed one installed, else the embedded one.

    Raises FaceError for a name that is unknown, not installed or a network's, and for a damaged file: nothing is
    taken in its place.
    """
    entry = catalogue.preferred() if name is None else _installed(name, kind="model")
    if entry.name == catalogue.DEFAULT:
        return load_default()
    path = catalogue.installed_path(entry)
    return _load_once(path, entry.name, _modified_ns(path))


def resolve_network(name: str) -> Network:
    """The network of that name. Raises FaceError as `resolve` does."""
    return load_network(catalogue.installed_path(_installed(name, kind="network")))


def save_model(model: MorphableModel, path: str | os.PathLike, *, note: str = "", source: str = "") -> None:
    """Writes `path` in one step, and its folder; `note` and `source` say what was read, and from where.

    Raises FaceError if the model is not sound, or if the file cannot be written.
    """
    facts: dict[str, Any] = {"kind": "model", "note": note, "source": source}
    facts |= {key: getattr(model, key) for key in MODEL_FACTS}
    arrays = {key: _plain(getattr(model, key)) for key in MODEL_SHAPES}
    if model.articulation is not None:
        facts["articulation"] = {key: getattr(model.articulation, key) for key in JOINT_FACTS}
        arrays |= {f"articulation.{key}": _plain(getattr(model.articulation, key)) for key in JOINT_SHAPES}
    facts = json.loads(json.dumps(facts, default=lambda scalar: scalar.item()))  # numpy's numbers to plain ones
    try:
        check_model(arrays, facts)
    except ValueError as error:
        raise FaceError(f"The model {model.name} is not sound ({error}): check the files it was read from.") from None
    _write(path, facts, arrays)


def load_model(path: str | os.PathLike) -> MorphableModel:
    """What `save_model` wrote. Raises FaceError for any other file, damaged or written by another version."""
    with _clear_errors(path):
        facts, arrays = _read(path, kind="model")
        check_model(arrays, facts)
        joints, articulation = facts.get("articulation"), None
        if joints:
            fields: dict[str, Any] = {key: jnp.asarray(arrays[f"articulation.{key}"]) for key in JOINT_SHAPES}
            articulation = Articulation(**fields, **{key: _fixed(joints[key]) for key in JOINT_FACTS})
        fields = {key: jnp.asarray(arrays[key]) for key in MODEL_SHAPES}
        return MorphableModel(**fields, **{key: _fixed(facts[key]) for key in MODEL_FACTS}, articulation=articulation)


def save_network(
    params: Mapping[str, Mapping[str, np.ndarray]],
    path: str | os.PathLike,
    *,
    extras: Mapping[str, np.ndarray] | None = None,
    source: str = "",
) -> None:
    """Writes parameters, module by module, and `extras` beside them in one step, as float32.

    Raises FaceError if the file cannot be written or a number is not finite.
    """
    places = [(module, name) for module, arrays in params.items() for name in arrays]
    arrays = {f"param.{place}": _plain(params[module][name]) for place, (module, name) in enumerate(places)}
    arrays |= {f"extra.{name}": _plain(array) for name, array in (extras or {}).items()}
    facts: dict[str, Any] = {"kind": "network", "source": source, "places": places, "arrays": list(arrays)}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise FaceError(f"{source}: it holds numbers that are not finite; get a sound copy.")
    _write(path, facts, arrays)


def load_network(path: str | os.PathLike) -> Network:
    """What `save_network` wrote. Raises FaceError for any other file, damaged or written by another version."""
    with _clear_errors(path):
        facts, arrays = _read(path, kind="network")
        if list(arrays) != facts["arrays"]:
            raise ValueError("arrays missing or too many")
        params: dict[str, dict[str, np.ndarray]] = {}
        for place, (module, name) in enumerate(facts["places"]):
            params.setdefault(module, {})[name] = arrays.pop(f"param.{place}")
        return Network(params, {key.removeprefix("extra."): array for key, array in arrays.items()})


def read_facts(path: str | os.PathLike) -> dict[str, Any]:
    """What an installed file says of itself: "note" and "source" among other things. Raises FaceError."""
    with _clear_errors(path), open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
        return _parse_facts(path, stored)


def _installed(name: str, *, kind: str) -> catalogue.Entry:
    entry = catalogue.find(name)
    if entry is None:
        raise FaceError(catalogue.unknown(name))
    if entry.kind != kind:
        raise FaceError(f"{name} is a {entry.kind}, not a {kind}: `jaxface models list` shows which is which.")
    if not catalogue.is_installed(entry):
        raise FaceError(f"The {kind} {name} is not installed: {catalogue.how_to_install(entry)}.")
    return entry


def _modified_ns(path: pathlib.Path) -> int:
    with _clear_errors(path):
        return path.stat().st_mtime_ns


@functools.lru_cache(maxsize=2)
def _load_once(path: pathlib.Path, name: str, modified_ns: int) -> MorphableModel:
    """Reads a file again only when it has changed."""
    model = load_model(path)
    if model.name != name:
        raise FaceError(f"{path} holds the model {model.name}: {_install_again(path)}.")
    return model


def _plain(array) -> np.ndarray:
    """On the host, as we store it: float32 or int32."""
    array = np.asarray(array)
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int32)


def _fixed(value):
    """A value from JSON as a static field has it."""
    return tuple(value) if isinstance(value, list) else value


def _write(path: str | os.PathLike, facts: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Through a file beside it, so that `path` is whole or untouched, also when we are killed."""
    path = pathlib.Path(path)
    parts: dict[str, Any] = {_FACTS: np.array(json.dumps({"format": FORMAT, **facts})), **arrays}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as fresh, fresh.open("wb") as file:
            np.savez(file, **parts)
    except OSError as error:
        why = error.strerror or error
        raise FaceError(f"{path}: it cannot be written ({why}); free some space or set JAXFACE_HOME.") from None


def _read(path: str | os.PathLike, *, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:  # np.load may leave its own file open
        facts = _parse_facts(path, stored)
        if facts["kind"] != kind:
            raise ValueError(f"it holds a {facts['kind']}, not a {kind}")
        if any(member.compress_type != zipfile.ZIP_STORED for member in stored.zip.infolist()):
            raise ValueError("it is compressed")  # ours never are, and what unfolds to no end is refused
        return facts, {key: stored[key] for key in stored.files if key != _FACTS}


def _parse_facts(path: str | os.PathLike, stored: np.lib.npyio.NpzFile) -> dict[str, Any]:
    facts = json.loads(str(stored[_FACTS]))
    if facts["format"] != FORMAT:
        raise FaceError(f"{path} was written by another version of jaxface: {_install_again(path)}.")
    return facts


@contextlib.contextmanager
def _clear_errors(path: str | os.PathLike) -> Iterator[None]:
    """Whatever a damaged file makes of itself becomes one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except FaceError:
        raise
    except _BROKEN as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FaceError(f"{path}: it cannot be used ({reason}): {_install_again(path)}.") from None


def _install_again(path: str | os.PathLike) -> str:
    return f"run `jaxface models install {pathlib.Path(path).stem}` again"
