"""All subjects through tracker and judge: what is done is kept, what cannot be is a sentence, and the rest goes on.

In the work folder each video has a folder a variant, named after its settings, with the tracker's own files, meshes.npz
and an errors-<digest>.json for each scan and protocol it was judged by. Where video, settings, scan, landmarks and
protocol are the same as before, nothing is done again.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

from jaxface import commands
from jaxface.evaluation.evaluate import evaluate
from jaxface.evaluation.protocols import Protocol
from jaxface.evaluation.surfaces import FaceSurface
from jaxface.export.report import versions
from jaxface.io.atomic import new_file
from jaxface.presets import PRESETS
from jaxface.types import FaceError
from micc import dataset, people
from micc.dataset import Subject
from micc.people import Person, Sampling, Variant


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do with each video. The first of `models`, `presets` and `fuses` make the first variant, and each further
    one of them makes another, alone; of several scans the one nearer to a mesh judges it."""

    protocols: tuple[Protocol, ...]
    work_dir: pathlib.Path
    landmarks_dir: pathlib.Path | None = None
    models: tuple[str, ...] = ("default",)
    presets: tuple[str, ...] = ("default",)
    fuses: tuple[str, ...] = ("bundle", "mean")
    size: int = 256
    sampling: Sampling = Sampling(6)

    def __post_init__(self):
        """Raises FaceError for names that do not exist, and where there is nothing to do."""
        known = {"fuse": (self.fuses, ("bundle", "mean")), "preset": (self.presets, tuple(PRESETS))}
        for what, (names, choices) in known.items():
            unknown = [name for name in names if name not in choices]
            if unknown or not names:
                raise FaceError(f"{' '.join(unknown) or 'Nothing'} is no {what}: choose among {', '.join(choices)}.")
        for what, names in {"protocol": self.protocols, "model": self.models}.items():
            if not names:
                raise FaceError(f"No {what} is chosen: name at least one.")

    @property
    def variants(self) -> list[Variant]:
        """The first one, and what differs from it in one thing."""
        first = Variant(self.models[0], self.presets[0], self.fuses[0])
        choices = (("fuse", self.fuses), ("preset", self.presets), ("model", self.models))
        return [first, *(first._replace(**{field: name}) for field, names in choices for name in names[1:])]


class Case(NamedTuple):
    """One video in one variant. `errors` by protocol and stage: headline_mm, the other figures, and which scan.
    `notes` tell what was odd about the video, or which of several scans could not be used."""

    subject: str
    condition: str
    variant: Variant
    frames: dict[str, int]
    errors: dict[str, dict[str, dict]]
    notes: tuple[str, ...]


class Study(NamedTuple):
    """The cases of all videos that every variant brought to its end, a sentence for whatever is missing, and how many
    subjects there are, missing or not."""

    cases: list[Case]
    complaints: list[str]
    num_subjects: int


_say = functools.partial(print, flush=True)


def run(subjects: list[Subject], plan: Plan, *, say: Callable[[str], None] = _say) -> Study:
    """Reconstructs and judges every video, tells how it goes, and leaves out what cannot be used."""
    cases, complaints = [], []

    def complain(sentence: str) -> None:
        complaints.append(sentence)
        say(sentence)

    for subject in subjects:
        for sentence in subject.complaints:
            complain(sentence)
        scans = _Scans(subject, plan)
        for condition, video in subject.videos.items() if subject.scans else ():
            try:
                found = [_case(subject.name, condition, video, variant, scans, plan) for variant in plan.variants]
            except _ScanError as error:
                complain(str(error))
                break
            except (FaceError, OSError) as error:
                complain(f"{subject.name}, {condition}, is left out: {commands.one_line(error)}")
                continue
            cases += found
            for case in found:
                say(_line(case))
    return Study(cases, complaints, len(subjects))


class _ScanError(Exception):
    """None of a subject's scans can be used; a sentence."""


class _Scans:
    """A subject's scans: what they are on disk, and, read when first asked for, their surfaces."""

    def __init__(self, subject: Subject, plan: Plan):
        self._names = {f"{subject.name}_{name}": path for name, path in subject.scans.items()}
        self._landmarks_dir, self.complaints = plan.landmarks_dir, []
        self.stamps = {
            name: [_stamp(path), _stamp(dataset.landmark_file(plan.landmarks_dir, name))]
            for name, path in self._names.items()
        }

    @functools.cached_property
    def surfaces(self) -> dict[str, FaceSurface]:
        """Those that can be read. Raises _ScanError where none can."""
        found = {}
        for name, path in self._names.items():
            try:
                found[name] = dataset.read_scan(path, name=name, landmarks_dir=self._landmarks_dir)
            except FaceError as error:
                self.complaints.append(f"{name} is left out: {commands.one_line(error)}")
        if not found:
            raise _ScanError(" ".join(self.complaints))
        return found


def _case(subject: str, condition: str, video: pathlib.Path, variant: Variant, scans: _Scans, plan: Plan) -> Case:
    settings = people.choose_settings(video, variant, size=plan.size, sampling=plan.sampling)
    key = _digest([_stamp(video), dataclasses.asdict(settings), versions()])
    folder = plan.work_dir / subject / condition / "-".join([*variant, key])
    files = {each: folder / f"errors-{_digest([scans.stamps, each.text])}.json" for each in plan.protocols}
    stored = {protocol: _load(file) for protocol, file in files.items()}
    if not all(stored.values()):
        surfaces = scans.surfaces  # before the long work, which a broken scan would make vain
        person = people.reconstruct(video, folder, settings=settings)
        for protocol in plan.protocols:
            errors = judge(person, surfaces, protocol=protocol)
            notes = [*person.notes, *scans.complaints]
            stored[protocol] = {"frames": person.frames, "errors": errors, "notes": notes}
            with new_file(files[protocol]) as fresh:
                fresh.write_text(json.dumps(stored[protocol], indent=1) + "\n")
    first = stored[plan.protocols[0]]
    errors = {protocol.label: each["errors"] for protocol, each in stored.items()}
    return Case(subject, condition, variant, first["frames"], errors, tuple(first["notes"]))


def judge(person: Person, scans: dict[str, FaceSurface], *, protocol: Protocol) -> dict[str, dict]:
    """Figures by stage, each mesh against the scan nearer to it. Raises FaceError."""
    errors = {}
    for stage, surface in person.surfaces.items():
        found = {name: evaluate(surface, scan, protocol=protocol) for name, scan in scans.items()}
        nearest = min(found, key=lambda name: found[name].headline_mm)
        errors[stage] = {"headline_mm": found[nearest].headline_mm, "scan": nearest, **found[nearest].figures}
    return errors


def _line(case: Case) -> str:
    parts = [
        f"{label}: " + ", ".join(f"{stage} {errors['headline_mm']:.3f}" for stage, errors in stages.items()) + " mm"
        for label, stages in case.errors.items()
    ]
    used = f"{case.frames['ok']} of {sum(case.frames.values())} frames"
    return f"{case.subject}, {case.condition}, {case.variant.name} ({used}); {'; '.join(parts)}."


def _stamp(path: pathlib.Path | None) -> list | None:
    """Name, size and time: cheap, and others when the file is replaced."""
    return None if path is None else [path.name, path.stat().st_size, path.stat().st_mtime_ns]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _load(path: pathlib.Path) -> dict | None:
    """What an earlier run found, if it is there and whole."""
    try:
        found = json.loads(path.read_text())
        return found if set(found) == {"frames", "errors", "notes"} else None
    except (OSError, ValueError, TypeError):
        return None
