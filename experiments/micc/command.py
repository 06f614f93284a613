"""What the command lines of micc_table1.py and synthetic_micc.py share: flags, and the files they end in."""

import pathlib
from collections.abc import Callable

from absl import flags
from common import report

from jaxface import commands
from jaxface.evaluation.protocols import Protocol, find_protocol
from jaxface.models import store
from micc import table
from micc.people import Sampling
from micc.study import Plan, Study


class Flags:
    """--fuse, --protocols, --max_frames (a number without it, 3 with --smoke), --size, --output_dir and --smoke."""

    def __init__(self, *, max_frames: int):
        self._fuse = flags.DEFINE_list("fuse", ["bundle", "mean"], "how frames become a person: bundle, mean, or both")
        self._protocols = flags.DEFINE_list("protocols", ["micc-deng2019"], "protocols, a table each")
        self._max_frames = flags.DEFINE_integer(
            "max_frames", None, f"at most so many frames of a video are used [{max_frames}; smoke: 3]", lower_bound=1
        )
        self._size = flags.DEFINE_integer("size", None, "side of the crop, pixels [256; smoke: 128]", lower_bound=128)
        self._output_dir = flags.DEFINE_string("output_dir", "experiments/results", "where the files go")
        self._smoke = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that it runs; its figures mean nothing")
        self._usual_frames = max_frames

    @property
    def smoke(self) -> bool:
        """Whether sizes are tiny."""
        return self._smoke.value

    def plan(
        self, *, models: list[str], presets: list[str], work_dir: str, landmarks_dir: pathlib.Path | None,
        stride: int | None = None,
    ) -> Plan:  # fmt: skip
        """What is to be done. Raises FaceError or UsageError for what cannot be."""
        for model in models:
            store.resolve(model)
        return Plan(
            protocols=tuple(find_protocol(name) for name in dict.fromkeys(self._protocols.value)),
            work_dir=commands.writable_folder(work_dir),
            landmarks_dir=landmarks_dir,
            models=tuple(dict.fromkeys(models)),
            presets=tuple(dict.fromkeys(presets)),
            fuses=tuple(dict.fromkeys(self._fuse.value)),
            size=self._size.value or (128 if self.smoke else 256),
            sampling=Sampling(self._max_frames.value or (3 if self.smoke else self._usual_frames), stride),
        )

    def write(
        self, name: str, title: str, settings: dict, found: Study, plan: Plan,
        section: Callable[[Study, Protocol], tuple[list[str], dict]],
    ) -> None:  # fmt: skip
        """Tables, numbers, rows and box plots; `section` makes lines and further figures of each protocol."""
        lines = report.head(title, settings) + table.used_lines(found, smoke=self.smoke)
        record = {"title": title, "settings": settings} | table.to_record(found, plan.protocols)
        for protocol in plan.protocols:
            more, figures = section(found, protocol)
            lines += more
            record["protocols"][protocol.label] |= figures
        report.write(self._output_dir.value, name, lines, record, table.draw(found, plan.protocols, title=title))
        table.write_meshes(pathlib.Path(self._output_dir.value) / f"{name}.csv", found)
