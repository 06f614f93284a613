"""Strict JAX for the tests only: silent broadcasting and wrong shapes fail here, not at a user's."""

import os
import pathlib

import fast_compiles  # noqa: F401  (first)
import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")

with install_import_hook("jaxface", "beartype.beartype"):
    import jaxface  # noqa: F401


# What takes longest, by file or folder.
FIRST = (
    "test_pipeline.py",
    "test_track.py",
    "test_track_checks.py",
    "experiments",
    "test_notebooks.py",
    "test_runners.py",
    "test_convert.py",
    "stages",
    "energies",
)


def pytest_collection_modifyitems(items):
    """Long files first: a worker that is left alone at the end is left with a short one."""

    def place(item):
        return next((k for k, name in enumerate(FIRST) if name in item.path.parts), len(FIRST))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def empty_home(tmp_path_factory):
    """Whatever models the machine has, no test sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAXFACE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def reference_data() -> pathlib.Path:
    """Folder of the real reference data; a test that asks for it is skipped where it is missing."""
    default = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("JAXFACE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"reference data not found at {folder}; set JAXFACE_TEST_DATA")
    return folder
