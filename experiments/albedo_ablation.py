"""What the detail term of Eq. 6 does to the albedo, and to the surface that follows from it.

    python experiments/albedo_ablation.py [PHOTO ...]

About 3 minutes for 4 rendered faces on 2 cores. After Fig. 8 of Jin et al. (2021). For each photo, with each preset:
the photo, then the albedo by the colour term alone, with a detail term made of Laplace's operator, and with relative
total variation, and the depth map that each leads to. Without photos, public-domain portraits are shown, and rendered
faces of known albedo and shape (those of accuracy.py's world "default", with true landmarks plus noise) tell which term
lowers the true error. The Laplacian's weight is that of the paper, 2.5 on grey levels; the paper does not say which it
took.

Expected: the colour term alone leaves much of the relief's shading in the albedo; a detail term removes some of it.

Writes albedo_ablation.md, .json (every case) and .png into --output_dir.
"""

import functools

from absl import app
from albedo_study import ablation
from common import runner

FLAGS = runner.Flags(size=(256, 128), cases=(6, 1))
_NOTE = (
    "Albedo error: rms over skin, of the true albedo's rms, each channel scaled to fit. Relief left: the share of the"
    " true relief's shading that is found in the albedo, 0 is best; texture kept: the same of the true texture, 1 is"
    f" best (both within {ablation.RELIEF_MM:g} mm, by regression). Normal error: mean angle over the skin that is"
    " seen. RMSE: of its points from the mesh after similarity ICP. Correlation: of what the fine stage changed with"
    f" the true relief, both less their Gaussian mean of {ablation.RELIEF_MM:g} mm. Each preset starts from a"
    " shape of its own, which all its terms share: the medium one, or the coarse one where the pipeline keeps that."
)


STUDY = runner.Study(
    "albedo_ablation", "Detail terms of the albedo", _NOTE, ablation.draw, ablation.measure, ablation.summarise,
    ablation.table,
)  # fmt: skip
main = functools.partial(runner.run, STUDY, FLAGS)

if __name__ == "__main__":
    app.run(main)
