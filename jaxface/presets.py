"""Every number of the fine stage, each beside its source.

`paper` is the literal reading of Jin et al. (2021) Sec. 4.1; `default` the reading that was measured to lower the error
on rendered faces. Weights and rates are traced (changing them compiles nothing); a `Schedule` is static.
"""

from typing import NamedTuple

from jaxtyping import Array, Float

from jaxface.energies.albedo import AlbedoWeights
from jaxface.energies.depth import DepthWeights
from jaxface.energies.specular import SpecularWeights

Rate = Float[Array, ""] | float


class FineWeights(NamedTuple):
    """Weights and Adam rates of the fine stage; images in [0, 1], heights in pixels."""

    albedo: AlbedoWeights
    specular: SpecularWeights
    phase1: DepthWeights
    phase2: DepthWeights
    albedo_rate: Rate
    albedo_rate_in_turn: Rate
    specular_rate: Rate
    phase1_rate: Rate
    phase2_rate: Rate


class Schedule(NamedTuple):
    """Step counts and forms of the fine stage; static, hashable."""

    albedo_steps: int
    phase1_steps: int
    phase2_steps: int
    literal: bool  # Eq. 9 as printed, plain Adam, one step each of albedo, specular and depth in turn
    rtv_sigma: float  # pixels
    rtv_per_channel: bool


class Preset(NamedTuple):
    """A named choice of everything. `stiffness` divides all landmark weights of Eq. 3 (1 in the paper); with
    `coarse_shading` the coarse face goes on to fit the skin's shading (ours)."""

    weights: FineWeights
    schedule: Schedule
    stiffness: float
    coarse_shading: bool


def paper(*, size: int = 512) -> Preset:
    """Sec. 4.1 to the letter; the paper names no iteration counts, 100 each is our choice."""
    del size  # the paper's numbers know no resolution
    weights = FineWeights(
        albedo=AlbedoWeights(colour=0.3, detail=2.5 / 255.0**2),
        specular=SpecularWeights(prior=0.5),
        phase1=DepthWeights(0.001, 0.05, 0.001, 0.001, 1.0),
        phase2=DepthWeights(0.001, 0.03, 0.025, 2.5, 1.0),
        albedo_rate=1.5 / 255.0,  # grey levels in the paper
        albedo_rate_in_turn=0.05 / 255.0,
        specular_rate=0.25 / 255.0,
        phase1_rate=0.015,  # pixels
        phase2_rate=0.05,
    )
    return Preset(weights, Schedule(100, 100, 100, True, 3.0, True), stiffness=1.0, coarse_shading=False)


def default(*, size: int = 512) -> Preset:
    """The measured reading; lengths and the position weight scale with the crop's side."""
    scale = size / 256.0
    # Measured with `data`: a weaker pull and a stronger image lower the normal error, as long waves are mended too.
    position, data = 0.0001 / scale**2, 3.0
    weights = FineWeights(
        albedo=AlbedoWeights(colour=0.3, detail=2.5 / 255.0**2),
        specular=SpecularWeights(prior=0.5),
        phase1=DepthWeights(position, 0.05, 0.001, 0.001, data),
        phase2=DepthWeights(position, 0.03, 0.025, 2.5, data),
        albedo_rate=1.5 / 255.0,
        albedo_rate_in_turn=0.0,
        specular_rate=0.0,
        phase1_rate=0.05,  # of the preconditioned unknown
        phase2_rate=0.05,
    )
    # Landmark noise of about a pixel, stiffness 1 would copy it into the surface.
    return Preset(weights, Schedule(30, 20, 20, False, 1.5 * scale, False), stiffness=20.0, coarse_shading=True)


PRESETS = {"paper": paper, "default": default}
