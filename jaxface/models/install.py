"""From the files of a model's authors to one that every stage can use, once and for all (host side)."""

import hashlib
import importlib
import os
import pathlib
import time
from typing import Any, NamedTuple

import numpy as np

from jaxface.models import catalogue, store
from jaxface.models.download import fetch
from jaxface.morphable.linear import has_landmark
from jaxface.types import NUM_LANDMARKS, Detector, FaceError, MorphableModel

NEAR_PX = 2.0
_STATISTICS = "param_mean_std_62d_120x120.pkl"


class InstallReport(NamedTuple):
    """What was installed: the file, how long it took, and what to tell about it, one sentence each."""

    path: pathlib.Path
    seconds: float
    sentences: tuple[str, ...]


def install(
    name: str,
    *,
    source: str | os.PathLike | None = None,
    part: str | None = None,
    detect: Detector | None = None,
    progress: bool = False,
) -> InstallReport:
    """Reads, converts and keeps the model or network of that name; what was installed before stays until it is done.

    `source` is what the user has (`jaxface models info NAME` says what is taken); None downloads it where its licence
    lets us. `part` chooses among the entry's parts; None is the reader's own choice. `detect` finds a model's landmarks
    on its mean face; None is MediaPipe. Raises FaceError.
    """
    start = time.perf_counter()
    entry = _checked_entry(name, part)
    path = catalogue.installed_path(entry)
    if source is not None:
        given = _given(entry, source)
        origin = str(given.absolute())
    else:
        given, origin = _downloaded(entry, progress=progress)
    if entry.kind == "network":
        sentences = _install_network(entry, given, path, origin=origin)
    else:
        sentences = _install_model(entry, given, path, origin=origin, part=part, detect=detect)
    if source is None:
        given.unlink(missing_ok=True)
    seconds = time.perf_counter() - start
    size = path.stat().st_size / 1e6
    licence = () if entry.is_open else (f"Its licence: {entry.licence}.",)
    known = _compared(entry, given) if source is not None else ()
    where = f"Installed as {path} ({size:.0f} MB, {seconds:.1f} s)."
    return InstallReport(path, seconds, (*sentences, *known, *licence, where))


def _compared(entry: catalogue.Entry, given: pathlib.Path) -> tuple[str, ...]:
    """Whether a file is the published one, for entries where that is known."""
    if not entry.sha256 or not given.is_file():
        return ()
    with given.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    if same:
        return ("It is the published file, by its SHA-256.",)
    return (f"It is not the published file that we know (SHA-256 {entry.sha256[:12]}): another version, or damaged.",)


def describe_model(model: MorphableModel) -> str:
    """One sentence with the model's sizes."""
    num_landmarks = int(has_landmark(model).sum())
    joints = f", {len(model.articulation.names)} joints" if model.articulation else ""
    return (
        f"{len(model.mean_mm)} vertices, {len(model.triangles)} triangles, "
        f"{len(model.identity_basis_mm)} identity and {len(model.expression_basis_mm)} expression components{joints}, "
        f"{num_landmarks} of {NUM_LANDMARKS} landmarks embedded."
    )


def describe_network(network: store.Network) -> str:
    """One sentence with the network's sizes."""
    count = sum(array.size for module in network.params.values() for array in module.values())
    return f"{count} parameters in {len(network.params)} modules."


def _checked_entry(name: str, part: str | None) -> catalogue.Entry:
    entry = catalogue.find(name)
    if entry is None:
        raise FaceError(catalogue.unknown(name))
    if name == catalogue.DEFAULT:
        raise FaceError("The default model is part of jaxface: there is nothing to install.")
    if part is not None and part not in entry.parts:
        choices = f"choose from {', '.join(entry.parts)}" if entry.parts else "leave --part away"
        raise FaceError(f"{name} has no part {part!r}: {choices}.")
    return entry


def _given(entry: catalogue.Entry, source: str | os.PathLike) -> pathlib.Path:
    path = pathlib.Path(source).expanduser()
    if not path.exists():
        raise FaceError(f"{path} does not exist: for {entry.name} give {entry.source}.")
    return path


def _downloaded(entry: catalogue.Entry, *, progress: bool) -> tuple[pathlib.Path, str]:
    """The file, and where it is from."""
    if entry.download is None:
        raise FaceError(f"{entry.name} cannot be downloaded from here: {catalogue.how_to_install(entry)}.")
    url, file_name, sha256, folder = entry.download
    path = catalogue.cache_folder() / "downloads" / file_name
    fetch(url, path, sha256=sha256, folder=folder, progress=progress)
    return path, url


def _install_model(
    entry: catalogue.Entry,
    given: pathlib.Path,
    path: pathlib.Path,
    *,
    origin: str,
    part: str | None,
    detect: Detector | None,
) -> tuple[str, ...]:
    # What converts brings the detector along, which a listing does not need.
    from jaxface.detection.sources import as_detector
    from jaxface.models.convert import convert
    from jaxface.models.embedding import reprojection_errors

    read, detect = importlib.import_module(entry.reader).read, as_detector(detect)
    source = read(given) if part is None else read(given, part=part)
    model = convert(source, name=entry.name, licence=entry.licence, detect=detect)
    errors_px = reprojection_errors(model, detect=detect)
    near = f"{np.mean(errors_px[np.isfinite(errors_px)] < NEAR_PX):.0%} of these landmarks lie within {NEAR_PX:g} px of"
    near += " where the detector finds them on the mean face (512 px)."
    store.save_model(model, path, note=source.note, source=origin)
    return source.note, describe_model(store.load_model(path)), near


def _install_network(
    entry: catalogue.Entry, given: pathlib.Path, path: pathlib.Path, *, origin: str
) -> tuple[str, ...]:
    from jaxface.io.checkpoints import load_checkpoint

    checkpoint, extras = _files_of_3ddfa(given) if entry.name == "3ddfa" else (given, {})
    module = importlib.import_module(entry.reader)
    params = module.params_from_checkpoint(load_checkpoint(checkpoint), source=str(checkpoint))
    store.save_network(params, path, extras=extras, source=origin)
    return f"Read {checkpoint}.", describe_network(store.load_network(path))


def _files_of_3ddfa(given: pathlib.Path) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
    """The checkpoint, and mean and standard deviation of the network's outputs, from one folder."""
    folder = given if given.is_dir() else given.parent
    found = sorted(folder.glob("*.pth")) if given.is_dir() else [given]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise FaceError(f"{folder} must hold one checkpoint *.pth ({names} found): give the path of the one to take.")
    statistics = folder / _STATISTICS
    if not statistics.is_file():
        raise FaceError(f"There is no {_STATISTICS} beside {found[0]}: copy it there from the configs of 3DDFA_V2.")
    return found[0], _read_statistics(statistics)


def _read_statistics(path: pathlib.Path) -> dict[str, np.ndarray]:
    from jaxface.io.pickles import load_pickle

    content = load_pickle(path)
    extras: dict[str, Any] = {key: content.get(key) for key in ("mean", "std")} if isinstance(content, dict) else {}
    if not extras or not all(_is_statistic(array) for array in extras.values()):
        raise FaceError(f"{path} must hold `mean` and `std` of 62 finite numbers each: get the file of 3DDFA_V2.")
    return extras


def _is_statistic(array: object) -> bool:
    if not isinstance(array, np.ndarray) or array.shape != (62,) or array.dtype.kind != "f":
        return False
    return bool(np.isfinite(array).all())
