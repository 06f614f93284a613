"""One weight of a preset at a time, on faces whose shape is known; parts of sensitivity.py."""
