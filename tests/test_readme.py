"""What the README shows runs as printed."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_energy_example_runs_and_lowers_its_energy():
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "minimise" in b)
    names = {}
    exec(block, names)
    assert len([line for line in block.splitlines() if line.strip()]) == 8
    result = names["result"]
    assert bool(result.finite) and result.energies[-1] < 0.9 * result.energies[0]
    world = names["world"]
    start = names["mine"](world.base_height_px)
    assert names["mine"](result.value) < start


def test_every_file_and_function_of_the_equation_table_exists():
    rows = re.findall(r"\| Eq\. \d .*? \| `(\w+)` \| `(jaxface/[\w/]+\.py)` \|", README)
    assert len(rows) == 9
    for function, path in rows:
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), (function, path)


def test_every_target_the_readme_names_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w[\w-]*)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target
