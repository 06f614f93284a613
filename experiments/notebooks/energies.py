# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Energies: compose them, add your own, take gradients
#
# [![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/jaxface/jaxface/blob/main/experiments/notebooks/energies.ipynb)
#
# jaxface's energies are pure functions of one unknown. They know no minimiser, and the minimiser knows no faces: they
# can be added, differentiated and mapped like any function in JAX. Here they work on a lit ellipsoid with bumps, whose
# shape, colour and light are known.

# %%
import sys

if "google.colab" in sys.modules:
    # %pip install -q "jaxface @ git+https://github.com/jaxface/jaxface"
    print("jaxface is installed.")

# %% [markdown]
# ## A world with a known answer
#
# Given are the picture, the light, where brow and lips are, and a smooth first guess of the height. The bumps are to be
# found.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxface import presets, synthetic
from jaxface.energies.albedo import albedo_energy
from jaxface.energies.depth import depth_energy
from jaxface.energies.specular import specular_energy
from jaxface.evaluation.metrics import normal_error_degrees
from jaxface.geometry.normals import depth_normals
from jaxface.imaging.regions import mean_albedo
from jaxface.rendering.lighting import shading
from jaxface.solvers.adam import minimise

SIZE, STEPS = (48, 30) if os.environ.get("JAXFACE_SMOKE") else (96, 150)

light = synthetic.preset_light("side")
world = synthetic.lit_sphere(jax.random.key(0), height=SIZE, width=SIZE, relief_px=0.5, noise=0.01, light=light)
smooth_px, inside = world.base_height_px, np.asarray(world.mask) > 0.5


def show_bumps(panel, height_px):
    """What a height map adds to the first guess."""
    bumps = np.where(inside, height_px - smooth_px, np.nan)
    return panel.imshow(bumps, cmap="coolwarm", vmin=-1.5, vmax=1.5)


figure, panels = plt.subplots(1, 4, figsize=(12, 3.1), layout="constrained")
for panel, name in zip(panels, ("image", "albedo", "shading"), strict=False):
    panel.imshow(np.clip(getattr(world, name), 0.0, 1.0))
    panel.set_title(name)
figure.colorbar(show_bumps(panels[3], world.height_px), ax=panels[3], label="pixels")
panels[3].set_title("bumps")
for panel in panels:
    panel.axis("off")
plt.show()

# %% [markdown]
# ## Compose
#
# Eq. 6 of Jin et al. (2021) says what albedo looks like, Eq. 8 highlights, Eq. 9 heights, and each how far the rendered
# picture is from the given one. Their sum is an energy of all three unknowns.

# %%
regions = jax.nn.one_hot(world.regions, 3)  # skin, brow, lips
first_shading = shading(depth_normals(smooth_px), light)
mean_colours = mean_albedo(world.image, first_shading, regions, confidence=world.mask)
start = {"height": smooth_px, "albedo": mean_colours, "specular": jnp.zeros_like(world.image)}
seen = {"image": world.image, "mask": world.mask}


def energy(x):
    """Eq. 6 + Eq. 8 + Eq. 9."""
    shade = shading(depth_normals(x["height"]), light)
    lit = {"shading": shade, "specular": x["specular"], "mean_albedo": mean_colours}
    albedo = albedo_energy(x["albedo"], weights=presets.EQ6, **lit, **seen)
    shine = {"diffuse": x["albedo"] * shade, "specular_init": start["specular"]}
    specular = specular_energy(x["specular"], weights=presets.EQ8, **shine, **seen)
    colours = {"albedo": x["albedo"], "specular": x["specular"], "light": light}
    depth = depth_energy(x["height"], weights=presets.EQ9_PHASE1, initial_height_px=smooth_px, **colours, **seen)
    return albedo + specular + depth


# %% [markdown]
# ## Gradients
#
# `jax.grad` differentiates the sum with respect to every unknown at once. A finite difference at the pixel whose height
# matters most agrees.

# %%
gradient = jax.jit(jax.grad(energy))(start)
row, column = np.unravel_index(np.argmax(np.abs(gradient["height"])), inside.shape)
step = jnp.zeros_like(smooth_px).at[row, column].set(0.02)
after, before = (jax.jit(energy)(start | {"height": smooth_px + sign * step}) for sign in (1.0, -1.0))
print(f"jax.grad          {gradient['height'][row, column]:.4f} per pixel of height")
print(f"finite difference {(after - before) / 0.04:.4f}")

# %% [markdown]
# ## Minimise


# %%
def error_degrees(height_px):
    """Mean angle between a height map's normals and the true ones."""
    return normal_error_degrees(np.asarray(depth_normals(height_px)), np.asarray(world.normals_image), mask=inside)


photo_alone = minimise(energy, start, learning_rate=0.01, num_steps=STEPS)
print(f"energy          {photo_alone.energies[0]:6.1f} -> {photo_alone.energies[-1]:6.1f}")
print(f"error, degrees  {error_degrees(smooth_px):6.2f} -> {error_degrees(photo_alone.value['height']):6.2f}")

# %% [markdown]
# ## Add your own term
#
# Say a depth sensor measured every fourth pixel, with an error of 0.4 pixels. Its energy is one line, and joining it is
# a sum. How much to trust it is a weight: too little wastes the sensor, too much copies its noise. `vmap` tries nine
# weights in one go.

# %%
every = (slice(None, None, 4),) * 2
noise_px = 0.4 * jax.random.normal(jax.random.key(1), world.height_px[every].shape)
measured_px = world.height_px[every] + noise_px


def sensor_energy(height_px):
    """Squared distance from what the sensor says."""
    return (((height_px[every] - measured_px) * world.mask[every]) ** 2).sum()


@jax.jit
@jax.vmap
def fit(weight):
    """The heights that photo and sensor agree on."""

    def both(x):
        return energy(x) + weight * sensor_energy(x["height"])

    return minimise(both, start, learning_rate=0.01, num_steps=STEPS).value["height"]


weights = 10.0 ** jnp.linspace(-2.0, 2.0, 9)
heights_px = fit(weights)
errors = [error_degrees(height_px) for height_px in heights_px]
best = int(np.argmin(errors))
alone = error_degrees(photo_alone.value["height"])
print(f"error, degrees  {alone:6.2f} -> {errors[best]:6.2f} at weight {weights[best]:.2f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.4), width_ratios=(1, 2), layout="constrained")
left.semilogx(weights, errors, "o-", color="#2f6fb5")
left.axhline(alone, color="#d9791e", linestyle="--", label="photo alone")
left.set(xlabel="weight of the sensor", ylabel="normal error, degrees")
left.legend(frameon=False)

middle = SIZE // 2
profiles = {
    "truth": (world.height_px, {"color": "#333333", "linewidth": 2.5, "alpha": 0.5}),
    "photo alone": (photo_alone.value["height"], {"color": "#d9791e"}),
    "photo and sensor": (heights_px[best], {"color": "#2f6fb5"}),
}
for name, (height_px, style) in profiles.items():
    right.plot(np.where(inside, height_px - smooth_px, np.nan)[middle], label=name, **style)
right.axhline(0.0, color="#333333", linewidth=0.8, linestyle=":", label="first guess")
right.set(xlabel=f"x along row {middle}, pixels", ylabel="height above the first guess, pixels")
right.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
plt.show()

figure, panels = plt.subplots(1, 3, figsize=(9, 3.1), layout="constrained")
for panel, (name, (height_px, _)) in zip(panels, profiles.items(), strict=True):
    shown = show_bumps(panel, height_px)
    panel.set_title(f"bumps: {name}")
    panel.axis("off")
figure.colorbar(shown, ax=panels, label="pixels", shrink=0.8)
plt.show()
