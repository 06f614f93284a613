"""Every experiment at a tiny size, and the index of the results.

    python experiments/run_all.py --smoke

Nearly 10 minutes on 2 cores when nothing is compiled yet. `make experiments` is the same in the repository's own
environment. Runs each runner that has tiny sizes, and the notebooks' scripts, two at a time, into
experiments/results/smoke, with a line each; one that fails stops no other, but the exit code is then not 0. Last it
writes experiments/results/README.md: every table and figure of the full runs with its command. Without --smoke nothing
runs and the index alone is written, in a second.
"""

import functools
import pathlib

from absl import app, flags
from overview import index, processes
from overview.runners import RUNNERS, Runner

SMOKE = flags.DEFINE_bool("smoke", False, "run the runners at tiny sizes; their figures mean nothing")
ONLY = flags.DEFINE_list("only", [], "with --smoke: names of the runners to run; default: all that have tiny sizes")
OUTPUT_DIR = flags.DEFINE_string("output_dir", "experiments/results", "where the full runs' results are")

AT_ONCE = 2
SCRIPTS = pathlib.Path(__file__).resolve().parent


def chosen(names: list[str]) -> list[Runner]:
    """The runners with tiny sizes, or those of them that are named and whose files these read. Raises UsageError for
    other names."""
    cheap = {runner.name: runner for runner in RUNNERS if not runner.long}
    for name in names:
        if name not in cheap:
            raise app.UsageError(f"There is no runner {name!r} with tiny sizes; take some of {', '.join(cheap)}.")
    wanted = set(names or cheap) | {cheap[name].after for name in names}
    return [runner for name, runner in cheap.items() if name in wanted]


def main(_) -> None:
    """Runs, index, verdict."""
    folder, failed = pathlib.Path(OUTPUT_DIR.value).resolve(), []
    runners = chosen(ONLY.value)
    if ONLY.value and not SMOKE.value:
        raise app.UsageError("--only chooses among the tiny runs: add --smoke.")
    out = folder / "smoke"
    if SMOKE.value:
        print(f"{len(runners)} runners, {AT_ONCE} at a time, into {out}", flush=True)
        tell = functools.partial(print, flush=True)
        failed = processes.run_all(runners, scripts=SCRIPTS, out=out, at_once=AT_ONCE, tell=tell)
    print(f"The index is in {index.write(folder, scripts=SCRIPTS, runners=RUNNERS)}")
    if failed:
        raise SystemExit(f"{len(failed)} of {len(runners)} runners failed: {', '.join(failed)}; see {out}/NAME.log.")


if __name__ == "__main__":
    app.run(main)
