"""The weights of a preset by name, and presets with one of them changed."""

import dataclasses

from jaxface.energies.scene import Unknown
from jaxface.presets import Preset

STIFFNESS = "stiffness"
_EQUATIONS = {"albedo": "Eq. 6", "specular": "Eq. 8", "phase1": "Eq. 9, phase 1", "phase2": "Eq. 9, phase 2"}
_PHASES = ("albedo", "phase1", "phase2")


def names(preset: Preset) -> list[str]:
    """All weights that the preset uses; Eq. 8 is minimised in its literal form only."""
    found = {block: _unknowns(preset, block) for block in _EQUATIONS}
    fields = [f"{block}.{field}" for block, each in found.items() if each for field in each[0].weights._fields]
    return [STIFFNESS, *fields]


def label(name: str) -> str:
    """A weight with its equation."""
    if name == STIFFNESS:
        return "Eq. 3: stiffness"
    block, field = name.split(".")
    return f"{_EQUATIONS[block]}: {field}"


def value(preset: Preset, name: str) -> float:
    """What the preset has for a weight."""
    if name == STIFFNESS:
        return preset.medium.stiffness
    block, field = name.split(".")
    return getattr(_unknowns(preset, block)[0].weights, field)


def changed(preset: Preset, name: str, factor: float) -> Preset:
    """The preset with one weight multiplied."""
    new = factor * value(preset, name)
    if name == STIFFNESS:
        return dataclasses.replace(preset, medium=preset.medium._replace(stiffness=new))
    block, field = name.split(".")

    def change(phase: str, unknown: Unknown) -> Unknown:
        weights = unknown.weights._replace(**{field: new}) if _block(phase, unknown) == block else unknown.weights
        return dataclasses.replace(unknown, weights=weights)

    phases = {name: getattr(preset.fine, name) for name in _PHASES}
    solved = {
        name: dataclasses.replace(phase, unknowns=tuple(change(name, each) for each in phase.unknowns))
        for name, phase in phases.items()
    }
    return dataclasses.replace(preset, fine=dataclasses.replace(preset.fine, **solved))


def _block(phase: str, unknown: Unknown) -> str:
    """The height's weights are each phase's own."""
    return phase if unknown.name == "height_px" else unknown.name


def _unknowns(preset: Preset, block: str) -> list[Unknown]:
    phases = {name: getattr(preset.fine, name).unknowns for name in _PHASES}
    return [each for name, unknowns in phases.items() for each in unknowns if _block(name, each) == block]
