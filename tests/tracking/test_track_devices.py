"""The steps of tracking on four devices and on one: the same within float32's tolerance."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np
from jaxface import frame
from jaxface.morphable.default import load_default
from jaxface.rendering.camera import project
from jaxface.synthetic import preset_light, synthetic_face
from jaxface.tracking import devices, steps
from jaxface.tracking.packing import stack
from jaxface.tracking.steps import Shared

assert jax.local_device_count() == 4
model = load_default()
shared = Shared(frame.prepare(model), jnp.zeros(model.identity_basis_mm.shape[0]), jnp.zeros_like(model.mean_mm))
light = preset_light("soft")
shoot = jax.jit(lambda yaw: synthetic_face(jax.random.key(2), model=model, size=96, yaw=yaw, light=light, levels=1))
faces = [shoot(jnp.float32(0.1 * t)) for t in range(4)]
landmarks = stack([face.landmarks for face in faces])
cameras = stack([frame.make_camera(height=96, width=96)] * 4)
results = []
for chosen in (jax.local_devices(), jax.local_devices()[:1]):
    fits, crops, sides = devices.frame_map(steps.locate, devices=chosen)(landmarks, cameras, shared=shared)
    results.append(jax.tree.map(np.asarray, (fits.vertices_mm, fits.pose, crops, sides)))
for many, one in zip(*map(jax.tree.leaves, results), strict=True):
    np.testing.assert_allclose(many, one, rtol=1e-4, atol=1e-3)
print("equal")
"""


@pytest.mark.slow
def test_four_devices_find_the_same_faces_as_one():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0 and done.stdout.strip() == "equal", done.stderr[-2000:]
