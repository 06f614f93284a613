"""Trained networks, our own of normals and those of other people; the only home of haiku."""
