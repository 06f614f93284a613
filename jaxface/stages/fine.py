"""Fine stage, Jin et al. (2021) Sec. 3.4: light, albedo, specular, then the height map in two phases (Eqs. 4 to 9).

Where a network's normals lead the surface (ours), that moves first, and light and colours are found on it. What is
minimised is a record of terms (`energies.scene.FineTerms`), which a preset fills.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxface.energies.scene import FineTerms, Phase, Scene, Unknown, with_value
from jaxface.energies.slopes import slopes_asked
from jaxface.geometry.normals import depth_normals
from jaxface.imaging.filters import gaussian_blur
from jaxface.numerics import smoothstep
from jaxface.rendering.appearance import continue_albedo, fill_outside
from jaxface.rendering.image_model import render
from jaxface.rendering.lighting import sh_basis, shading
from jaxface.solvers.adam import cosine_rates, minimise_in_turn
from jaxface.types import FineInputs, FineMaps, LearnedNormals

_RIM = 0.006  # of the crop's side: softness of the mask's rim
_SKIN = (0.5, 0.95)  # probability between which skin counts: a half-sure pixel belongs to what is in front


def run(inputs: FineInputs, terms: FineTerms, *, normals: LearnedNormals | None = None) -> FineMaps:
    """Refines the medium height map on one crop, unjudged; pure, for jit and vmap. With `normals` the terms must be
    those that a network leads.

    Never raises on data: `finite` tells whether every number stayed finite.
    """
    begin = light_and_albedo(inputs, terms) if normals is None else led_scene(inputs, normals)
    phase1 = solve(begin, terms.phase1)
    phase2 = solve(phase1, terms.phase2)
    last = phase2 if normals is None else light_and_albedo(inputs, terms, moved=phase2)
    return make_maps(last, phase1_height_px=shown_height(phase1))


def led_scene(inputs: FineInputs, normals: LearnedNormals) -> Scene:
    """The scene before its surface moves where a network leads it; nothing is known of its light yet.

    Bare skin is where the network sees it and geometry allows; brows are the network's to judge.
    """
    height_px = fill_outside(inputs.height_px, inputs.covered)
    brow = inputs.covered * inputs.indicators[..., 1]
    mask = smoothstep(normals.skin, between=_SKIN) * jnp.maximum(inputs.prior, brow)
    slopes = slopes_asked(normals, height_px, mask=mask)
    nothing, light = jnp.zeros_like(inputs.image), _even_light()
    return Scene(
        image=inputs.image, covered=inputs.covered, mask=mask, light=light, mean_albedo=inputs.albedo,
        albedo=inputs.albedo, specular=nothing, initial_specular=nothing, initial_height_px=height_px,
        height_px=height_px, shading=shading(depth_normals(height_px), light), finite=jnp.array(True), slopes=slopes,
    )  # fmt: skip


def light_and_albedo(inputs: FineInputs, terms: FineTerms, *, moved: Scene | None = None) -> Scene:
    """The scene with its light (Eqs. 4, 5), albedo (Eq. 6) and highlights (beta_0 of Eq. 8): on the medium surface, or
    on one that a network's normals have `moved`, where their skin is."""
    if moved is None:
        initial_px = height_px = shown_px = fill_outside(inputs.height_px, inputs.covered)
    else:
        initial_px, height_px, shown_px = moved.initial_height_px, moved.height_px, shown_height(moved)
        inputs = inputs._replace(prior=moved.mask)
    normals = depth_normals(shown_px)
    light, mean_albedo, albedo, mask = terms.appearance(inputs, normals)
    nothing = jnp.zeros_like(inputs.image)
    scene = Scene(
        image=inputs.image, covered=inputs.covered, mask=mask, light=light, mean_albedo=mean_albedo, albedo=albedo,
        specular=nothing, initial_specular=nothing, initial_height_px=initial_px, height_px=height_px,
        shading=shading(normals, light), finite=jnp.array(True),
    )  # fmt: skip
    if moved is not None:  # shadow and shine mislead the light, not the network
        scene = scene._replace(mask=moved.mask, finite=moved.finite, slopes=moved.slopes)
    scene = solve(scene, terms.albedo)
    specular, initial_specular = terms.highlights(scene.image, render(scene.albedo, scene.shading), scene.mask)
    return scene._replace(specular=specular, initial_specular=initial_specular)


def solve(scene: Scene, phase: Phase) -> Scene:
    """The scene after a phase; each of its iterations takes a step on every unknown in turn."""
    starts = tuple(getattr(scene, unknown.name) for unknown in phase.unknowns)
    inits = tuple(
        start if unknown.precondition is None else jnp.zeros_like(start)
        for unknown, start in zip(phase.unknowns, starts, strict=True)
    )

    def scene_of(blocks: tuple) -> Scene:
        result = scene
        for unknown, start, block in zip(phase.unknowns, starts, blocks, strict=True):
            value = block if unknown.precondition is None else start + unknown.precondition(block)
            result = with_value(result, value, name=unknown.name)
        return result

    found = minimise_in_turn(
        tuple(_of_blocks(unknown, scene_of) for unknown in phase.unknowns),
        inits,
        learning_rates=tuple(
            cosine_rates(unknown.rate, num_steps=phase.num_steps) if unknown.cosine else unknown.rate
            for unknown in phase.unknowns
        ),
        num_steps=phase.num_steps,
    )
    return scene_of(found.value)._replace(finite=scene.finite & found.finite)


def _of_blocks(unknown: Unknown, scene_of):
    return lambda blocks: unknown.energy(scene_of(blocks), unknown.weights)


def shown_height(scene: Scene) -> Float[Array, "height width"]:
    """The height map, which towards the mask's rim returns to the medium's, so that no step is left; one that a network
    leads does so by itself."""
    if scene.slopes is not None:
        return scene.height_px
    soft = gaussian_blur(scene.mask, sigma=_RIM * scene.mask.shape[0])
    keep = jnp.clip(2.0 * soft - 0.8, 0.0, 1.0)
    return scene.initial_height_px + keep * (scene.height_px - scene.initial_height_px)


def make_maps(scene: Scene, *, phase1_height_px: Float[Array, "height width"]) -> FineMaps:
    """The scene as maps; `phase1_height_px` is the first phase's `shown_height`.

    A photo cannot tell bright skin from bright light, and the mean texture that Eq. 5 starts from would lend its tone
    to everybody. By convention the shading's mean over the skin is 1 in each channel, so that the albedo has the tone
    which the photo shows; without a network the maps stay as the equations leave them.
    """
    height_px = shown_height(scene)
    normals = depth_normals(height_px)
    if scene.slopes is not None:
        level = _level(shading(normals, scene.light), scene.mask)
        scene = scene._replace(light=scene.light / level[None], albedo=scene.albedo * level[None, None])
    initial_shading = shading(depth_normals(scene.initial_height_px), scene.light)
    return FineMaps(
        medium_height_px=scene.initial_height_px,
        phase1_height_px=phase1_height_px,
        height_px=height_px,
        normals_image=normals,
        albedo=continue_albedo(scene.image, scene.albedo, initial_shading, scene.mask),
        shading=shading(normals, scene.light),
        specular=scene.specular,
        mask=scene.covered,
        confidence=scene.mask,
        light=scene.light,
        finite=scene.finite,
    )


def _level(shade: Float[Array, "height width 3"], mask: Float[Array, "height width"]) -> Float[Array, "3"]:
    """The mean shading of the skin in each channel; 1 where there is no skin or no light."""
    total = jnp.sum(mask)
    level = jnp.sum(mask[..., None] * shade, axis=(0, 1)) / jnp.maximum(total, 1e-6)
    return jnp.where((total > 1e-3) & (level > 1e-3), level, 1.0)


def plain_scene(scene: Scene) -> Scene:
    """In place of a scene that is no good: the medium shape, the photo as albedo under even light, no skin."""
    nothing = jnp.zeros_like(scene.image)
    plain = scene._replace(
        mask=jnp.zeros_like(scene.mask), light=_even_light(), mean_albedo=scene.image, albedo=scene.image,
        specular=nothing, initial_specular=nothing, finite=jnp.array(True),
    )  # fmt: skip
    return with_value(plain, scene.initial_height_px, name="height_px")


def _even_light() -> Float[Array, "9 3"]:
    """Under which every surface has the shading 1."""
    return jnp.zeros((9, 3), jnp.float32).at[0].set(1.0 / sh_basis(jnp.array([0.0, 0.0, 1.0]))[0])
