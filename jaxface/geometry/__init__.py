"""Geometry on meshes and height maps: topology, Laplace coordinates (Eq. 2), subdivision, normals."""
