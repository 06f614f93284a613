"""Trained networks of other people, the only home of haiku."""
