"""Networks' outputs for a chunk of frames: arrays with a row each, or None where no network is used (host side)."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from jaxtyping import Array

from jaxface.io.arrays import host_array
from jaxface.mapping import stack
from jaxface.models import tools
from jaxface.models.tools import Tools
from jaxface.types import Crop, FaceError, Landmarks, Parsing, Pose, Regression
from jaxface.verdicts import Verdict, holds, judge

Run = Callable[..., Array]  # run(function, *arrays, **static) calls compiled code


def regress_each(
    images: Sequence[np.ndarray], landmarks: Sequence[Landmarks], used: Tools, *, run: Run
) -> tuple[Regression | None, list[str]]:
    """What the network makes of the face in each photo, and why it sees none; there the row is NaN."""
    if used.regressor is None:
        return None, [""] * len(images)
    rows, reasons = [], []
    for image, points in zip(images, landmarks, strict=True):
        try:
            found, why = tools.regress(image, points, used.regressor, run=run), ""
        except FaceError as error:
            found, why = _nothing(used), str(error)
        rows.append(found if used.shape_is_regressed else found._replace(identity=None, expression=None))
        reasons.append(why)
    return stack(rows), reasons


def parse_each(
    images: Sequence[np.ndarray], crops: Sequence[Crop], used: Tools, *, size: int, run: Run
) -> tuple[Parsing | None, list[Verdict]]:
    """What the network sees on each photo's crop; where it sees no skin, its maps change nothing."""
    if used.parser is None:
        return None, []
    rows, verdicts = [], []
    for image, crop in zip(images, crops, strict=True):
        parsing = tools.parse(image, crop, used.parser, size=size, run=run)
        skin, visible = (
            host_array(np.mean(maps), dtype=np.float32) for maps in (parsing.indicators[..., 0], parsing.visible)
        )
        verdict = jax.tree.map(np.asarray, judge("parsing", {"skin_share": skin, "visible": visible}))
        if not holds("parsing", verdict):
            nothing, everything = (
                host_array(np.zeros_like(parsing.indicators)),
                host_array(np.ones_like(parsing.visible)),
            )
            parsing = Parsing(nothing, everything)
        rows.append(parsing)
        verdicts.append(verdict)
    return stack(rows), verdicts


def _nothing(used: Tools) -> Regression:
    model = used.model
    shapes = (len(model.identity_basis_mm), len(model.expression_basis_mm))
    pose = Pose(*(host_array(np.full(shape, np.nan, np.float32)) for shape in (3, 2, ())))
    return Regression(pose, *(host_array(np.full(shape, np.nan, np.float32)) for shape in shapes))
