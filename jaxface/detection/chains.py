"""Curves of a face that every dense landmarker follows, and where MediaPipe's points lie along them.

Indices are of the 478-point face mesh; left and right are the subject's. The places are those of the embedded
model's mean face seen from the front.
"""

from typing import NamedTuple


class Chain(NamedTuple):
    """A curve from `start` to `end`, each the middle of the landmarks named, through `landmarks` in their order.

    `places` are the shares of the curve's length at which `landmarks` lie.
    """

    start: tuple[int, ...]
    landmarks: tuple[int, ...]
    end: tuple[int, ...]
    places: tuple[float, ...]


class Side(NamedTuple):
    """The curves of one half of a face, outer end first, and the centre of its iris."""

    upper_lid: Chain
    lower_lid: Chain
    upper_brow: Chain
    lower_brow: Chain
    nose_base: Chain
    contour: Chain
    iris: int


_UPPER_OUTER_LIP = (0.0, 0.051, 0.123, 0.223, 0.367, 0.5, 0.633, 0.777, 0.877, 0.949, 1.0)
_UPPER_INNER_LIP = (0.055, 0.135, 0.201, 0.284, 0.386, 0.5, 0.614, 0.716, 0.799, 0.865, 0.945)
_LOWER_INNER_LIP = (0.056, 0.134, 0.201, 0.235, 0.321, 0.5, 0.679, 0.765, 0.799, 0.866, 0.944)
_LOWER_OUTER_LIP = (0.0, 0.057, 0.127, 0.236, 0.361, 0.5, 0.639, 0.764, 0.873, 0.943, 1.0)
_UPPER_LID = (0.0, 0.049, 0.115, 0.223, 0.394, 0.571, 0.758, 0.919, 1.0)
_LOWER_LID = (0.0, 0.112, 0.21, 0.33, 0.507, 0.673, 0.847, 0.955, 1.0)
_UPPER_BROW = (0.043, 0.191, 0.38, 0.634, 0.918)
_LOWER_BROW = (0.044, 0.175, 0.353, 0.592, 0.916)
_NOSE_BASE = (0.0, 0.185, 0.643, 1.0)
_CONTOUR = (0.0, 0.102, 0.205, 0.314, 0.425, 0.521, 0.602, 0.691, 0.761, 0.829, 0.907, 1.0)
_NOSE_RIDGE = (0.035, 0.182, 0.334, 0.493, 0.668, 0.83)

# Lips, from the right corner to the left. The inner edges end a little inside of the corners.
UPPER_OUTER_LIP = Chain((61,), (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), (291,), _UPPER_OUTER_LIP)
UPPER_INNER_LIP = Chain((61,), (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (291,), _UPPER_INNER_LIP)
LOWER_INNER_LIP = Chain((61,), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308), (291,), _LOWER_INNER_LIP)
LOWER_OUTER_LIP = Chain((61,), (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291), (291,), _LOWER_OUTER_LIP)

# From the middle between the eyes' inner corners to where the nose meets the upper lip.
NOSE_RIDGE = Chain((133, 362), (6, 197, 195, 5, 4, 1), (2,), _NOSE_RIDGE)

RIGHT = Side(
    upper_lid=Chain((33,), (33, 246, 161, 160, 159, 158, 157, 173, 133), (133,), _UPPER_LID),
    lower_lid=Chain((33,), (33, 7, 163, 144, 145, 153, 154, 155, 133), (133,), _LOWER_LID),
    upper_brow=Chain((46, 70), (70, 63, 105, 66, 107), (107, 55), _UPPER_BROW),
    lower_brow=Chain((46, 70), (46, 53, 52, 65, 55), (107, 55), _LOWER_BROW),
    nose_base=Chain((64,), (64, 98, 97, 2), (2,), _NOSE_BASE),
    contour=Chain((127,), (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152), (152,), _CONTOUR),
    iris=468,
)
LEFT = Side(
    upper_lid=Chain((263,), (263, 466, 388, 387, 386, 385, 384, 398, 362), (362,), _UPPER_LID),
    lower_lid=Chain((263,), (263, 249, 390, 373, 374, 380, 381, 382, 362), (362,), _LOWER_LID),
    upper_brow=Chain((276, 300), (300, 293, 334, 296, 336), (336, 285), _UPPER_BROW),
    lower_brow=Chain((276, 300), (276, 283, 282, 295, 285), (336, 285), _LOWER_BROW),
    nose_base=Chain((294,), (294, 327, 326, 2), (2,), _NOSE_BASE),
    contour=Chain((356,), (356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152), (152,), _CONTOUR),
    iris=473,
)
