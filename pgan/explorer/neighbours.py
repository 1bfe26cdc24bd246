"""Nearest training images of an image, computed as in the script `nearest`."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from metrics.evaluator import default_minibatch_size
from metrics.neighbours import Reals
from pgan.explorer.run import Run
from pgan.explorer.tasks import Task
from pgan.reporting.nearest import (
    Found,
    check_shapes,
    find_nearest,
    usable_spaces,
    verdict_of_one,
)

COUNT = 6  # neighbours
MOST_REALS = 100_000
SECONDS = 60.0


class _CountedReals(Reals):
    """Training images that report progress to a task, which may be cancelled."""

    def __init__(self, task, *args):
        super().__init__(*args)
        self._task = task

    def minibatches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        seen = 0
        for numbers, images in super().minibatches(size):
            self._task.report(seen, self.count)
            yield numbers, images
            seen += len(numbers)


def nearest_of(task: Task, run: Run, image: np.ndarray) -> list[Found]:
    """Find the training images nearest to an image, by pixels and by features of D.

    Args:
        task: receives progress and, as a note, the neighbours.
        run: supplies the data set and D.
        image: uint8 [C, R, R].
    """
    data, mirror = run.data_set()
    try:
        check_shapes(run.Gs, data.shape)
        size = default_minibatch_size(data.shape[1])
        reals = _CountedReals(task, data, MOST_REALS)
        spaces = usable_spaces(run.Gs, run.discriminator(), image[np.newaxis], size)
        found, seen = find_nearest(image[np.newaxis], reals, spaces, count=COUNT,
                                   minibatch_size=size, mirror=mirror, seconds=SECONDS,
                                   silent=True)
    finally:
        data.close()
    task.report(seen, seen, spaces=[_described(each) for each in found], of=data.num_images)
    return found


def _described(found: Found) -> dict[str, Any]:
    """JSON-compatible description of a space and its neighbours, for the page."""
    return dict(name=found.space, words=found.words, verdict=verdict_of_one(found), neighbours=[
        dict(image=int(number), mirrored=bool(flag), distance=float(distance))
        for number, flag, distance in zip(found.numbers[0], found.is_mirrored[0],
                                          found.ratios[0]) if number >= 0])


def neighbour_image(found: list[Found], space: int, place: int) -> np.ndarray | None:
    """The `place`-th neighbour in a space, uint8 [C, R, R], mirrored if it was compared mirrored;
    None if it does not exist.
    """
    if space >= len(found) or place >= found[space].numbers.shape[1]:
        return None
    each = found[space]
    image = each.images.get(int(each.numbers[0, place]))
    if image is None:
        return None
    return image[:, :, ::-1] if each.is_mirrored[0, place] else image
