"""Is a model that was read what its reader promises: shapes, indices, units, axes, winding (host side).

The mistakes that a wrong file or a wrong convention makes are large (a factor of 10, a mirrored axis, a face turned
inside out), so that bounds far from every real face suffice.
"""

import os

import numpy as np

from jaxface.models.source import SourceModel
from jaxface.types import FaceError, Part

EXTENT_MM = (90.0, 450.0)  # width and height, from a tight face mask to a bust
OUTER_CANTHI_MM = (80.0, 100.0)  # mean faces of seven published models lie in 86-93
SPREAD_MM = (0.01, 100.0)  # rms over the vertices, all modes of a basis at 1; real ones move 2-10 mm
OPEN = 0.35  # |mean normal| above it: a mask, whose front must face +z; closed heads have little, busts 0.2


def check_source(model: SourceModel, *, path: str | os.PathLike) -> SourceModel:
    """`model` itself, if it is a face in the object frame and in millimetres; every reader ends with this.

    Raises FaceError that names the first check that failed, and the file at `path`.
    """
    with np.errstate(all="ignore"):
        faults = (check(model) for check in _CHECKS)
        fault = next(filter(None, faults), None)
    if fault:
        raise FaceError(f"{path}: {fault}; check that it is the file that this reader expects, and complete.")
    return model


def _shapes(model):
    vertices, faces = len(model.mean_mm), len(model.triangles)
    parts = {
        "mean": (model.mean_mm, (vertices, 3)),
        "identity basis": (model.identity_mm, (len(model.identity_mm), vertices, 3)),
        "triangles": (model.triangles, (faces, 3)),
        "iBUG points": (model.ibug_vertices, (68,)),
    }
    if model.parts is not None:
        parts["parts"] = (model.parts, (vertices,))
    if model.colours is not None:
        parts["colours"] = (model.colours, (vertices, 3))
    if model.uvs is not None:
        parts["UVs"] = (model.uvs, (len(model.uvs), 2))
        parts["UV triangles"] = (model.uv_triangles, (faces, 3))
    for name, (array, expected) in parts.items():
        if array.shape != expected or 0 in expected:
            return f"the {name} have the shape {array.shape}, expected {expected} and not empty"
    expected = (len(model.expression_names), vertices, 3)
    if model.expression_mm.shape != expected:  # a model without expressions has none
        return f"the expression basis has the shape {model.expression_mm.shape}, expected {expected}"
    return None


def _finite(model):
    low, high = model.expression_bounds
    if not (np.isfinite([low, high]).all() and low <= 0.0 < high):
        return f"the expression bounds {model.expression_bounds} are not a range around 0"
    parts = {"mean": model.mean_mm, "identity basis": model.identity_mm, "expression basis": model.expression_mm}
    parts |= {"colours": model.colours, "UVs": model.uvs}
    for name, array in parts.items():
        if array is not None and not np.all(np.isfinite(array)):
            return f"the {name} hold numbers that are not finite"
    for name in ("colours", "UVs"):
        array = parts[name]
        if array is not None and (array.min() < -1e-3 or array.max() > 1.001):
            return f"the {name} lie in [{array.min():g}, {array.max():g}], expected [0, 1]"
    return None


def _indices(model):
    vertices = len(model.mean_mm)
    parts = {"triangles": (model.triangles, 0, vertices), "iBUG points": (model.ibug_vertices, -1, vertices)}
    if model.parts is not None:
        parts["parts"] = (model.parts, 0, len(Part))
    if model.uvs is not None:
        parts["UV triangles"] = (model.uv_triangles, 0, len(model.uvs))
    for name, (array, low, count) in parts.items():
        if array.min() < low or array.max() >= count:
            return f"the {name} hold indices from {array.min()} to {array.max()}, expected {low} to {count - 1}"
    return None


def _bases(model):
    for name, basis in (("identity", model.identity_mm), ("expression", model.expression_mm)):
        spread = float(np.sqrt(np.sum(np.square(basis, dtype=np.float64)) / len(model.mean_mm)))
        if len(basis) and not SPREAD_MM[0] <= spread <= SPREAD_MM[1]:
            expected = f"{SPREAD_MM[0]:g} to {SPREAD_MM[1]:g}"
            return f"the {name} basis moves vertices by {spread:.3g} mm (rms), expected {expected} mm"
    return None


def _articulation(model):
    rig = model.articulation
    if rig is None:
        return None
    vertices, joints = len(model.mean_mm), len(rig.names)
    shapes = {
        "positions": (rig.joints_mm, (joints, 3)),
        "identity basis": (rig.joint_identity_mm, (len(model.identity_mm), joints, 3)),
        "expression basis": (rig.joint_expression_mm, (len(model.expression_mm), joints, 3)),
        "skinning weights": (rig.weights, (vertices, joints)),
        "correctives": (rig.correctives_mm, (9 * len(rig.corrected), vertices, 3)),
    }
    for name, (array, expected) in shapes.items():
        if np.shape(array) != expected or not np.all(np.isfinite(array)):
            return f"the joints' {name} have the shape {np.shape(array)}, expected {expected}, all finite"
    if len(rig.parents) != joints or not all(-1 <= parent < joint for joint, parent in enumerate(rig.parents)):
        return f"the joints' parents {rig.parents} do not come before their children"
    if not all(0 <= joint < joints for joint in (*rig.free, *rig.corrected)):
        return f"the free joints {rig.free} or the corrected ones {rig.corrected} are not among the {joints} joints"
    sums = np.sum(rig.weights, axis=1)
    if np.min(rig.weights) < -1e-3 or np.max(np.abs(sums - 1.0)) > 1e-2:
        return f"the skinning weights of a vertex sum up to {sums[np.argmax(np.abs(sums - 1.0))]:g}, expected 1"
    return None


def _units(model):
    used = model.mean_mm[np.unique(model.triangles)]
    width, height = np.ptp(used[:, :2], axis=0)
    low, high = EXTENT_MM
    if not (low <= width <= high and low <= height <= high):
        return f"the mean face is {width:.3g} mm wide and {height:.3g} mm high, expected {low:g} to {high:g} mm"
    return None


def _orientation(model):
    """Winding by the volume between the surface and its centre: positive for bulging masks as for closed heads."""
    a, b, c = np.moveaxis(model.mean_mm.astype(np.float64)[model.triangles], 1, 0)
    normals, centres = np.cross(b - a, c - a), (a + b + c) / 3.0
    areas = np.linalg.norm(normals, axis=1)
    if areas.sum() == 0.0:
        return "the triangles of the mean face have no area"
    volume = np.sum(normals * (centres - areas @ centres / areas.sum()))
    if not volume > 0.0:
        return "the triangles face inwards, or an axis is mirrored"
    facing = normals.sum(axis=0) / areas.sum()
    if np.linalg.norm(facing) > OPEN and facing[2] < 0.7 * np.linalg.norm(facing):
        return f"the face looks along ({', '.join(f'{axis:.2f}' for axis in facing)}), expected +z with +y up"
    return None


def _landmarks(model):
    """Places of the eyes (36, 45 their outer corners), the nose's tip (30) and the mouth's corners (48, 54)."""
    known = model.ibug_vertices >= 0
    points = model.mean_mm[model.ibug_vertices]
    if not known[[36, 45]].all():
        return None
    right, left = points[36], points[45]
    distance = float(np.linalg.norm(left - right))
    if not OUTER_CANTHI_MM[0] <= distance <= OUTER_CANTHI_MM[1]:
        expected = f"{OUTER_CANTHI_MM[0]:g} to {OUTER_CANTHI_MM[1]:g}"
        return f"the outer corners of the eyes are {distance:.3g} mm apart, expected {expected} mm"
    if (left - right)[0] < 0.9 * distance:
        return "the subject's left eye is not at +x of the right eye"
    eyes = (left + right) / 2.0
    if known[[48, 54]].all() and np.mean(points[[48, 54]], axis=0)[1] > eyes[1] - 20.0:
        return "the eyes are not above the mouth (+y)"
    if known[30] and points[30, 2] < eyes[2] + 5.0:
        return "the tip of the nose is not in front of the eyes (+z)"
    return None


_CHECKS = (_shapes, _finite, _indices, _bases, _articulation, _units, _orientation, _landmarks)
