"""Landmarks of our own meshes: found by the face model that result.json names, and only then."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxface.geometry.subdivision import loop_subdivision, subdivide
from jaxface.models.result_landmarks import result_landmarks
from jaxface.morphable.default import load_default
from jaxface.types import IBUG_68


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"model": {"name": "default", "licence": "any"}}))
    (tmp_path / "meshes").mkdir()
    return tmp_path


def moved_face() -> tuple[np.ndarray, np.ndarray]:
    model = load_default()
    return 1.5 * np.asarray(model.mean_mm, np.float64) + [[5.0, 6.0, 7.0]], np.asarray(model.triangles)


def landmarks_of(vertices_mm: np.ndarray) -> np.ndarray:
    model = load_default()
    corners = vertices_mm[np.asarray(model.triangles)[np.asarray(model.landmark_triangles)]]
    return np.sum(np.asarray(model.landmark_barycentrics)[..., None] * corners, axis=1)[list(IBUG_68)]


@pytest.mark.parametrize("place", ["medium.ply", "meshes/00001.ply"])
def test_the_models_own_mesh(folder, place):
    vertices_mm, triangles = moved_face()
    found_mm, name = result_landmarks(folder / place, vertices_mm, triangles)
    assert name == "default"
    np.testing.assert_allclose(found_mm, landmarks_of(vertices_mm), atol=1e-4)


@pytest.mark.parametrize("levels", [1, 2])
def test_the_subdivided_mesh(folder, levels):
    vertices_mm, triangles = moved_face()
    finer = loop_subdivision(triangles, num_vertices=len(vertices_mm), levels=levels)
    fine_mm = np.asarray(subdivide(jnp.asarray(vertices_mm, jnp.float32), subdivision=finer), np.float64)
    found_mm, _ = result_landmarks(folder / "fine.ply", fine_mm, np.asarray(finer.triangles))
    np.testing.assert_allclose(found_mm, landmarks_of(fine_mm), atol=1e-4)
    assert result_landmarks(folder / "fine.ply", fine_mm, np.roll(finer.triangles, 1, axis=1)) is None


def test_other_meshes_are_not_the_models(folder):
    vertices_mm, triangles = moved_face()
    assert result_landmarks(folder / "a.ply", vertices_mm[:-1], triangles[:-9]) is None
    assert result_landmarks(folder / "a.ply", vertices_mm, triangles[::-1]) is None
    assert result_landmarks(folder / "a.ply", vertices_mm, triangles[:0]) is None
    assert result_landmarks(folder / "meshes" / "deeper" / "a.ply", vertices_mm, triangles) is None


@pytest.mark.parametrize(
    "report", ["", "{}", "[]", "[" * 50_000, '{"model": "x"}', '{"model": {"name": 3}}', '{"model": {"name": "flame"}}']
)
def test_other_reports_say_nothing(tmp_path, report):
    (tmp_path / "result.json").write_text(report)
    assert result_landmarks(tmp_path / "a.ply", *moved_face()) is None
