"""`jaxface models`: tables, facts, exit codes, one sentence a failure; the installer and the plot are replaced."""

import subprocess
import sys
import types

import pytest
import tiny_model

from jaxface import __main__ as cli
from jaxface.models import catalogue, install, store
from jaxface.types import FaceError


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXFACE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def installer(monkeypatch):
    fake = types.SimpleNamespace(calls=[], error=None)

    def run(name, **settings):
        fake.calls.append((name, settings))
        if fake.error:
            raise fake.error
        return install.InstallReport("there", 1.0, ("One.", "Two."))

    monkeypatch.setattr(install, "install", run)
    return fake


@pytest.fixture
def pictures(monkeypatch):
    drawn = []
    module = types.SimpleNamespace(plot_embedding=lambda model, path: drawn.append((model.name, path)))
    monkeypatch.setitem(sys.modules, "jaxface.models.picture", module)
    return drawn


def put(name):
    path = catalogue.installed_path(catalogue.find(name))
    store.save_model(tiny_model.make_model(name=name), path, note="All of it.", source="/there/x")
    return path


def rows(capsys) -> dict[str, str]:
    lines = capsys.readouterr().out.splitlines()
    return {line.lstrip("* ").split()[0]: line for line in lines if line.strip()}


def test_list_marks_what_is_installed_and_used(capsys):
    assert cli.main(["models", "list"]) == 0
    table = rows(capsys)
    assert all(entry.name in table and entry.adds in table[entry.name] for entry in catalogue.ENTRIES)
    assert table["default"].startswith("*") and " yes " in table["default"] and " no " in table["ict"]
    put("ict")
    put("flame")
    assert cli.main(["models", "list"]) == 0
    table = rows(capsys)
    assert [name for name, line in table.items() if line.startswith("*  ")] == ["ict"]
    assert " yes " in table["ict"] and " yes " in table["flame"] and " no " in table["gnm"] and "MIT" in table["ict"]


def test_info_tells_how_to_get_it(capsys):
    assert cli.main(["models", "info", "gnm"]) == 0
    out = capsys.readouterr().out
    assert "Apache-2.0" in out and "gnm_head.npz" in out and "no: get" in out and "holds" not in out
    assert cli.main(["models", "info", "bfm2009"]) == 0
    assert "not open to all uses" in capsys.readouterr().out


def test_info_of_an_installed_model(capsys):
    path = put("ict")
    assert cli.main(["models", "info", "ict"]) == 0
    out = capsys.readouterr().out
    assert f"installed: {path}" in out and "9 vertices" in out and "read from: /there/x\nnote:      All of it.\n" in out
    assert cli.main(["models", "info", "default"]) == 0
    out = capsys.readouterr().out
    assert "478 of 478 landmarks" in out and "read from" not in out


def test_info_of_an_installed_network(capsys):
    path = catalogue.installed_path(catalogue.find("bisenet"))
    store.save_network({"a": {"w": tiny_model.make_model().mean_mm}}, path, source="/there/n.pth")
    assert cli.main(["models", "info", "bisenet"]) == 0
    out = capsys.readouterr().out
    assert "27 parameters in 1 modules" in out and "read from: /there/n.pth" in out


def test_info_draws_a_picture(capsys, pictures):
    put("ict")
    assert cli.main(["models", "info", "ict", "--plot=a.png"]) == 0
    assert cli.main(["models", "info", "default", "--plot", "b.png"]) == 0
    assert pictures == [("ict", "a.png"), ("default", "b.png")] and "a.png" in capsys.readouterr().out


def test_a_broken_model_is_told(capsys, pictures):
    put("ict").write_bytes(b"broken")
    assert cli.main(["models", "info", "ict", "--plot=a.png"]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1 and "models install ict` again" in err and pictures == []
    assert cli.main(["models", "info", "gnm", "--plot=a.png"]) == 1
    assert "not installed" in capsys.readouterr().err


def test_install_passes_on_what_was_said(capsys, installer):
    assert cli.main(["models", "install", "ict", "--from=/some/where", "--part=head"]) == 0
    assert cli.main(["models", "install", "gnm", "--from", "gnm_head.npz"]) == 0
    assert cli.main(["models", "install", "ict"]) == 0
    progress = {"progress": sys.stderr.isatty()}
    assert installer.calls == [
        ("ict", {"source": "/some/where", "part": "head"} | progress),
        ("gnm", {"source": "gnm_head.npz", "part": None} | progress),
        ("ict", {"source": None, "part": None} | progress),
    ]
    assert capsys.readouterr().out == "One.\nTwo.\n" * 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FaceError("No such\nthing"), "No such thing."),
        (OSError(13, "Permission denied", "/x"), "Permission denied"),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops."),
    ],
)
def test_failures_are_one_line_and_exit_1(capsys, installer, error, words):
    installer.error = error
    assert cli.main(["models", "install", "ict"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err and err.startswith("jaxface: models install ict: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "list, info, install"),
        (["remove", "ict"], "list, info, install"),
        (["list", "ict"], "no name"),
        (["info"], "name one"),
        (["info", "ict", "gnm"], "name one"),
        (["install"], "name one"),
        (["info", "icd"], "did you mean ict"),
        (["install", "nothing"], "bfm2009"),
        (["install", "default"], "nothing to install"),
        (["install", "ict", "--part=nose"], "--part"),
        (["install", "gnm", "--part=face"], "no parts"),
        (["install", "ict", "--plot=a.png"], "--plot goes with info"),
        (["info", "ict", "--from=x"], "--from goes with install"),
        (["list", "--part=face"], "--part goes with install"),
        (["info", "bisenet", "--plot=a.png"], "is a network"),
        (["list", "--colour"], "colour"),
    ],
)
def test_wrong_use_is_told_and_exits_2(capsys, installer, arguments, words):
    assert cli.main(["models", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err and "jaxface help models" in err and out == "" and installer.calls == []


def test_help_lists_the_flags(capsys):
    assert cli.main(["help", "models"]) == 0
    out = capsys.readouterr().out
    assert all(f"--{flag}:" in out for flag in ("from", "part", "plot")) and "install NAME" in out


@pytest.mark.parametrize("arguments", [["list"], ["info", "gnm"], ["info", "icd"]])
def test_what_needs_no_jax_does_not_wait_for_it(arguments):
    code = f"import sys, jaxface.__main__ as m; m.main(['models', *{arguments}]); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
