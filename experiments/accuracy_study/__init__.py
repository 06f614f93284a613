"""Parts of accuracy.py: photographs of known faces, the comparison, the table."""
