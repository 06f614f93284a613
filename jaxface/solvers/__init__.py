"""Minimisers. They know nothing of faces: an energy, a start, settings in; a record out."""
