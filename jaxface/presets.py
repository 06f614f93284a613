"""Every weight and rate of the method, each beside its source.

`paper` is the literal reading of Jin et al. (2021) Sec. 4.1; `default` the reading that was measured to lower the error
on rendered faces. A preset is a pytree: weights and rates are traced (changing them compiles nothing), step counts,
sizes and energies are static. `dataclasses.replace` and `_replace` exchange parts of it.
"""

import dataclasses
import functools

import jax

from jaxface.energies.albedo import AlbedoWeights
from jaxface.energies.depth import DepthWeights
from jaxface.energies.face import CoarseWeights
from jaxface.energies.laplacian import DeformationWeights
from jaxface.energies.scene import FineTerms, Phase, Unknown, albedo_term, height_term, slope_term, specular_term
from jaxface.energies.slopes import SlopeWeights
from jaxface.energies.specular import SpecularWeights
from jaxface.energies.trust import LandmarkTrust
from jaxface.imaging.spectral import precondition
from jaxface.rendering.appearance import light_from_texture, light_on_skin, residual_highlights, smooth_highlights

# The paper's constants for albedo and specular mean grey levels (0-255); RTV has no unit, hence the square there.
GREY_LEVELS = 255.0

EQ6 = AlbedoWeights(colour=0.3, detail=2.5 / GREY_LEVELS**2)  # lambda_gamma1, lambda_gamma2, Sec. 4.1
EQ8 = SpecularWeights(prior=0.5)  # lambda_beta, Sec. 4.1
EQ9_PHASE1 = DepthWeights(position=0.001, smoothness=0.05, gradient=0.001, emboss=0.001, data=1.0)  # Sec. 4.1
EQ9_PHASE2 = DepthWeights(position=0.001, smoothness=0.03, gradient=0.025, emboss=2.5, data=1.0)  # Sec. 4.1

EQ3 = DeformationWeights(
    trust=LandmarkTrust(
        eye=0.6,  # Sec. 4.1, eyes and nose
        nose=0.6,
        eyebrow=0.1,  # Sec. 4.1, eyebrows and mouth
        mouth=0.1,
        skin=0.05,  # ours: cheeks have no feature to detect, the points there are the detector's own guess
        border=0.01,  # ours: "lower weights for the boundary", Sec. 3.3
        iris=0.0,  # ours: eyeballs keep their shape
        turned_away=0.0,  # ours, with all that follows: hidden landmarks are guesses
        facing=0.3,
        softness=1.0,
        least=0.0,
    ),
    anchor=0.005,  # ours: pull towards the coarse place; keeps hidden sides from extrapolation
    stiffness=1.0,
    outlier_mm=5.0,  # ours: from here on a landmark that disagrees with its neighbours is let go
)

# Noise and priors of the coarse fit (ours), measured on detections in rendered faces (experiments/fit_sweep.py).
COARSE = CoarseWeights(
    trust=LandmarkTrust(
        eye=1.0, nose=1.0, eyebrow=1.0, mouth=1.0, skin=1.0,
        border=0.3,  # outline points, which slide
        iris=5.0,  # five points together are one of 0.7 mm: eyes turn against their prior
        turned_away=-0.1, facing=0.9, softness=0.0, least=0.05,
    ),
    landmark_mm=3.5,  # of one landmark about the model, if `independent` of them were given
    independent=68.0,  # errors of dense landmarks are correlated: more points count as that many
    outlier_mm=4.0,  # Geman-McClure scale: a landmark this far off pulls with a quarter of its force
    gap_mm=0.4,  # of how wide eyes and mouth are open, if `independent` landmarks were given
    blendshape=0.3,  # usual size of a blendshape coefficient; statistical coefficients have 1
    skin_spread=0.08,  # of the skin's brightness about its shading, as a share
    skin_independent=400.0,  # texture is correlated too: all the skin counts as that many patches
    skin_outlier=3.0,  # Geman-McClure scale of the skin, in spreads
    normal_least=0.12,  # radians: no network is surer of what a model can be like
    normal_independent=50.0,  # 200 made ray-traced heads' normals better by 0.2 degrees, their shape worse by 10 %
    normal_outlier=4.0,  # Geman-McClure scale of the normals, in spreads
)  # fmt: skip


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Preset:
    """A named choice of everything: the coarse fit, which with `coarse_shading` goes on to fit the skin's shading
    (ours), the same once a clip's person is known (`settled`), Eq. 3, and Eqs. 4 to 9, and these as a network's
    normals lead them (ours), None where none may."""

    coarse: CoarseWeights
    settled: CoarseWeights
    medium: DeformationWeights
    fine: FineTerms
    learned_normals: FineTerms | None
    coarse_shading: bool = dataclasses.field(metadata={"static": True})


# Expressions need less holding back where the identity is known: closed lids stay half open at 0.3.
_SETTLED = COARSE._replace(blendshape=0.6)


@functools.cache
def paper(*, size: int = 512) -> Preset:
    """Sec. 4.1 to the letter; the paper names no iteration counts, 100 each is our choice."""
    del size  # the paper's numbers know no resolution
    of_albedo = functools.partial(albedo_term, sigma=3.0, per_channel=True)  # the window of Eq. 7, pixels: ours
    of_height = functools.partial(height_term, as_printed=True)

    def phase(eq9: DepthWeights, *, rate: float) -> Phase:
        albedo = Unknown("albedo", of_albedo, EQ6, rate=0.05 / GREY_LEVELS)  # Sec. 4.1, as all rates here
        specular = Unknown("specular", specular_term, EQ8, rate=0.25 / GREY_LEVELS)
        return Phase((albedo, specular, Unknown("height_px", of_height, eq9, rate=rate)), num_steps=100)

    fine = FineTerms(
        appearance=light_from_texture,
        albedo=Phase((Unknown("albedo", of_albedo, EQ6, rate=1.5 / GREY_LEVELS),), num_steps=100),
        highlights=residual_highlights,
        phase1=phase(EQ9_PHASE1, rate=0.015),  # pixels
        phase2=phase(EQ9_PHASE2, rate=0.05),
    )
    return Preset(coarse=COARSE, settled=_SETTLED, medium=EQ3, fine=fine, learned_normals=None, coarse_shading=False)


@functools.cache
def default(*, size: int = 512) -> Preset:
    """The measured reading; lengths and the position weight scale with the crop's side."""
    scale = size / 256.0
    sigma = 1.5 * scale  # pixels, of Eq. 7
    # Measured together: a weaker pull and a stronger image lower the normal error, as long waves are mended too.
    measured = dict(position=0.0001 / scale**2, data=3.0)

    def phase(eq9: DepthWeights) -> Phase:
        rate = 0.05  # of the preconditioned unknown
        height = Unknown(
            "height_px", height_term, eq9._replace(**measured), rate=rate, cosine=True, precondition=precondition
        )
        return Phase((height,), num_steps=20)

    of_albedo = functools.partial(albedo_term, sigma=sigma, per_channel=False)
    fine = FineTerms(
        appearance=functools.partial(light_on_skin, sigma=0.5 * sigma),
        albedo=Phase((Unknown("albedo", of_albedo, EQ6, rate=1.5 / GREY_LEVELS),), num_steps=30),
        highlights=functools.partial(smooth_highlights, sigma=2.0 * sigma),
        phase1=phase(EQ9_PHASE1),
        phase2=phase(EQ9_PHASE2),
    )
    # All weights of Eq. 3 over 20: with 1, the print, landmark noise of 0.45 mm makes the normals of the default model
    # worse than the coarse ones, 4.9 degrees against 4.4; with 10 to 30 they are better, 4.1. A term for the normals
    # that a network sees is not in: it made meshes worse, 1.68 mm against 1.65 on 12 ray-traced pictures.
    medium = EQ3._replace(stiffness=20.0)
    return Preset(
        coarse=COARSE, settled=_SETTLED, medium=medium, fine=fine, learned_normals=_led(fine, scale=scale),
        coarse_shading=True,
    )  # fmt: skip


def _led(fine: FineTerms, *, scale: float) -> FineTerms:
    """The same where a network's normals lead the surface: its shape first, then its detail.

    Small errors of slope add up to large ones of height: the weight of the position holds what is as wide as the face,
    which the fit knows better. On 22 ray-traced heads that the network had not seen the normals ended at 11.8 degrees
    and the shape at 2.90 mm; with a hundredth of this weight at 11.6 and 3.02, with ten times as much at 12.1 and 2.89.
    """

    def phase(*, smoothness: float, num_steps: int) -> Phase:
        smoothness = smoothness * scale**2
        height = Unknown(
            "height_px", slope_term, SlopeWeights(4e-4 / scale**2, smoothness, gradient=0.01, outlier=6.0), rate=0.15,
            cosine=True, precondition=functools.partial(precondition, cutoff=0.02 / scale**2, bending=smoothness),
        )  # fmt: skip
        return Phase((height,), num_steps=num_steps)

    return dataclasses.replace(
        fine, phase1=phase(smoothness=7.5, num_steps=25), phase2=phase(smoothness=0.004, num_steps=50)
    )


PRESETS = {"paper": paper, "default": default}
