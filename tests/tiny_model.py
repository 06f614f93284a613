"""A face model of nine vertices, with or without joints, and homes to install it into."""

import jax.numpy as jnp
import numpy as np

from jaxface.types import NUM_LANDMARKS, Articulation, MorphableModel, Part, Region

VERTICES, IDENTITY, EXPRESSIONS = 9, 4, ("jawOpen", "turn_x", "turn_y", "turn_z")


def make_model(*, name: str = "ict", joints: bool = False) -> MorphableModel:
    """Random numbers on a 3 x 3 grid; the last three landmarks are absent."""
    random = np.random.default_rng(7)

    def numbers(*shape):
        return jnp.asarray(random.standard_normal(shape), jnp.float32)

    grid = np.arange(VERTICES).reshape(3, 3)
    corners = np.stack([grid[1:, :-1], grid[1:, 1:], grid[:-1, :-1]], axis=-1).reshape(-1, 3)
    weights = np.zeros((NUM_LANDMARKS, 3), np.float32)
    weights[:-3] = 1 / 3
    return MorphableModel(
        mean_mm=numbers(VERTICES, 3),
        identity_basis_mm=numbers(IDENTITY, VERTICES, 3),
        expression_basis_mm=numbers(len(EXPRESSIONS), VERTICES, 3),
        triangles=jnp.asarray(corners, jnp.int32),
        uvs=jnp.asarray(random.uniform(size=(11, 2)), jnp.float32),
        uv_triangles=jnp.asarray(corners + 2, jnp.int32),
        landmark_triangles=jnp.asarray(random.integers(0, 4, NUM_LANDMARKS), jnp.int32),
        landmark_barycentrics=jnp.asarray(weights),
        landmark_regions=jnp.asarray(random.integers(0, len(Region), NUM_LANDMARKS), jnp.int32),
        vertex_regions=jnp.asarray(random.integers(0, len(Region), VERTICES), jnp.int32),
        vertex_parts=jnp.asarray(random.integers(0, len(Part), VERTICES), jnp.int32),
        ibug_vertices=jnp.asarray(random.integers(-1, VERTICES, 68), jnp.int32),
        albedo=jnp.asarray(random.uniform(size=(VERTICES, 3)), jnp.float32),
        name=name,
        licence="MIT, tested",
        expression_names=EXPRESSIONS,
        expression_bounds=(0.0, 1.0),
        articulation=make_articulation(numbers) if joints else None,
    )


def make_articulation(numbers) -> Articulation:
    return Articulation(
        joints_mm=numbers(2, 3),
        joint_identity_mm=numbers(IDENTITY, 2, 3),
        joint_expression_mm=numbers(len(EXPRESSIONS), 2, 3),
        weights=numbers(VERTICES, 2),
        correctives_mm=numbers(9, VERTICES, 3),
        corrected=(1,),
        parents=(-1, 0),
        names=("root", "jaw"),
        free=(1,),
        spread=0.25,
    )
