"""Where images come from: one module per source, each with a function that returns a `Source`; `exporter` writes any of them to disk."""
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np


@dataclasses.dataclass
class Source:
    """Images that can be fetched in any order, one at a time, and their labels.

    Attributes:
        num_images: how many there are.
        fetch: takes an iterable of image numbers, yields the images, uint8 or float in 0..255, [C, R, R]. Raises DataError for a bad one.
        labels: float32 [num_images, components], or None.
    """
    num_images: int
    fetch: Callable[..., Iterator[np.ndarray]]
    labels: np.ndarray | None = None

    @classmethod
    def from_arrays(cls, images, labels=None):
        """A source of images that are in memory: uint8 [num_images, C, R, R]."""
        return cls(len(images), lambda order: (images[index] for index in order), labels)


def onehot(labels, num_classes):
    """Class numbers as float32 [n, num_classes], 1 in the column of the class."""
    return np.eye(num_classes, dtype=np.float32)[labels]


def pad_to_32(images):
    """Handwritten digits [n, 28, 28] with a border of 2 pixels of 0 and a channel axis: [n, 1, 32, 32]."""
    return np.pad(images, [(0, 0), (2, 2), (2, 2)])[:, np.newaxis]
