"""What the verbs of the command line do. Whatever needs JAX is imported when a verb runs, so that help is instant."""

import os
import pathlib
import sys
import tempfile
import time

from absl import flags, logging
from tqdm import tqdm


class UsageError(Exception):
    """The command line asks for something that cannot be; the message is one sentence."""


def define_reconstruct_flags(values: flags.FlagValues) -> None:
    """Adds the flags of `jaxface reconstruct`."""
    where = {"flag_values": values}
    flags.DEFINE_string("output_dir", "out", "Folder for the results, one folder a photo; made if missing.", **where)
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
        "parsing",
        "landmarks",
        ["landmarks", "bisenet"],
        "What tells skin from hair: the fit or that network.",
        **where,
    )
    flags.DEFINE_integer("face", None, "Which face to take, 0 being the largest.", lower_bound=0, **where)
    flags.DEFINE_string(
        "landmarks", None, "File with the landmarks of the one photo: .npy, iBUG .pts or Face++ .json.", **where
    )
    flags.DEFINE_string("landmarker_task", None, "face_landmarker.task, which MediaPipe from 0.10.30 needs.", **where)
    flags.DEFINE_float("focal_px", None, "Focal length in pixels; without it scaled orthographic.", **where)
    flags.DEFINE_integer("seed", 0, "Seed of whatever is random.", **where)
    flags.DEFINE_boolean("quiet", False, "Print errors only.", **where)
    flags.DEFINE_integer("verbosity", -1, "absl's log level; 1 shows where an unexpected error came from.", **where)


def reconstruct(arguments: list[str], values: flags.FlagValues) -> int:
    """Reconstructs every photo named; returns 0, or 1 if any failed. Raises UsageError before any work."""
    logging.set_verbosity(values.verbosity)
    _check_request(arguments, values)
    output_dir = _writable_folder(values.output_dir)
    chosen = _choose(values)
    photos, num_bad = _gather(arguments)
    if values.landmarks and len(photos) > 1:
        raise UsageError("--landmarks describes one photo; name one photo only.")
    if not values.quiet:
        print(chosen)
    num_failed = num_bad
    if photos:
        _keep_compiled_code()
    quiet = values.quiet or not sys.stderr.isatty()
    with tqdm(total=len(photos), disable=quiet, unit="photo", dynamic_ncols=True) as bar:
        for photo, folder in _plan(photos, output_dir):
            num_failed += not _attempt(photo, folder, values, bar)
            bar.update()
    return 1 if num_failed else 0


def one_line(error: BaseException) -> str:
    """The error's message as one line that ends like a sentence; compilers' messages are cut."""
    text = " ".join(str(error).split())
    text = text if len(text) <= 400 else text[:400] + " ..."
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _check_request(arguments: list[str], values: flags.FlagValues) -> None:
    if not arguments:
        raise UsageError("name at least one photo or folder of photos.")
    for flag in ("landmarks", "landmarker_task"):
        path = getattr(values, flag)
        if path is not None and not pathlib.Path(path).is_file():
            raise UsageError(f"--{flag}: there is no file {path}.")
    if values.focal_px is not None and not values.focal_px > 0.0:
        raise UsageError("--focal_px must be positive.")


def _choose(values: flags.FlagValues) -> str:
    """The face model and the networks asked for, with their licences, once they are known to be usable."""
    from jaxface.models import catalogue, tools
    from jaxface.types import FaceError

    try:
        used = tools.choose(model=values.model, coarse=values.coarse, parsing=values.parsing)
    except FaceError as error:
        raise UsageError(str(error)) from None
    licences = {used.model.name: used.model.licence}
    networks = [name for name in (values.coarse, values.parsing) if name != "landmarks"]
    licences |= {name: catalogue.find(name).licence for name in networks}
    model, *others = (f"{name} ({licence.partition(' (')[0]})" for name, licence in licences.items())
    return f"Face model: {model}" + (f"; networks: {', '.join(others)}" if others else "")


def _writable_folder(name: str) -> pathlib.Path:
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
            _complain(argument, one_line(error))
            num_bad += 1
    return list(photos.values()), num_bad


def _plan(photos: list[pathlib.Path], output_dir: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """(photo, result folder): named after the photo, with -2, -3 ... where several share a name in any case."""
    taken: set[str] = set()
    plan = []
    for photo in photos:
        stem = name = photo.stem
        copy = 2
        while name.casefold() in taken:
            name, copy = f"{stem}-{copy}", copy + 1
        taken.add(name.casefold())
        plan.append((photo, output_dir / name))
    return plan


def _attempt(photo: pathlib.Path, folder: pathlib.Path, values: flags.FlagValues, bar: tqdm) -> bool:
    """One photo; whatever goes wrong is told in one line, and the rest goes on."""
    from jaxface.types import FaceError

    try:
        _reconstruct_one(photo, folder, values, bar)
        return True
    except (FaceError, OSError) as error:
        _complain(photo, one_line(error))
    except Exception as error:  # a defect of ours, or of a library: the other photos may still do
        _complain(photo, f"{type(error).__name__}: {one_line(error)} (--verbosity=1 shows where.)")
        logging.debug("Where it happened:", exc_info=True)
    return False


def _reconstruct_one(photo: pathlib.Path, folder: pathlib.Path, values: flags.FlagValues, bar: tqdm) -> None:
    from jaxface import pipeline
    from jaxface.export.bundle import write_all
    from jaxface.io.images import read_image

    start = time.perf_counter()
    rec = pipeline.reconstruct(
        read_image(photo),
        model=values.model,
        coarse=values.coarse,
        parsing=values.parsing,
        landmarks=values.landmarks,
        face=values.face,
        preset=values.preset,
        size=values.size,
        seed=values.seed,
        focal_px=values.focal_px,
        landmarker_task=values.landmarker_task,
        progress=lambda stage: bar.set_postfix_str(f"{photo.name}: {stage}"),
    )
    write_all(folder, rec, renders=pipeline.render_shapes(rec))
    if values.quiet:
        return
    for stage in rec.stages:
        if stage.reason:
            _complain(photo, f"stage {stage.name} {stage.status}: {stage.reason}")
    tqdm.write(f"{photo} -> {folder} ({time.perf_counter() - start:.1f} s)", file=sys.stdout)


def _complain(name: str | os.PathLike, sentence: str) -> None:
    sentence = sentence.removeprefix(f"{name}: ")
    tqdm.write(f"jaxface: {name}: {sentence}", file=sys.stderr)


def _keep_compiled_code() -> None:
    """Lets JAX keep compiled code in the user's cache folder: a second call then starts in seconds."""
    import jax

    try:
        if jax.config.jax_compilation_cache_dir is None:  # set by JAX_COMPILATION_CACHE_DIR
            base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
            folder = pathlib.Path(base) / "jaxface" / "xla"
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))
    except (OSError, RuntimeError) as error:  # no home, or one that cannot be written
        logging.info("No compilation cache: %s", error)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
