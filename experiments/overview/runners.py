"""The table of all runners."""

from typing import NamedTuple


class Runner(NamedTuple):
    """A script in experiments/, how it runs at a tiny size, and what its results are called.

    `smoke`: flags of the smoke run besides the output folder, where {work} stands for the folder that all of them work
    in; None: it has no cheap sizes and is left out. `after`: the runner whose files there it reads. `results`: how its
    files' names begin, if not like itself. A notebook takes no flags and leaves no results.
    """

    name: str
    smoke: tuple[str, ...] | None = ("--smoke",)
    after: str | None = None
    results: tuple[str, ...] = ()
    notebook: bool = False

    @property
    def script(self) -> str:
        """Its path in experiments/."""
        return f"notebooks/{self.name}.py" if self.notebook else f"{self.name}.py"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """How its files' names begin."""
        return self.results or (self.name,)


_TINY_ACCURACY = (
    "--models=default", "--cases=2", "--ict_cases=0", "--ict_off_cases=0", "--size=128", "--landmarks=true",
    "--paper_cases=0",
)  # fmt: skip

_TINY_MICC = (
    "--smoke", "--fuse=bundle", "--micc_dir={work}/micc", "--landmarks_dir={work}/micc/landmarks",
    "--work_dir={work}/micc_table1_work",
)  # fmt: skip

# Long ones first, so that two at a time end together.
RUNNERS = (
    Runner("synthetic_micc", ("--smoke", "--models=default", "--presets=default", "--data_dir={work}/micc")),
    Runner("micc_table1", _TINY_MICC, after="synthetic_micc"),
    Runner("sensitivity", ("--smoke", "--check")),
    Runner("multi_scale"),
    Runner("albedo_ablation"),
    Runner("medium_vs_coarse"),
    Runner("detail_detection"),
    Runner("segmentation"),
    Runner("compare"),
    Runner("accuracy", _TINY_ACCURACY),
    Runner("neutral_faces", ("--size=96",)),
    Runner("accuracy_video", None),
    Runner("fit_sweep", None),
    Runner("benchmark", None),
    Runner("benchmark_video", None, results=("benchmark_video", "timeline_video")),
    Runner("torch_comparison", None),
    Runner("quickstart", (), notebook=True),
    Runner("energies", (), notebook=True),
    Runner("video", (), notebook=True),
)
# Files of the results that no runner makes: how their names begin, what they show, the command.
OTHERS = {"grace_hopper": ("A portrait, and what becomes of it at every stage.", "make demo")}
