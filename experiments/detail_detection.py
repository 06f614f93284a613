"""Laplace's operator and relative total variation as detectors of detail: which tells it from contours?

    python experiments/detail_detection.py [PHOTO ...]

About a minute for 6 rendered faces at 256 pixels on 2 cores. After Fig. 5 of Jin et al. (2021). For each photo: the
crop, the absolute value of Laplace's operator, and RTV with the settings of both presets. Without photos, public-domain
portraits are shown, and rendered faces (those of accuracy.py's world "default") tell the numbers: as they can be
rendered with relief alone, with texture alone and with neither, it is known which pixels change by which. There a mean
of Laplace's operator over RTV's window is judged too.

Expected: Laplace's operator answers to contours more than to detail; RTV answers to contours least.

Writes detail_detection.md, .json (every case) and .png into --output_dir.
"""

import functools

from absl import app
from albedo_study import detectors
from common import runner

FLAGS = runner.Flags(size=(512, 128), cases=(12, 2))
_NOTE = (
    "Probability that a detector is larger at a pixel of the first kind than at one of the second (area under the ROC"
    f" curve): 0.5 tells nothing, 1 all, below 0.5 the reverse. Relief, texture, contours: the"
    f" {100 * detectors.STRONGEST:.0f} % of the face where the picture changes most steeply by creases and pores, by"
    " spots and mottling, or by neither (outlines of face, brows, lips and eyes, and shading's edges), each where it is"
    " the steepest of the three. Flat skin: half of the face where all are least. Detectors see the photograph with its"
    " noise. Laplace: absolute value; averaged: its Gaussian mean over the window of the default preset's RTV. RTV"
    " without a mask, mean over channels where a preset takes these one by one."
)


STUDY = runner.Study(
    "detail_detection", "Detectors of detail", _NOTE, detectors.draw, detectors.measure, detectors.summarise,
    detectors.table, draw_case=detectors.draw_case,
)  # fmt: skip
main = functools.partial(runner.run, STUDY, FLAGS)

if __name__ == "__main__":
    app.run(main)
