"""Comparing a reconstruction with a known truth: alignment of surfaces, errors of maps (host side, float64)."""
