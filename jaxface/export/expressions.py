"""Expressions as other programs know them: Apple's ARKit's names where it has the expression (host side)."""

import numpy as np
from jaxtyping import Float

# What ARKit (ARFaceAnchor.BlendShapeLocation) has for each side of the face, and what for both sides at once.
_SIDED = {
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp",
    "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch",
    "mouthUpperUp", "noseSneer",
}  # fmt: skip
_BOTH = {"browInnerUp", "cheekPuff"}
_SIDES = {"_L": "Left", "_R": "Right"}


def as_arkit(
    names: tuple[str, ...],
    offsets_mm: Float[np.ndarray, "expression vertices 3"],
    weights: Float[np.ndarray, "frames expression"],
) -> tuple[tuple[str, ...], Float[np.ndarray, "targets vertices 3"], Float[np.ndarray, "frames targets"]]:
    """Names, offsets and weights of the targets: `eyeBlink_L` is `eyeBlinkLeft`, and a pair that ARKit has as one,
    `cheekPuff_L` and `_R`, is one target, the sum of both, by the mean of their weights."""
    targets = [_target(name, names) for name in names]
    merged = tuple(dict.fromkeys(targets))
    is_member = [[target == other for other in targets] for target in merged]
    member = np.array(is_member, np.float32).reshape(len(merged), len(names))
    shares = member / np.maximum(member.sum(axis=1, keepdims=True), 1.0)
    return merged, np.tensordot(member, offsets_mm, axes=1), weights @ shares.T


def _target(name: str, names: tuple[str, ...]) -> str:
    stem, side = name[:-2], name[-2:]
    if side in _SIDES and stem in _SIDED:
        return stem + _SIDES[side]
    return stem if stem in _BOTH and {stem + each for each in _SIDES} <= set(names) else name
