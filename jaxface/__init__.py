"""jaxface: a photo or a video of a face in, a detailed and textured 3D mesh out (Jin et al. 2021, in JAX)."""


def __getattr__(name: str):
    """`jaxface.reconstruct`, imported when asked for, so that the command line's help does not wait for JAX."""
    if name == "reconstruct":
        from jaxface.pipeline import reconstruct

        return reconstruct
    raise AttributeError(f"module 'jaxface' has no attribute {name!r}")
