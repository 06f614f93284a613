"""Landmark detection, host side. A detector maps an RGB image to one `Landmarks` a face, largest first."""
