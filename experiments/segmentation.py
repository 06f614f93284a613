"""Skin, brows and lips of a face, as the colour term of Eq. 6 takes them, and the mean colours that it draws to.

    python experiments/segmentation.py [PHOTO ...]

About a minute for 4 rendered faces at 256 pixels on 2 cores. After Fig. 4 of Jin et al. (2021). For each photo, preset
and parser: the crop, the regions (skin in orange, brows in blue, lips in red), and gamma_avg of Eq. 6. Parsers: the
fitted mesh, whose regions are known; and the network bisenet, which the paper uses, where its weights are installed.
Without photos, public-domain portraits are shown, and rendered faces whose regions are known (those of accuracy.py's
world "default") tell the overlap with the truth, with MediaPipe's landmarks.

Expected: by the mesh, skin overlaps nearly wholly; thin regions, brows above all, less. Brows lie outside the mask in
which Eq. 6 counts here, as their hair is no relief; their mean colour is that of their fringe.

Writes segmentation.md, .json (every case) and .png into --output_dir.
"""

import functools

from absl import app
from albedo_study import regions
from common import runner

FLAGS = runner.Flags(size=(512, 128), cases=(12, 2))
_NOTE = (
    "IoU: intersection over union with the true region, mean over rendered faces with MediaPipe's landmarks; eyes and"
    " open mouths, which Eq. 6 gives no region, do not count."
)


def main(arguments: list[str]) -> None:
    """Picture, then figures where the truth is known."""
    parsers = regions.find_parsers()
    study = runner.Study(
        "segmentation", "Regions of the colour term", _NOTE, functools.partial(regions.draw, parsers=parsers),
        functools.partial(regions.measure, parsers=parsers), regions.summarise, regions.table,
        settings={"parsers": list(parsers.found)}, facts={"bisenet": parsers.reason or "used"},
        remarks=lambda record: ["", f"The network bisenet: {record['bisenet']}"],
    )  # fmt: skip
    runner.run(study, FLAGS, arguments)


if __name__ == "__main__":
    app.run(main)
