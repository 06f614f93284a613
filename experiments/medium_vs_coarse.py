"""What the medium stage adds to the coarse shape: close-ups with the landmarks, and errors on faces of known shape.

    python experiments/medium_vs_coarse.py [PHOTO ...]

About 2 minutes for 6 rendered faces at 256 pixels on 2 cores. After Fig. 6 of Jin et al. (2021). For each photo, with
each preset: the photo with a box about the feature that the coarse shape misses most, both shapes, and both from near
with the landmarks, green where they were detected and orange where the mesh has them. Without photos, public-domain
portraits are shown, and rendered faces of known shape (those of accuracy.py's world "default") tell whether the medium
stage lowers the error, with MediaPipe's landmarks and with true ones. The medium shape is judged even where the
pipeline would fall back to the coarse one.

Expected: orange meets green closer in the medium shape than in the coarse one; with true landmarks the medium stage
lowers the errors; with detected ones it copies their noise into the surface, and the pipeline mostly falls back.

Writes medium_vs_coarse.md, .json (every case) and .png into --output_dir.
"""

import functools

from absl import app
from common import runner
from figure_study import two_shapes

FLAGS = runner.Flags(size=(512, 128), cases=(12, 2))
_NOTE = (
    "Means over rendered faces of known shape. Normal error: mean angle over the skin that is seen. RMSE: of its points"
    " from the mesh after similarity ICP, each mesh its own. Kept: in how many cases the pipeline's own check, which"
    " knows no truth, goes on with the medium shape; in the others it falls back to the coarse one."
)


STUDY = runner.Study(
    "medium_vs_coarse", "Medium stage against coarse stage", _NOTE, two_shapes.draw, two_shapes.measure,
    two_shapes.summarise, two_shapes.table, drawn="landmarks_off_mm",
)  # fmt: skip
main = functools.partial(runner.run, STUDY, FLAGS)

if __name__ == "__main__":
    app.run(main)
