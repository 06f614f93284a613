"""Sets the environment of tests, and of processes that they start, in which compiling is fast; import it before JAX."""

import os
import subprocess
import sys

# Nearly all time goes into compiling. So a program takes a fifth of it, and twice as long to run.
FAST = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"


def _known() -> bool:
    """A jaxlib that does not know a flag aborts."""
    command = [sys.executable, "-c", "import jax; jax.devices('cpu')"]
    around = os.environ | {"XLA_FLAGS": FAST, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(command, env=around, capture_output=True).returncode == 0


if "XLA_FLAGS" not in os.environ:  # an empty one tests what users run; pytest's workers find the first process's
    os.environ["XLA_FLAGS"] = FAST if _known() else ""
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # LAPACK's threads wait for each other in busy loops
# Not in JAX's settings: processes that tests start then run the same programs, and find them compiled.
os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "float32"
