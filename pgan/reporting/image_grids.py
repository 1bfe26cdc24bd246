"""Geometry of a run's image grids: their sizes, and the part that a page shows."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# width and height in pixels, minimum number of columns and rows
GRID_SIZES = {'1080p': (1920, 1080, 3, 2), '4k': (3840, 2160, 7, 4)}

SMALLEST_CELL = 64  # Smaller images are scaled up to this many screen pixels.
PAGE_WIDTH, PAGE_HEIGHT = 960, 640  # screen pixels for a grid; larger ones scroll
MOST_HEIGHT = 1024  # the same for grids with a row per class


def snapshot_grid_size(image_width: int, image_height: int, size: str) -> tuple[int, int]:
    """Number of columns and rows that fill a picture of size '1080p' or '4k'; at most 32 each."""
    width, height, min_across, min_down = GRID_SIZES[size]
    across = np.clip(width // image_width, min_across, 32)
    down = np.clip(height // image_height, min_down, 32)
    return int(across), int(down)


class GridView(NamedTuple):
    """Top left part of an image grid, shown large enough to judge each image.

    Attributes:
        side: width and height of an image in pixels.
        columns, rows: size of the part in images.
        scale: screen pixels per image pixel, an integer; 0 = fit the available width.
    """
    side: int
    columns: int
    rows: int
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the part in pixels."""
        return self.columns * self.side, self.rows * self.side


def image_side(size: Sequence[int], num_rows: int = 0) -> int | None:
    """Width of one image of a grid in pixels; None if it is not the size of a run's grid.

    A 1080p grid has the same size for 64x64 and 128x128 images. The larger one is returned, as a
    cell of that size then shows four whole images of 64x64.

    Args:
        size: width and height of the grid in pixels.
        num_rows: number of rows; 0 = unknown.
    """
    width, height = size
    if num_rows and height % num_rows == 0 and width % (height // num_rows) == 0:
        return height // num_rows
    for side in (2 ** k for k in range(12, 1, -1)):
        for name in GRID_SIZES:
            across, down = snapshot_grid_size(side, side, name)
            if (across * side, down * side) == (width, height):
                return side
    return None


def page_view(size: Sequence[int], num_rows: int = 0, num_classes: int = 0) -> GridView | None:
    """The part of a grid that a page shows; None if it is not the size of a run's grid.

    Args:
        size: width and height of the grid in pixels.
        num_rows: number of rows; 0 = unknown.
        num_classes: number of different classes in the rows, all shown if there is room; 0 = the
            rows are not classes.
    """
    side = image_side(size, num_rows)
    if side is None:
        return None
    scale = max(1, SMALLEST_CELL // side)
    columns = max(3, PAGE_WIDTH // (side * scale))
    rows = max(2, PAGE_HEIGHT // (side * scale))
    if num_classes:
        rows = min(num_classes, max(2, MOST_HEIGHT // (side * scale)))
    return GridView(side, min(columns, size[0] // side), min(rows, size[1] // side),
                    scale if side < 256 else 0)
