"""Labelled grids of pictures."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PANEL_INCHES = 2.0  # side of a picture


def grid(rows: dict[str, dict[str, np.ndarray]], *, captions: dict[str, dict[str, str]] | None = None) -> Figure:
    """Pictures (floats in [0, 1] or uint8, grey or RGB) by row and column title; `captions` go under them.

    Columns stand in the order in which the rows first name them; a row may lack some.
    """
    titles = list(dict.fromkeys(title for row in rows.values() for title in row))
    between = 0.3 if captions else 0.1
    size = (PANEL_INCHES * len(titles) + 0.3, (PANEL_INCHES + between) * len(rows) + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for panel, title in zip(line, titles, strict=True):
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            if title in pictures:
                show(panel, pictures[title])
            else:
                panel.set_box_aspect(1)
            panel.set_xlabel((captions or {}).get(name, {}).get(title, ""), fontsize=8)
        line[0].set_ylabel(name, fontsize=10)
    for panel, title in zip(axes[0], titles, strict=True):
        panel.set_title(title, fontsize=10)
    return figure


def show(panel: Axes, picture: np.ndarray) -> None:
    """One picture, black at 0 and white at 1 or 255."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        picture = np.clip(picture, 0.0, 1.0)
    panel.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
