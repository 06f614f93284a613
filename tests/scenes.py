"""Small random scenes on odd sizes for the energies; float32, positive albedo, a plausible light."""

import numpy as np


def random_scene(*, height=37, width=29, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    dome = 6.0 * np.exp(-(((x - width / 2) / width) ** 2 + ((y - height / 2) / height) ** 2) * 4)
    mask = (((x - width / 2) / (0.45 * width)) ** 2 + ((y - height / 2) / (0.45 * height)) ** 2 < 1).astype(np.float32)
    light = 0.1 * rng.standard_normal((9, 3))
    light[0], light[2] = 2.0, 1.0
    scene = dict(
        image=rng.uniform(0.2, 0.8, (height, width, 3)),
        albedo=0.6 + 0.1 * rng.standard_normal((height, width, 3)),
        mean_albedo=np.full((height, width, 3), 0.55),
        shading=rng.uniform(0.7, 1.1, (height, width, 3)),
        specular=0.05 * rng.uniform(size=(height, width)),
        initial=dome,
        height=dome + 0.3 * rng.standard_normal((height, width)),
        light=light,
        mask=mask,
    )
    return {name: value.astype(np.float32) for name, value in scene.items()}
