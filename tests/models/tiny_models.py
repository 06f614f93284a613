"""A face of a few hundred vertices, and the files that published models would store it in (layouts only)."""

import json
import pathlib
from typing import NamedTuple

import numpy as np
import scipy.io

COLUMNS, ROWS, STEP_MM = 21, 29, 7.5


class TinyFace(NamedTuple):
    """A smooth open mask that looks along +z: quads counter-clockwise from outside, iBUG points, no two modes alike."""

    vertices_mm: np.ndarray
    quads: np.ndarray
    uvs: np.ndarray
    ibug: np.ndarray


def tiny_face() -> TinyFace:
    """150 mm wide, 210 mm high, the outer corners of the eyes 90 mm apart."""
    x, y = np.meshgrid(STEP_MM * (np.arange(COLUMNS) - COLUMNS // 2), STEP_MM * (np.arange(ROWS) - ROWS // 2))
    nose = 22.0 * np.exp(-((x / 10.0) ** 2) - ((y + 7.5) / 15.0) ** 2)
    z = 70.0 * np.cos(x / 65.0) * np.cos(y / 110.0) + nose
    index = np.arange(COLUMNS * ROWS).reshape(ROWS, COLUMNS)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    uvs = 0.05 + 0.9 * (vertices[:, :2] - vertices[0, :2]) / np.ptp(vertices[:, :2], axis=0)
    away = np.linalg.norm(vertices[None, :, :2] - _ibug_places()[:, None], axis=-1)
    return TinyFace(vertices, quads, uvs, np.argmin(away, axis=1))


def _ibug_places() -> np.ndarray:
    """The 68 points from the front, (x, y) in mm."""
    jaw = [(67.5 * np.sin(t), 30.0 - 120.0 * np.cos(t)) for t in np.linspace(-np.pi / 2, np.pi / 2, 17)]
    brow = [(x, 52.5) for x in np.linspace(-52.5, -15.0, 5)]
    nose = [(0.0, y) for y in (37.5, 22.5, 7.5, -7.5)] + [(x, -15.0) for x in np.linspace(-15.0, 15.0, 5)]
    right = [(-45.0, 37.5), (-37.5, 45.0), (-22.5, 45.0), (-15.0, 37.5), (-22.5, 30.0), (-37.5, 30.0)]
    left = [(-x, y) for x, y in (right[3], right[2], right[1], right[0], right[5], right[4])]
    lips = [(22.5 * np.cos(t), 11.0 * np.sin(t) - 45.0) for t in np.pi * (1 - np.arange(12) / 6)]
    inner = [(15.0 * np.cos(t), 4.0 * np.sin(t) - 45.0) for t in np.pi * (1 - np.arange(8) / 4)]
    return np.array(jaw + brow + [(-x, y) for x, y in brow[::-1]] + nose + right + left + lips + inner)


def tiny_modes(vertices_mm: np.ndarray, count: int, *, seed: int) -> np.ndarray:
    """(count, vertices, 3): smooth displacements of a millimetre or two."""
    rng = np.random.default_rng(seed)
    phases = vertices_mm @ rng.normal(0.0, 0.02, (count, 3, 3)) + rng.uniform(0.0, 6.0, (count, 1, 3))
    return 2.0 * np.sin(phases)


def quads_to_triangles(quads: np.ndarray) -> np.ndarray:
    """All first halves, then all second halves."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [2, 3, 0]]])


class TinyIct(NamedTuple):
    """What `write_ict` wrote: positions in cm, faces and UVs of the whole mesh; `parts` replaces the reader's table."""

    parts: dict
    neutral: np.ndarray
    identities: np.ndarray
    expressions: np.ndarray
    names: tuple[str, ...]
    ibug: np.ndarray


def write_ict(folder: pathlib.Path, parts: dict) -> TinyIct:
    """FaceXModel with the names and tiles of `parts` but its own ranges: the face, the back of the head, small rest."""
    face = tiny_face()
    back = face._replace(vertices_mm=face.vertices_mm * (1, 1, -1) - (0, 0, 20), quads=face.quads[:, ::-1])
    pieces, table, vertices, faces = [], {}, 0, 0
    for number, (name, part) in enumerate(parts.items()):
        piece = {"face": face, "head_neck": back}.get(name, _scrap(number))
        table[name] = part._replace(
            vertices=(vertices, vertices + len(piece.vertices_mm)), faces=(faces, faces + len(piece.quads))
        )
        pieces.append((piece.vertices_mm, [[c + vertices for c in q] for q in piece.quads], piece.uvs + (part.tile, 0)))
        vertices, faces = table[name].vertices[1], table[name].faces[1]
    neutral = np.concatenate([piece[0] for piece in pieces]).round(3) / 10.0
    uvs = np.concatenate([piece[2] for piece in pieces])
    corners = [corners for piece in pieces for corners in piece[1]]
    shapes = neutral + (tiny_modes(10.0 * neutral, 5, seed=1) / 10.0).round(4)
    names = ("jawOpen", "eyeBlink_L", "browDown_R")
    files = {
        "generic_neutral_mesh": neutral,
        "identity000": shapes[0],
        "identity001": shapes[1],
        "cheekRaiser_L": neutral,
    }
    files |= dict(zip(names, shapes[2:], strict=True))
    folder.mkdir(parents=True)
    for name, positions in files.items():
        (folder / f"{name}.obj").write_text(_obj(positions, uvs, corners))
    lists = {"expressions": names, "idx_to_landmark_verts": face.ibug.tolist()}
    (folder / "vertex_indices.json").write_text(json.dumps(lists))
    return TinyIct(table, neutral, shapes[:2] - neutral, shapes[2:] - neutral, names, face.ibug)


def _scrap(number: int) -> TinyFace:
    """A quad and a triangle inside the head, a few millimetres across."""
    vertices = np.array([[0, 0, 0], [5, 0, 0], [5, 5, 0], [0, 5, 0], [9, 2, 0]]) + (number, 2.0 * number, -15.0)
    uvs = np.array([[0.1, 0.1], [0.6, 0.1], [0.6, 0.9], [0.1, 0.9], [0.9, 0.5]])
    return TinyFace(vertices, [[0, 1, 2, 3], [1, 4, 2]], uvs, np.zeros(0))


def _obj(positions, uvs, faces) -> str:
    """UVs stand in the opposite order of the vertices, so that the two indices are never mistaken for each other."""
    lines = ["# a comment", "mtllib material.mtl"]
    lines += [f"v {x:.6g} {y:.6g} {z:.6g}" for x, y, z in positions]
    lines += [f"vt {u:.6g} {v:.6g}" for u, v in uvs[::-1]]
    lines += ["usemtl M_Face"] + ["f " + " ".join(f"{c + 1}/{len(uvs) - c}" for c in corners) for corners in faces]
    return "\n".join(lines) + "\n"


def gnm_fields(*, groups: bool = True) -> dict[str, np.ndarray]:
    """Keys and shapes of `gnm_head.npz` (metres): a face as skin, two eyes with an inside, teeth."""
    face = tiny_face()
    rng = np.random.default_rng(3)
    eye = np.array([[-6, -6, 0], [6, -6, 0], [6, 6, 0], [-6, 6, 0]], float)
    centres = {"left_eye": (30, 37.5, 45), "left_inside": (30, 37.5, 43), "right_eye": (-30, 37.5, 45)}
    centres |= {"right_inside": (-30, 37.5, 43), "upper_teeth_and_gums": (0, -45, 40)}
    vertices, quads, uvs, owner = [face.vertices_mm], [face.quads], [face.uvs[face.quads]], ["skin"] * len(face.uvs)
    for name, centre in centres.items():
        quads.append(np.arange(4)[None] + len(owner))
        vertices.append(eye + centre)
        uvs.append(np.array([[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]]))
        owner += [name] * 4
    mean, quads, quad_uvs, owner = np.concatenate(vertices), np.concatenate(quads), np.concatenate(uvs), np.array(owner)
    identity, expression = tiny_modes(mean, 4, seed=4), tiny_modes(mean, 3, seed=5)
    is_teeth = owner == "upper_teeth_and_gums"
    identity[3, ~is_teeth] = expression[2, ~is_teeth] = 0.0
    weights = rng.uniform(0.1, 1.0, (4, len(mean)))
    fields = {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": mean / 1e3 + (0.0, 1.5, 0.0),
        "template_joint_positions": np.array([[0, -120, -60], [0, -60, -50], [30, 37, 30], [-30, 37, 30]]) / 1e3
        + (0.0, 1.5, 0.0),
        "vertex_identity_basis": identity / 1e3,
        "joint_identity_basis": rng.normal(0.0, 1e-3, (4, 4, 3)),
        "expression_basis": expression / 1e3,
        "identity_names": np.array(["head_0", "head_1", "left_eye_0", "teeth_0"]),
        "expression_names": np.array(["left_eye_0", "lower_face_0", "tongue_0"]),
        "joint_names": np.array(["root", "neck", "left_eye", "right_eye"]),
        "joint_parent_indices": np.array([0, 0, 1, 1]),
        "skinning_weights": weights / weights.sum(axis=0),
        "quads": quads,
        "triangles": quads_to_triangles(quads),
        "quad_uvs": quad_uvs,
        "triangle_uvs": np.concatenate([quad_uvs[:, [0, 1, 2]], quad_uvs[:, [2, 3, 0]]]),
        "pose_correctives_regressor": rng.normal(0.0, 1e-3, (36, 3 * len(mean))),
    }
    if groups:
        members = {name: owner == name for name in ("skin", "upper_teeth_and_gums")}
        members |= {f"{side}_eye": np.char.startswith(owner, side) for side in ("left", "right")}
        members |= {"eye_interiors": np.char.endswith(owner, "inside"), "eye_exteriors": np.char.endswith(owner, "eye")}
        fields |= {
            "vertex_group_names": np.array(list(members)),
            "vertex_groups": np.array(list(members.values()), float),
        }
    return fields


def deep3d_fields() -> dict[str, np.ndarray]:
    """Keys and shapes of `BFM_model_front.mat` (decimetres, indices from 1)."""
    face = tiny_face()
    rng = np.random.default_rng(6)
    modes = tiny_modes(face.vertices_mm, 7, seed=7) / 100.0
    vertices = len(face.vertices_mm)
    triangles = quads_to_triangles(face.quads)
    return {
        "meanshape": ((face.vertices_mm + (3.0, -2.0, 5.0)) / 100.0).reshape(1, -1),
        "meantex": rng.uniform(0.0, 255.0, (1, 3 * vertices)),
        "idBase": modes[:4].reshape(4, -1).T,
        "exBase": modes[4:].reshape(3, -1).T,
        "texBase": rng.normal(size=(3 * vertices, 2)),
        "tri": triangles + 1.0,
        "keypoints": face.ibug[None] + 1.0,
    }


def write_deep3d_parts(folder: pathlib.Path) -> None:
    """The files that Deep3DFaceReconstruction builds its model from: `deep3d_fields`, scattered among other vertices.

    Micrometres; of 3 identity and 4 expression components the standard deviations stand apart.
    """
    rng = np.random.default_rng(8)
    fields = deep3d_fields()
    count = fields["meanshape"].size // 3
    whole, trimmed = count + 30, count + 11
    trim = rng.permutation(whole)[:trimmed]
    front = rng.permutation(trimmed)[:count]

    def scatter(columns, rows, size):
        spread = rng.normal(size=(size, 3, columns.shape[1]))
        spread[rows] = columns.reshape(count, 3, -1)
        return spread.reshape(3 * size, -1)

    id_std, exp_std = np.array([4e3, 3e3, 2e3, 1e3]), np.array([9e3, 5e3, 2e3])
    bfm = {
        "shapeMU": scatter(1e5 * fields["meanshape"].reshape(-1, 1), trim[front], whole),
        "shapePC": scatter(1e5 * fields["idBase"] / id_std, trim[front], whole),
        "shapeEV": id_std[:, None],
        "texMU": scatter(fields["meantex"].reshape(-1, 1), trim[front], whole),
    }
    expressions = scatter(1e5 * fields["exBase"] / exp_std, front, trimmed)
    mean = rng.normal(size=(1, 3 * trimmed))
    folder.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / "01_MorphableModel.mat", {k: v.astype(np.float32) for k, v in bfm.items()})
    scipy.io.savemat(folder / "BFM_exp_idx.mat", {"trimIndex": (trim[:, None] + 1).astype(np.uint16)})
    scipy.io.savemat(folder / "BFM_front_idx.mat", {"idx": (front[:, None] + 1).astype(np.float32)})
    scipy.io.savemat(folder / "facemodel_info.mat", {key: fields[key] for key in ("tri", "keypoints")})
    values = np.concatenate([mean, expressions.T]).astype("<f4").tobytes()
    (folder / "Exp_Pca.bin").write_bytes(np.array([3], "<i4").tobytes() + values)
    (folder / "std_exp.txt").write_text(" ".join(str(std) for std in exp_std))
