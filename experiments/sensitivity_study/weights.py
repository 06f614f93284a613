"""The weights of a preset by name, and presets with one of them changed."""

from jaxface.presets import Preset

STIFFNESS = "stiffness"
_EQUATIONS = {"albedo": "Eq. 6", "specular": "Eq. 8", "phase1": "Eq. 9, phase 1", "phase2": "Eq. 9, phase 2"}


def names(preset: Preset) -> list[str]:
    """All weights that the preset uses; Eq. 8 is minimised in its literal form only."""
    blocks = [block for block in _EQUATIONS if block != "specular" or preset.schedule.literal]
    return [STIFFNESS, *(f"{block}.{field}" for block in blocks for field in getattr(preset.weights, block)._fields)]


def label(name: str) -> str:
    """A weight with its equation."""
    if name == STIFFNESS:
        return "Eq. 3: stiffness"
    block, field = name.split(".")
    return f"{_EQUATIONS[block]}: {field}"


def value(preset: Preset, name: str) -> float:
    """What the preset has for a weight."""
    if name == STIFFNESS:
        return preset.stiffness
    block, field = name.split(".")
    return getattr(getattr(preset.weights, block), field)


def changed(preset: Preset, name: str, factor: float) -> Preset:
    """The preset with one weight multiplied."""
    new = factor * value(preset, name)
    if name == STIFFNESS:
        return preset._replace(stiffness=new)
    block, field = name.split(".")
    weights = {block: getattr(preset.weights, block)._replace(**{field: new})}
    return preset._replace(weights=preset.weights._replace(**weights))
