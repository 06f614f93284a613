"""Writing results: meshes, maps, the overview picture, the report (host side)."""
