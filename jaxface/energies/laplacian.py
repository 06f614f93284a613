"""Energy of the landmark-guided Laplace deformation; positions in mm, so energies in mm^2 (as printed: mm).

A handle is a point of the surface, given by three vertices and barycentric weights, that a landmark pulls at.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxface.energies.trust import LandmarkTrust
from jaxface.geometry.laplace_coordinates import laplace_coordinates
from jaxface.numerics import sum_squares

# Smooths the printed norms, in mm: far below any displacement of interest.
SMOOTHING_MM = 1e-2


class DeformationWeights(NamedTuple):
    """w of Eq. 3 (`trust`, by region), and what is done about landmarks that cannot be trusted: `anchor` pulls handles
    towards where they are, `stiffness` divides all weights (1 in the paper), and a landmark that disagrees with the
    others by `outlier_mm` is let go."""

    trust: LandmarkTrust
    anchor: Float[Array, ""] | float
    stiffness: Float[Array, ""] | float
    outlier_mm: Float[Array, ""] | float


class Deformable(NamedTuple):
    """What Eq. 3 must know of a template: neighbour lists (geometry/topology.py) and handles."""

    neighbours: Int[Array, "vertices most"]
    valence: Float[Array, "vertices"]
    handle_vertices: Int[Array, "handles 3"]
    handle_barycentrics: Float[Array, "handles 3"]


def handle_positions(vertices_mm: Float[Array, "vertices 3"], *, deformable: Deformable) -> Float[Array, "handles 3"]:
    """Where the handles lie on a shape."""
    return jnp.einsum("hc,hcx->hx", deformable.handle_barycentrics, vertices_mm[deformable.handle_vertices])


def laplacian_energy(
    vertices_mm: Float[Array, "vertices 3"],
    *,
    initial_mm: Float[Array, "vertices 3"],
    targets_mm: Float[Array, "handles 3"],
    weights: Float[Array, "handles"],
    deformable: Deformable,
) -> Float[Array, ""]:
    """Laplace deformation energy, Jin et al. (2021) Eq. 3.

    Departs from print: norms are squared, as the standard method has them. The printed ones have no gradient at the
    start and a spiky optimum; `printed_laplacian_energy` has them.
    """
    bending, pull = _residuals(vertices_mm, initial_mm, targets_mm, deformable)
    return sum_squares(bending) + jnp.sum(weights[:, None] * pull * pull)


def printed_laplacian_energy(
    vertices_mm: Float[Array, "vertices 3"],
    *,
    initial_mm: Float[Array, "vertices 3"],
    targets_mm: Float[Array, "handles 3"],
    weights: Float[Array, "handles"],
    deformable: Deformable,
) -> Float[Array, ""]:
    """Jin et al. (2021) Eq. 3 with its norms as printed, not squared.

    Departs from print: |x| is sqrt(|x|^2 + eta^2) - eta with eta = SMOOTHING_MM; at the start all of the first
    sum's residuals are 0, where the plain norm's gradient is not a number.
    """
    bending, pull = _residuals(vertices_mm, initial_mm, targets_mm, deformable)
    return jnp.sum(_smooth_norm(bending)) + jnp.sum(weights * _smooth_norm(pull))


def _residuals(vertices_mm, initial_mm, targets_mm, deformable):
    """L(v') - L(v), and v' - mu at the handles."""

    def laplace(shape_mm):
        return laplace_coordinates(shape_mm, neighbours=deformable.neighbours, valence=deformable.valence)

    with jax.named_scope("laplace"):
        bending = laplace(vertices_mm) - laplace(initial_mm)
    with jax.named_scope("handles"):
        pull = handle_positions(vertices_mm, deformable=deformable) - targets_mm
    return bending, pull


def _smooth_norm(rows: Float[Array, "rows 3"]) -> Float[Array, "rows"]:
    return jnp.sqrt(jnp.sum(rows * rows, axis=-1) + SMOOTHING_MM**2) - SMOOTHING_MM
