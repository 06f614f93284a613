"""How good a face is as a whole, in words and degrees (host side)."""

import math
from collections.abc import Sequence

from jaxface.types import StageReport

# Share of the skin that must be seen, and by how many degrees its normals may be off. On ray-traced pictures nine
# tenths are seen of bare faces, whose normals are said to be off by 9 to 11 degrees.
_POOR, _USABLE = (0.5, 16.0), (0.85, 11.5)
_NORMALS = "learned normals"  # the stage whose figures tell
_SPARE = ("medium",)  # left out wherever the coarse shape explains the photo as well: nothing is lost


def overall(stages: Sequence[StageReport]) -> tuple[str, str]:
    """A face as a whole, host side: "good", "usable" or "poor", and a sentence on what stands against more."""
    figures: dict[str, float] = next((stage.figures for stage in stages if stage.name == _NORMALS), {})
    seen, off = figures.get("seen_share", 1.0), figures.get("spread_degrees", 0.0)
    hidden = f"something hides {1.0 - seen:.0%} of the skin, which keeps the face model's shape there"
    unclear = f"light, blur or a turned head tell little of the skin: its normals may be off by {off:.0f} degrees"
    left_out = [stage for stage in stages if stage.status != "ok" and stage.name not in _SPARE]
    lost = [f"{stage.name} left out: {stage.reason}" for stage in left_out]
    for word, least, most in (("poor", *_POOR), ("usable", *_USABLE)):
        doubts = [hidden] * (seen < least) + [unclear] * (off > most) + (lost if word == "usable" else [])
        if doubts:
            return word, "; ".join(doubts)
    return "good", ""


def expected_errors_degrees(stages: Sequence[StageReport]) -> dict[str, float]:
    """By how much the skin's normals may be off in the medium and in the fine shape, by the network's word: its own
    doubt, and for the former how far it turned them. Empty where no network saw the face."""
    figures = {stage.name: stage.figures for stage in stages}
    doubt = figures.get(_NORMALS, {}).get("spread_degrees")
    if doubt is None:
        return {}
    turned = figures.get("fine phase 2", {}).get("turn_degrees", 0.0)
    return {"medium": math.hypot(turned, doubt), "fine": doubt}
