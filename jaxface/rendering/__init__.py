"""Camera, z-buffer, index map, light and image model (Eqs. 4 and 5) on one frame."""
