"""The table of all runners."""

from typing import NamedTuple


class Runner(NamedTuple):
    """A script in experiments/, how it runs at a tiny size, and what it writes.

    `smoke`: flags of the smoke run besides the output folder, where {work} stands for the folder that all of them work
    in. `long`: even that takes long, and run_all.py leaves it out. `after`: the runner whose files there it reads.
    `results`: how its files' names begin, if not like itself; `files`: what these are called on a CPU. A notebook takes
    no flags and leaves no results.
    """

    name: str
    smoke: tuple[str, ...] = ("--smoke",)
    long: bool = False
    after: str | None = None
    results: tuple[str, ...] = ()
    files: tuple[str, ...] = ("{name}.json", "{name}.md", "{name}.png")
    notebook: bool = False

    @property
    def script(self) -> str:
        """Its path in experiments/."""
        return f"notebooks/{self.name}.py" if self.notebook else f"{self.name}.py"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """How its files' names begin."""
        return self.results or (self.name,)

    @property
    def outputs(self) -> list[str]:
        """The files' names."""
        return [] if self.notebook else [file.format(name=self.name) for file in self.files]


_TINY_ACCURACY = (
    "--models=default", "--cases=2", "--ict_cases=0", "--ict_off_cases=0", "--size=128", "--landmarks=true",
    "--paper_cases=0",
)  # fmt: skip

_TINY_MICC = (
    "--smoke", "--fuse=bundle", "--micc_dir={work}/micc", "--landmarks_dir={work}/micc/landmarks",
    "--work_dir={work}/micc_table1_work",
)  # fmt: skip

_MICC = ("{name}.csv", "{name}.json", "{name}.md", "{name}.png")
_CPU = ("{name}_cpu.json", "{name}_cpu.md")

# Long ones first, so that two at a time end together.
RUNNERS = (
    Runner(
        "synthetic_micc", ("--smoke", "--models=default", "--presets=default", "--data_dir={work}/micc"), files=_MICC
    ),
    Runner("micc_table1", _TINY_MICC, after="synthetic_micc", files=_MICC),
    Runner("sensitivity", ("--smoke", "--check")),
    Runner("multi_scale"),
    Runner("albedo_ablation"),
    Runner("medium_vs_coarse"),
    Runner("detail_detection"),
    Runner("segmentation"),
    Runner("compare"),
    Runner("accuracy", _TINY_ACCURACY, files=("{name}.json", "{name}.md")),
    Runner("neutral_faces", ("--size=96",), files=("{name}.png",)),
    Runner("accuracy_video", ("--worlds=default", "--frames=6", "--size=160"), long=True),
    Runner("fit_sweep", ("--models=default", "--cases=2", "--size=256"), long=True),
    Runner("benchmark", ("--sizes=128", "--batches=2", "--repeats=1", "--nophoto"), long=True, files=_CPU),
    Runner(
        "benchmark_video",
        long=True,
        results=("benchmark_video", "timeline_video"),
        files=(*_CPU, "timeline_video_cpu.png"),
    ),  # fmt: skip
    Runner("torch_comparison", (), long=True, files=()),
    Runner("quickstart", (), notebook=True),
    Runner("energies", (), notebook=True),
    Runner("video", (), notebook=True),
)
# Files of the results that no runner makes: how their names begin, what they show, the command.
OTHERS = {
    "default_model_people": (
        "The embedded model: eight random people, then its first components at two and at three deviations.",
        "python experiments/build_default_model.py --sheet=experiments/results/default_model_people.png",
    ),
    "grace_hopper": ("A portrait, and what becomes of it at every stage.", "make demo"),
}
