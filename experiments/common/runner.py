"""What the command lines of the runners share: flags, errors in one sentence, and the studies of photos and faces."""

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from absl import app, flags
from tqdm import tqdm

from common import faces, panels, portraits, report
from jaxface import commands
from jaxface.models import store
from jaxface.types import FaceError, MorphableModel


class Setup(NamedTuple):
    """What a study works with."""

    model: MorphableModel
    size: int
    seed: int


class Flags:
    """--model, --size, --seed, --smoke and --output_dir, with --cases where there are rendered faces.

    `size` and `cases` are what is taken without a flag, in earnest and with --smoke."""

    def __init__(self, *, size: tuple[int, int], cases: tuple[int, int], seed: int = 0, fewest: int = 1):
        usual = "without it {0}, or {1} with --smoke"
        self._model = flags.DEFINE_string("model", "default", "name of an installed face model")
        self._size = flags.DEFINE_integer(
            "size", None, "side of photographs and crops, pixels; " + usual.format(*size), lower_bound=64
        )
        self._cases = flags.DEFINE_integer("cases", None, "rendered faces; " + usual.format(*cases), lower_bound=fewest)
        self._seed = flags.DEFINE_integer("seed", seed, "of the rendered faces")
        self._smoke = flags.DEFINE_bool("smoke", False, "tiny sizes, to see that it runs; its figures mean nothing")
        self._output_dir = flags.DEFINE_string("output_dir", "experiments/results", "where the files go")
        self._usual_size, self._usual_cases = size, cases

    @property
    def smoke(self) -> bool:
        """Whether sizes are tiny."""
        return self._smoke.value

    @property
    def cases(self) -> int:
        """How many rendered faces."""
        return self._usual_cases[self.smoke] if self._cases.value is None else self._cases.value

    @property
    def output_dir(self) -> str:
        """Where the files go."""
        return self._output_dir.value

    @property
    def model_name(self) -> str:
        """The face model's."""
        return self._model.value

    def setup(self) -> Setup:
        """The rest of the flags. Raises FaceError for an unknown model."""
        size = self._size.value or self._usual_size[self.smoke]
        return Setup(store.resolve(self._model.value), size, self._seed.value)


class Study(NamedTuple):
    """A runner that shows photos, and measures on rendered faces.

    `draw` makes of a photo rows of pictures, captions under them (both by what follows the photo's name), and records,
    which are kept as `drawn`; `measure` the records of a case; `summarise` rows of all these, and `table` their lines.
    `remarks` has more lines on what is recorded, `facts` too, and `draw_case` shows one rendered face as well.
    """

    name: str
    title: str
    note: str
    draw: Callable[[np.ndarray, Setup], tuple[dict, dict, list[dict]]]
    measure: Callable[[faces.Case, Setup], list[dict]]
    summarise: Callable[[list[dict]], list[dict]]
    table: Callable[[list[dict]], list[str]]
    drawn: str | None = None
    settings: dict = {}
    facts: dict = {}
    remarks: Callable[[dict], list[str]] = lambda record: []
    draw_case: Callable[[faces.Case, Setup], tuple[dict, dict]] | None = None


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """A user's mistake ends the command with one sentence."""
    try:
        yield
    except (FaceError, commands.UsageError) as error:
        raise app.UsageError(str(error)) from None


def measure_cases(measure: Callable[[faces.Case], list[dict]], *, count: int) -> tuple[list[dict], dict[str, str]]:
    """Records of rendered faces, each with its case; and why cases are missing."""
    records, failures = [], {}
    for case in tqdm(faces.make_cases("default", count=count), unit="case"):
        try:
            records += [{"case": case.name} | record for record in measure(case)]
        except FaceError as error:
            failures[case.name] = str(error)
    return records, failures


def run(study: Study, chosen: Flags, arguments: list[str]) -> None:
    """Pictures of the photos that the command names, else of public-domain portraits, and figures where the truth is
    known."""
    paths, rows, captions, drawn = arguments[1:], {}, {}, []
    with sentences():
        photos = portraits.load(paths)
        photos = dict(list(photos.items())[:1]) if chosen.smoke else photos
        setup = chosen.setup()
        for name, image in photos.items():
            with portraits.named(name):
                shown, under, found = study.draw(image, setup)
            rows |= {", ".join(filter(None, (name, row))): pictures for row, pictures in shown.items()}
            captions |= {", ".join(filter(None, (name, row))): texts for row, texts in under.items()}
            drawn += [{"photo": name} | each for each in found]
    record = study.facts | ({study.drawn: drawn} if study.drawn else {})
    settings, text = {"model": chosen.model_name, "size": setup.size, "photos": list(photos)} | study.settings, []
    if not paths:
        settings |= {"cases": chosen.cases, "seed": setup.seed}
        records, failures = measure_cases(lambda case: study.measure(case, setup), count=chosen.cases)
        record |= {"summary": study.summarise(records), "failures": failures, "cases": records}
        text = [*study.table(record["summary"]), "", study.note, "", *report.listed("Failures", failures)]
        if study.draw_case is not None:
            (first,) = faces.make_cases("default", count=1)
            shown, under = study.draw_case(first, setup)
            rows, captions = rows | {"rendered": shown}, captions | {"rendered": under}
    lines = [*report.head(study.title, settings), *text, *study.remarks(record)]
    report.write(
        chosen.output_dir, study.name, lines, {"settings": settings, **record}, panels.grid(rows, captions=captions)
    )
