"""Index sets of the 478-point MediaPipe face mesh; left and right are the subject's."""

# Around the face, from the top of the forehead over the subject's left side.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

NUM_SURFACE = 468  # then follow 5 points on the right iris and 5 on the left
RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (362, 263)
