"""jaxface: a photo of a face in, a detailed and textured 3D mesh out (Jin et al. 2021, in JAX)."""
