"""The detailed mesh that a tracked clip leaves of each frame, where it is asked for."""

import types

import fake_face
import numpy as np
import pytest
import trimesh

from jaxface.stages.detail import Displaced
from jaxface.tracking.second_pass import write_mesh


@pytest.mark.parametrize("kind", ["ply", "obj"])
def test_a_frames_mesh_is_one_file_in_millimetres(tmp_path, kind):
    dome = fake_face.dome_mesh()
    normals, flat = fake_face.dome_normals(dome), np.zeros(len(dome.vertices_mm), np.float32)
    shape = Displaced(dome.vertices_mm, normals, dome.vertices_mm, flat, normals)
    subdivision = types.SimpleNamespace(triangles=dome.triangles)
    topology = {"uvs": dome.uvs, "uv_triangles": dome.uv_triangles, "parts": np.zeros(len(dome.triangles), np.int32)}
    template = types.SimpleNamespace(subdivision=subdivision, **topology)
    write_mesh(tmp_path / "000007", shape, template, kind=kind)
    assert [path.name for path in tmp_path.iterdir()] == [f"000007.{kind}"]
    found = trimesh.load(tmp_path / f"000007.{kind}", process=False)
    corners = np.asarray(found.vertices)[np.asarray(found.faces)]
    np.testing.assert_allclose(corners, dome.vertices_mm[dome.triangles], atol=1e-4)
