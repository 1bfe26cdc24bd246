"""Nearest neighbours in a stream of images: memory does not grow with the stream."""
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dataset import Dataset
from metrics.evaluator import as_bytes

# uint8 [N, C, R, R] to one vector an image, [N, ...]
Describe = Callable[[np.ndarray], np.ndarray]


class Neighbours:
    """The nearest vectors of a stream, for each query.

    Distances are Euclidean and in float64: those of whole numbers below 2^26 are exact.

    Args:
        queries: [Q, D].
        count: neighbours of each query, K.
        mirrored: [Q, D], the queries' vectors when their images are mirrored: a vector of the
            stream is as near as the nearer of the two finds it. None = without.
        own: int [Q], number of the stream's vector that a query is itself, and that is not its
            neighbour; -1 = none. None = none at all.
        rounding: squared distances below this part of the vectors' squared lengths count as zero.

    Attributes:
        distances: float64 [Q, K], ascending; infinite where the stream was too short.
        numbers: int64 [Q, K], which vectors of the stream; -1 where it was too short.
        is_mirrored: bool [Q, K], whether the mirrored query was the nearer one.
    """

    def __init__(self, queries: np.ndarray, count: int, mirrored: np.ndarray | None = None,
                 own: np.ndarray | None = None, rounding: float = 0.0):
        self._queries = [_Side(queries)] + ([] if mirrored is None else [_Side(mirrored)])
        self._own = np.full(len(queries), -1) if own is None else np.asarray(own)
        self._rounding = rounding
        self.distances = np.full([len(queries), count], np.inf)
        self.numbers = np.full([len(queries), count], -1)
        self.is_mirrored = np.zeros([len(queries), count], bool)

    def feed(self, numbers: np.ndarray, vectors: np.ndarray) -> None:
        """Compare the next vectors of the stream.

        Args:
            numbers: int [B], each at most once in a stream. Of equal distances, the first counts.
            vectors: [B, D].
        """
        vectors = np.asarray(vectors, np.float64).reshape(len(vectors), -1)
        lengths = np.einsum('bd,bd->b', vectors, vectors)
        sides = [side.squared_distances(vectors, lengths, self._rounding)
                 for side in self._queries]
        squared = np.min(sides, axis=0)
        is_mirrored = sides[-1] < sides[0]
        squared[self._own[:, np.newaxis] == numbers] = np.inf
        self._merge(np.sqrt(squared), np.broadcast_to(numbers, squared.shape), is_mirrored)

    def _merge(self, distances, numbers, is_mirrored):
        count = self.distances.shape[1]
        together = np.concatenate([self.distances, distances], axis=1)
        order = np.argsort(together, axis=1, kind='stable')[:, :count]
        self.distances = np.take_along_axis(together, order, axis=1)
        for name, new in (('numbers', numbers), ('is_mirrored', is_mirrored)):
            both = np.concatenate([getattr(self, name), new], axis=1)
            setattr(self, name, np.take_along_axis(both, order, axis=1))
        self.numbers[np.isinf(self.distances)] = -1


class _Side:
    """Queries as they are, or mirrored."""

    def __init__(self, queries):
        self.queries = np.asarray(queries, np.float64).reshape(len(queries), -1)
        self.lengths = np.einsum('qd,qd->q', self.queries, self.queries)

    def squared_distances(self, vectors, lengths, rounding):
        scale = self.lengths[:, np.newaxis] + lengths
        squared = scale - 2 * (self.queries @ vectors.T)
        return np.where(squared <= rounding * scale, 0.0, squared)


def shrunk_pixels(images: np.ndarray, most: int) -> np.ndarray:
    """Images [N, C, R, R] at most `most` pixels wide: sums of square boxes, float32.

    Sums of uint8 are whole numbers, so distances between equal images are exactly zero.
    """
    factor = max(images.shape[-1] // most, 1)
    count, channels, height, width = images.shape
    rows = images.reshape(count, channels, height // factor, factor, width)
    rows = rows.sum(axis=3, dtype=np.float32)  # one axis at a time is faster
    return rows.reshape(count, channels, height // factor, width // factor, factor).sum(axis=4)


# --------------------------------------------------------------------------------------------------
# The training images.


class Reals:
    """Training images as uint8, to be looked at by number.

    Args:
        training_set: the data set; its position is as it was after each use.
        max_reals: at most so many of its images, chosen at random; None = all.
        in_order: read them in the order of the files. Otherwise in random order, so that the first
            ones are a fair choice.

    Attributes:
        count: how many there are to look at.
        numbers: int64 [count], in the order in which they are read.
    """

    def __init__(self, training_set: Dataset, max_reals: int | None = None, in_order: bool = True):
        self._training_set = training_set
        self._has_numbers = hasattr(training_set, 'read_images')
        total = training_set.num_images
        assert total is not None or max_reals is not None, 'a set without an end needs a limit'
        self.count = min(n for n in (total, max_reals) if n is not None)
        self.numbers = np.arange(self.count)
        if self._has_numbers and total is not None:
            chosen = np.random.RandomState(0).permutation(total)[:self.count]
            self.numbers = np.sort(chosen) if in_order else chosen

    def minibatches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(numbers int64 [n], images uint8 [n, C, R, R]) of all images once; n is at most `size`.
        """
        state = self._training_set.state()
        try:
            if not self._has_numbers:
                self._training_set.position = 0
            for start in range(0, self.count, size):
                numbers = self.numbers[start:start + size]
                yield numbers, self._read(numbers)
        finally:
            self._training_set.restore(state)

    def sample(self, count: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Minibatches of some images, spread over all; the first ones of a stream."""
        if not self._has_numbers:
            yield from _cut(self.minibatches(min(size, count)), count)
            return
        step = max(self.count // max(count, 1), 1)
        chosen = self.numbers[::step][:count]
        for start in range(0, len(chosen), size):
            numbers = chosen[start:start + size]
            yield numbers, self._read(numbers)

    def _read(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        if self._has_numbers:
            images = self._training_set.read_images(numbers)  # type: ignore[attr-defined]
        else:
            images, _ = self._training_set.get_minibatch_np(len(numbers))
        return as_bytes(images, self._training_set.dynamic_range)


def _cut(minibatches, count):
    for numbers, images in minibatches:
        if count <= 0:
            return
        yield numbers[:count], images[:count]
        count -= len(numbers)


def mirrored(images: np.ndarray) -> np.ndarray:
    """Images [..., W] flipped left to right."""
    return images[..., ::-1]
