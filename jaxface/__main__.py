"""The command `jaxface`, also `python -m jaxface`: finds the verb, reads its flags, hands over."""

import importlib.metadata
import sys
from collections.abc import Callable
from typing import NamedTuple

from absl import flags, logging

from jaxface import commands, evaluate_commands, model_commands, track_commands

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
_HELP_FLAGS = {"-h", "-help", "--help", "--helpshort", "--helpfull"}


class Verb(NamedTuple):
    """`define_flags` adds the verb's flags to a set; `run(arguments, values)` returns the exit code."""

    usage: str
    summary: str
    define_flags: Callable[[flags.FlagValues], None]
    run: Callable[[list[str], flags.FlagValues], int]


def entry_point() -> None:
    """Runs the command line and leaves with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Runs `arguments` and returns the exit code: 0 all went well, 1 something failed, 2 wrong use, 130 stopped."""
    if not arguments:
        return _misused(_overview())
    if arguments[0] in _HELP_FLAGS:
        return _help([], None)
    name, *rest = arguments
    if name not in VERBS:
        return _misused(f"jaxface: {name!r} is not a verb; the verbs are {', '.join(VERBS)}.")
    logging.use_absl_handler()
    try:
        return _run(name, rest)
    except KeyboardInterrupt:
        print("\njaxface: stopped; results that were finished are kept.", file=sys.stderr)
        return INTERRUPTED


def _run(name: str, arguments: list[str]) -> int:
    verb = VERBS[name]
    values = _flag_values(verb)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if _HELP_FLAGS & set(options):
        return _help([name], None)
    try:
        positional = values(["jaxface", *arguments])[1:]
        return verb.run(positional, values)
    except (flags.Error, commands.UsageError) as error:
        return _misused(f"jaxface {name}: {commands.one_line(error)} See `jaxface help {name}`.")


def _flag_values(verb: Verb) -> flags.FlagValues:
    """A fresh set of flags a call: verbs do not see each other's, and calls leave nothing behind."""
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    verb.define_flags(values)
    return values


def _misused(message: str) -> int:
    print(message, file=sys.stderr)
    return MISUSED


def _no_flags(values: flags.FlagValues) -> None:
    pass


def _version(arguments: list[str], values: flags.FlagValues) -> int:
    print(f"jaxface {importlib.metadata.version('jaxface')}")
    return OK


def _help(arguments: list[str], values: flags.FlagValues | None) -> int:
    verb = VERBS.get(arguments[0]) if arguments else None
    if verb is None:
        print(_overview())
        return OK
    print(f"{verb.summary}\n\n  {verb.usage}")
    defined = _flag_values(verb)
    for name in sorted(set(defined) - {"flagfile", "undefok"}):
        print(f"\n  --{name}: {defined[name].help}")
        if defined[name].default not in (None, False):
            print(f"    (default: {defined[name].default})")
    return OK


def _overview() -> str:
    rows = [f"  {verb.usage}\n      {verb.summary}" for verb in VERBS.values()]
    opening = "jaxface: a photo or a video of a face in, a detailed and textured 3D mesh out."
    return "\n".join([opening, "", *rows, "", "`jaxface help VERB` lists a verb's flags."])


VERBS = {
    "reconstruct": Verb(
        usage="jaxface reconstruct PHOTO_OR_FOLDER... --output_dir=out",
        summary="Reconstructs the face in each photo into <output_dir>/<name of the photo>/.",
        define_flags=commands.define_reconstruct_flags,
        run=commands.reconstruct,
    ),
    "track": Verb(
        usage="jaxface track VIDEO_OR_FOLDER... --output_dir=out",
        summary="Follows one face through each video into <output_dir>/<name of the video>/: one person, animated.",
        define_flags=track_commands.define_track_flags,
        run=track_commands.track,
    ),
    "evaluate": Verb(
        usage="jaxface evaluate PREDICTION SCAN --protocol=micc-deng2019 --output_dir=out",
        summary="Measures a predicted face mesh against a scan: a table, evaluation.json and an error heat map.",
        define_flags=evaluate_commands.define_evaluate_flags,
        run=evaluate_commands.evaluate,
    ),
    "models": Verb(
        usage="jaxface models list | info NAME | install NAME [--from=PATH]",
        summary="Shows which face models and networks there are, and installs them.",
        define_flags=model_commands.define_models_flags,
        run=model_commands.models,
    ),
    "version": Verb("jaxface version", "Prints the version.", _no_flags, _version),
    "help": Verb("jaxface help [VERB]", "Prints this, or what a verb takes.", _no_flags, _help),
}


if __name__ == "__main__":
    entry_point()
