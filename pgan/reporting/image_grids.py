"""The geometry of a run's image grids: their sizes, and the part of them that a page shows."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# pixels across and down; at least so many images
GRID_SIZES = {'1080p': (1920, 1080, 3, 2), '4k': (3840, 2160, 7, 4)}

SMALLEST_CELL = 64  # pixels of the screen that a small image is scaled up to
PAGE_WIDTH, PAGE_HEIGHT = 960, 640  # pixels of the screen for a grid; wider and higher ones scroll
MOST_HEIGHT = 1024  # with a row for each class


def snapshot_grid_size(image_width: int, image_height: int, size: str) -> tuple[int, int]:
    """Images across and down that fill a picture of the size: at most 32 each way."""
    width, height, min_across, min_down = GRID_SIZES[size]
    across = np.clip(width // image_width, min_across, 32)
    down = np.clip(height // image_height, min_down, 32)
    return int(across), int(down)


class GridView(NamedTuple):
    """The top left part of an image grid, in which each image is large enough to be judged.

    Attributes:
        side: pixels of an image.
        columns, rows: images of the part.
        scale: pixels of the screen for each pixel, an integer; 0 = as wide as there is room.
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
    """Pixels of an image's side in a grid; None if the grid is not one of a run.

    A 1080p grid has the same size for images of 64 and of 128. Then the larger is returned: four
    images of 64 fill its place.

    Args:
        size: width and height of the grid in pixels.
        num_rows: images down, where that is known; 0 = unknown.
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
    """The part of a grid that a page shows; None if the grid is not one of a run.

    Args:
        size: width and height of the grid in pixels.
        num_rows: images down, where that is known; 0 = unknown.
        num_classes: rows of different classes, all of which are shown if there is room; 0 = rows
            that are no classes.
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
