"""A video in, a person and an animation out: chunks of frames on the device, one identity, resumable."""
