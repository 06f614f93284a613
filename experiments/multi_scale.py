"""Detail of two scales: the medium shape, then phase 1 and phase 2 of the fine stage, from near and in numbers.

    python experiments/multi_scale.py [PHOTO ...]

About 4 minutes for 4 rendered faces at 256 pixels on 2 cores. After Fig. 7 of Jin et al. (2021). For each photo, with
each preset: the photo, the medium shape and the shapes after both phases, whole and, below, the window in which the
fine stage of the default preset changes most. Without photos, public-domain portraits are shown, and rendered faces of
known shape (those of accuracy.py's world "default") tell the error of each stage on MediaPipe's landmarks. A stage that
fails the pipeline's checks gives way to the one before, as for any user; the table tells how often.

Expected: with the default preset the normal error falls from medium to phase 1, and the relief correlates with the true
one; with the paper's weights errors rise, most in phase 2.

Writes multi_scale.md, .json (every case) and .png into --output_dir.
"""

import functools

from absl import app
from common import runner
from figure_study import scales

FLAGS = runner.Flags(size=(512, 128), cases=(6, 1))
_NOTE = (
    "Means over rendered faces of known shape. Normal error: mean angle over the skin that is seen. RMSE: of its points"
    " from the mesh after similarity ICP, each mesh its own. hp: correlation with the true map, both less their"
    " Gaussian mean (sigma as given); height: of the whole shape; relief: of what the fine stage added to the medium"
    " shape with the wrinkles, lumps and pores of the truth."
)


STUDY = runner.Study(
    "multi_scale", "Medium shape and the two phases of the fine stage", _NOTE, scales.draw, scales.measure,
    scales.summarise, scales.table, drawn="photos_left_out", remarks=scales.remarks,
)  # fmt: skip
main = functools.partial(runner.run, STUDY, FLAGS)

if __name__ == "__main__":
    app.run(main)
