"""Small pure image operations: (height, width) or (height, width, channels) float32 arrays, pixels x right, y down."""
