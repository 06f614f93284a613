"""What the README shows runs as printed."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_energy_example_runs_and_lowers_its_energy():
    block = next(b for b in re.findall(r"```python\n(.*?)```", README, re.S) if "minimise" in b)
    names = {}
    exec(block, names)
    result = names["result"]
    assert bool(result.finite) and result.energies[-1] < 0.9 * result.energies[0]
    world = names["world"]
    start = names["mine"](world.base_height_px)
    assert names["mine"](result.value) < start


def test_every_file_and_function_of_the_equation_table_exists():
    rows = re.findall(r"\| Eq\. (\d) .*? \| `(\w+)` \| `(jaxface/[\w/]+\.py)` \|", README)
    assert {number for number, _, _ in rows} == set("123456789")
    for _, function, path in rows:
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8"), (function, path)


def test_every_target_the_readme_names_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make (\w[\w-]*)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_measured_tables_are_those_of_the_results():
    """Every figure with decimals in the tables of what was measured stands in the index of the results."""
    section = README.split("## What was measured")[1].split("\n## ")[0]
    index = (ROOT / "experiments/results/README.md").read_text(encoding="utf-8")
    quoted = set(re.findall(r"\d+\.\d+", index.split("## Figures that the README quotes")[1].split("\n## ")[0]))
    rows = [line for line in section.splitlines() if line.startswith("|")]
    printed = [number for row in rows for number in re.findall(r"\d+\.\d+", row)]
    assert len(printed) > 30
    assert set(printed) <= quoted, sorted(set(printed) - quoted)
