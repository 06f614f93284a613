"""Neighbour lists, edges, rims and components against counting by hand."""

import numpy as np
from dome import dome_model
from oracles import slow_neighbours

from jaxface.geometry.topology import components, mesh_topology, unique_edges

FAN = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]])  # a closed fan around vertex 0


def test_neighbours_match_sets():
    triangles = np.asarray(dome_model(rows=7, columns=5).triangles)
    topology = mesh_topology(triangles, num_vertices=35)
    for i, near in enumerate(slow_neighbours(triangles, 35)):
        row, count = topology.neighbours[i], int(topology.valence[i])
        assert set(row[:count].tolist()) == near and len(near) == count
        assert np.all(row[count:] == i)


def test_unused_vertex_has_no_neighbours():
    topology = mesh_topology(FAN, num_vertices=6)
    assert topology.valence.tolist() == [3, 3, 3, 3, 0, 0]


def test_edges_once():
    assert unique_edges(FAN).tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]


def test_components_are_told_apart():
    labels = components(np.concatenate([FAN, FAN + 4]), num_vertices=9)
    assert len(set(labels.tolist())) == 3  # two fans and a lonely vertex
    assert len(set(labels[:4].tolist())) == 1 and labels[0] != labels[4]
