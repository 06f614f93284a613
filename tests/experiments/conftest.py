"""Makes the runners' parts importable, and runs runners inside this process."""

import pathlib
import runpy
import sys

import pytest
from absl import app, flags

EXPERIMENTS = pathlib.Path(__file__).resolve().parents[2] / "experiments"
sys.path.insert(0, str(EXPERIMENTS))


@pytest.fixture
def run_main(monkeypatch):
    """Runs a runner's main with flags of its own, as from the command line."""

    def run(name, *arguments):
        command = [str(EXPERIMENTS / f"{name}.py"), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", command)
        before = set(flags.FLAGS)
        try:
            script = runpy.run_path(command[0], run_name=name)
            script["main"](flags.FLAGS(command))
        finally:
            for flag in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, flag)

    return run


@pytest.fixture
def refuse(run_main):
    """The one sentence in which a runner refuses."""

    def run(name, *arguments):
        with pytest.raises(app.UsageError) as refused:
            run_main(name, *arguments)
        return str(refused.value)

    return run
