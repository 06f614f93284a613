"""A face regressor of one channel that says the same of every picture, and where the store looks for networks."""

import numpy as np

from jaxface.models import catalogue, store

_BLOCKS = ("2_1", "2_2", "3_1", "3_2", "4_1", "4_2", *(f"5_{place}" for place in range(1, 7)), "6")
MEAN = np.linspace(-1.0, 1.0, 62).astype(np.float32)
STD = np.linspace(0.5, 2.0, 62).astype(np.float32)


def mobilenet_params(parameters: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """A network whose output, times STD plus MEAN, is `parameters` (62)."""
    shapes = {"conv1": (3, 3, 3, 1)} | {f"dw{block}_dw": (3, 3, 1, 1) for block in _BLOCKS}
    shapes |= {f"dw{block}_sep": (1, 1, 1, 1) for block in _BLOCKS}
    params = {name: {"w": np.zeros(shape, np.float32), "b": np.zeros(1, np.float32)} for name, shape in shapes.items()}
    bias = ((parameters - MEAN) / STD).astype(np.float32)
    return params | {"fc": {"w": np.zeros((1, 62), np.float32), "b": bias}}


def frontal_face(*, px_per_um: float = 5e-4) -> np.ndarray:
    """A face that looks into the camera, its origin in the middle of the crop, with coefficients 0, 1, 2 ..."""
    pose = np.concatenate([px_per_um * np.eye(3), np.array([[60.5], [60.5], [0.0]])], axis=1)
    return np.concatenate([pose.ravel(), np.arange(50.0)]).astype(np.float32)


def install_3ddfa(**changes) -> None:
    """`changes` replace `mean`, `std` or `params`."""
    given = {"mean": MEAN, "std": STD, "params": mobilenet_params(frontal_face())} | changes
    extras = {key: given[key] for key in ("mean", "std") if given[key] is not None}
    store.save_network(given["params"], path("3ddfa"), extras=extras)


def path(name):
    return catalogue.installed_path(catalogue.find(name))
