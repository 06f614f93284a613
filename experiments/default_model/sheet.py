"""A sheet of 24 people of the model: eight at random, then one component each at two and at three deviations."""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxface.morphable.default import load_default
from jaxface.morphable.linear import face_shape
from jaxface.morphable.pose import rotation_vector
from jaxface.rendering.camera import orthographic
from jaxface.rendering.clay import render_clay
from jaxface.types import Pose

SIZE, HEIGHT_MM, COLUMNS = 240, 260.0, 8
YAWS = (0.0, 0.6)  # radians, in turn


def draw_sheet() -> Image.Image:
    """RGB, eight pictures a row, frontal and half turned in turn."""
    model = load_default()
    count = model.identity_basis_mm.shape[0]
    rows = [np.random.default_rng(0).normal(size=(COLUMNS, count))]
    rows += [deviations * np.eye(COLUMNS, count) for deviations in (2.0, 3.0)]
    people = jnp.asarray(np.concatenate(rows), jnp.float32)
    yaws = jnp.tile(jnp.array(YAWS), len(people) // len(YAWS))

    def picture(person):
        identity, yaw = person
        shape = face_shape(identity, jnp.zeros(model.expression_basis_mm.shape[0]), model=model)
        c, s, zero, one = jnp.cos(yaw), jnp.sin(yaw), 0.0 * yaw, 1.0 + 0.0 * yaw
        turn = jnp.array([[c, zero, s], [zero, one, zero], [-s, zero, c]])
        pose = Pose(rotation_vector(turn), jnp.full(2, SIZE / 2.0), jnp.log(SIZE / HEIGHT_MM))
        return render_clay(shape, model.triangles, pose, camera=orthographic(), size=SIZE)

    pictures = np.asarray(jax.lax.map(picture, (people, yaws))).reshape(-1, COLUMNS, SIZE, SIZE, 3)
    sheet = pictures.transpose(0, 2, 1, 3, 4).reshape(-1, COLUMNS * SIZE, 3)
    return Image.fromarray((255 * sheet).astype(np.uint8))
