"""What the verbs of the command line do. Whatever needs JAX is imported when a verb runs, so that help is instant."""

import os
import pathlib
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from absl import flags, logging
from tqdm import tqdm


class UsageError(Exception):
    """The command line asks for something that cannot be; the message is one sentence."""


def define_reconstruct_flags(values: flags.FlagValues) -> None:
    """Adds the flags of `jaxface reconstruct`."""
    define_common_flags(values, unit="photo")
    where: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_integer("face", None, "Which face to take, 0 being the largest.", lower_bound=0, **where)
    flags.DEFINE_string(
        "landmarks", None, "File with the landmarks of the one photo: .npy, iBUG .pts or Face++ .json.", **where
    )
    flags.DEFINE_enum(
        "mesh", "dense", ["dense", "base"], "mesh.glb: all detail in a dense mesh; or the model's with morph targets.",
        **where,
    )  # fmt: skip
    flags.DEFINE_integer("seed", 0, "Seed of whatever is random.", **where)


def define_common_flags(values: flags.FlagValues, *, unit: str) -> None:
    """Adds the flags of every verb that reconstructs; each `unit` gets a folder of its own."""
    where: dict[str, Any] = {"flag_values": values}
    flags.DEFINE_string("output_dir", "out", f"Folder for the results, one folder a {unit}; made if missing.", **where)
    flags.DEFINE_enum(
        "preset", "default", ["default", "paper"], "default: our measured settings; paper: the literal ones.", **where
    )
    flags.DEFINE_integer(
        "size", 512, "Side of the square crop that is refined, in pixels.", lower_bound=128, upper_bound=2048, **where
    )
    flags.DEFINE_string(
        "model", None, "Face model, see `jaxface models list`; without it the best openly licensed one there.", **where
    )
    flags.DEFINE_enum(
        "coarse", "landmarks", ["landmarks", "3ddfa"], "What finds the coarse face: a fit, or that network.", **where
    )
    flags.DEFINE_enum(
        "parsing", "landmarks", ["landmarks", "bisenet"], "What tells skin from hair: the fit or that network.", **where
    )
    flags.DEFINE_string("landmarker_task", None, "face_landmarker.task, which MediaPipe from 0.10.30 needs.", **where)
    flags.DEFINE_float("focal_px", None, "Focal length in pixels; without it scaled orthographic.", **where)
    flags.DEFINE_boolean("quiet", False, "Print errors only.", **where)
    flags.DEFINE_integer("verbosity", -1, "absl's log level; 1 shows where an unexpected error came from.", **where)


def reconstruct(arguments: list[str], values: flags.FlagValues) -> int:
    """Reconstructs every photo named; returns 0, or 1 if any failed. Raises UsageError before any work."""
    logging.set_verbosity(values.verbosity)
    if not arguments:
        raise UsageError("name at least one photo or folder of photos.")
    check_flags(values, files=("landmarks", "landmarker_task"))
    output_dir = writable_folder(values.output_dir)
    chosen = choose_tools(model=values.model, coarse=values.coarse, parsing=values.parsing)
    photos, num_bad = _gather(arguments)
    if values.landmarks and len(photos) > 1:
        raise UsageError("--landmarks describes one photo; name one photo only.")
    landmarks = values.landmarks or make_detector(values)
    if not values.quiet:
        print(chosen)
    plan = zip(photos, result_folders([photo.stem for photo in photos], output_dir), strict=True)
    quiet = values.quiet or not sys.stderr.isatty()
    with tqdm(plan, total=len(photos), disable=quiet, unit="photo", dynamic_ncols=True) as bar:
        num_failed = attempt_all(bar, lambda photo, folder: _reconstruct_one(photo, folder, landmarks, values, bar))
    return 1 if num_bad + num_failed else 0


def one_line(error: BaseException | str) -> str:
    """The error's message as one line that ends like a sentence; compilers' messages are cut."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else text[:400] + " ..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def check_flags(values: flags.FlagValues, *, files: tuple[str, ...]) -> None:
    """Raises UsageError unless the flags named in `files` name files, if anything, and `focal_px` can be one."""
    for flag in files:
        path = getattr(values, flag)
        if path is not None and not pathlib.Path(path).is_file():
            raise UsageError(f"--{flag}: there is no file {path}.")
    if values.focal_px is not None and not values.focal_px > 0.0:
        raise UsageError("--focal_px must be positive.")


def make_detector(values: flags.FlagValues) -> Callable:
    """The detector of landmarks that the flags ask for; its networks load with the first image."""
    from jaxface.detection.mediapipe_mesh import MediaPipeDetector

    return MediaPipeDetector(task_file=values.landmarker_task)


def choose_tools(*, model: str | None, coarse: str, parsing: str) -> str:
    """The face model and the networks asked for, with their licences, as a line to print.

    Raises UsageError if one of them cannot be used.
    """
    from jaxface.models import catalogue, tools
    from jaxface.types import FaceError

    try:
        used = tools.choose(model=model, coarse=coarse, parsing=parsing)
    except FaceError as error:
        raise UsageError(str(error)) from None
    licences = {used.model.name: used.model.licence}
    networks = [name for name in (coarse, parsing) if name != "landmarks"]
    licences |= {name: catalogue.BY_NAME[name].licence for name in networks}
    first, *others = (f"{name} ({licence.partition(' (')[0]})" for name, licence in licences.items())
    return f"Face model: {first}" + (f"; networks: {', '.join(others)}" if others else "")


def writable_folder(name: str) -> pathlib.Path:
    """The folder of that name, made if missing. Raises UsageError where nothing can be written."""
    folder = pathlib.Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".jaxface-"):
            pass
    except OSError as error:
        raise UsageError(f"cannot write to {folder} ({error.strerror}); choose another --output_dir.") from None
    return folder


def _gather(arguments: list[str]) -> tuple[list[pathlib.Path], int]:
    """The photos behind the arguments, each once, and how many arguments were no good."""
    from jaxface.io import images
    from jaxface.types import FaceError

    photos: dict[pathlib.Path, pathlib.Path] = {}
    num_bad = 0
    for argument in arguments:
        try:
            for photo in images.find_images(argument):
                photos.setdefault(photo.resolve(), photo)
        except (FaceError, OSError) as error:
            complain(argument, one_line(error))
            num_bad += 1
    return list(photos.values()), num_bad


def result_folders(names: list[str], output_dir: pathlib.Path) -> list[pathlib.Path]:
    """A folder for each name, with -2, -3 ... where several share one in any case."""
    taken: set[str] = set()
    folders = []
    for stem in names:
        name, copy = stem, 2
        while name.casefold() in taken:
            name, copy = f"{stem}-{copy}", copy + 1
        taken.add(name.casefold())
        folders.append(output_dir / name)
    return folders


def attempt_all(plan: Iterable[tuple], work: Callable[..., None]) -> int:
    """Does `work(source, folder)` for each pair of `plan`, and returns how many failed.

    Whatever goes wrong with one is told in one line, and the rest goes on.
    """
    num_failed = 0
    for place, (source, folder) in enumerate(plan):
        if place == 0:
            _keep_compiled_code()
        num_failed += not _attempt(source, folder, work)
    return num_failed


def _attempt(source: str | os.PathLike, folder: pathlib.Path, work: Callable[..., None]) -> bool:
    from jaxface.types import FaceError

    try:
        work(source, folder)
        return True
    except (FaceError, OSError) as error:
        complain(source, one_line(error))
    except Exception as error:  # a defect of ours, or of a library: the other sources may still do
        complain(source, f"{type(error).__name__}: {one_line(error)} (--verbosity=1 shows where.)")
        logging.debug("Where it happened:", exc_info=True)
    return False


def _reconstruct_one(photo: pathlib.Path, folder: pathlib.Path, landmarks, values: flags.FlagValues, bar: tqdm) -> None:
    from jaxface import pipeline
    from jaxface.io.images import read_image

    start = time.perf_counter()
    rec = pipeline.reconstruct(
        read_image(photo),
        model=values.model,
        coarse=values.coarse,
        parsing=values.parsing,
        landmarks=landmarks,
        face=values.face,
        preset=values.preset,
        size=values.size,
        seed=values.seed,
        focal_px=values.focal_px,
        progress=lambda stage: bar.set_postfix_str(f"{photo.name}: {stage}"),
    )
    rec.save(folder, mesh=values.mesh)
    if values.quiet:
        return
    for stage in rec.stages:
        if stage.reason:
            complain(photo, f"stage {stage.name} {stage.status}: {stage.reason}")
    tqdm.write(f"{photo} -> {folder} ({time.perf_counter() - start:.1f} s)", file=sys.stdout)


def complain(name: str | os.PathLike, sentence: str) -> None:
    """One line on stderr about one source, past any progress bar."""
    sentence = sentence.removeprefix(f"{name}: ")
    tqdm.write(f"jaxface: {name}: {sentence}", file=sys.stderr)


def _keep_compiled_code() -> None:
    """Lets JAX keep compiled code in the user's cache folder: a second call then starts in seconds."""
    import jax

    try:
        if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]  # set by its variable
            base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
            folder = pathlib.Path(base) / "jaxface" / "xla"
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))
    except (OSError, RuntimeError) as error:  # no home, or one that cannot be written
        logging.info("No compilation cache: %s", error)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # JAX writes in place: an entry of a killed or a still writing process is compiled again, and no user's concern.
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry", UserWarning)
