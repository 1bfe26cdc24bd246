"""Nearest neighbours in a stream of images, in memory independent of the stream's length."""
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dataset import Dataset
from metrics.evaluator import as_bytes

# Function from uint8 [N, C, R, R] to one vector per image, [N, ...].
Describe = Callable[[np.ndarray], np.ndarray]


class Neighbours:
    """The nearest vectors of a stream, for each query.

    Distances are Euclidean, in float64; those of whole numbers below 2^26 are exact.

    Args:
        queries: [Q, D].
        count: neighbours per query, K.
        mirrored: [Q, D], vectors of the queries' mirrored images. The distance is then the smaller
            one of query and mirrored query. None = do not mirror.
        own: int [Q], number of the stream's vector that is the query itself, and is excluded; -1 =
            none. None = exclude nothing.
        rounding: squared distances below this fraction of the sum of the vectors' squared lengths
            count as zero.

    Attributes:
        distances: float64 [Q, K], ascending; infinite where the stream was too short.
        numbers: int64 [Q, K], numbers of the stream's vectors; -1 where it was too short.
        is_mirrored: bool [Q, K], whether the mirrored query was nearer.
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
            numbers: int [B], unique within a stream. Of equal distances, the first one is kept.
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
    """Vectors of the queries, or of the mirrored queries."""

    def __init__(self, queries):
        self.queries = np.asarray(queries, np.float64).reshape(len(queries), -1)
        self.lengths = np.einsum('qd,qd->q', self.queries, self.queries)

    def squared_distances(self, vectors, lengths, rounding):
        scale = self.lengths[:, np.newaxis] + lengths
        squared = scale - 2 * (self.queries @ vectors.T)
        return np.where(squared <= rounding * scale, 0.0, squared)


def shrunk_pixels(images: np.ndarray, most: int) -> np.ndarray:
    """Shrink images [N, C, R, R] to at most `most` pixels: sums over square boxes, float32.

    Sums of uint8 are whole numbers, so distances between equal images are exactly zero.
    """
    factor = max(images.shape[-1] // most, 1)
    count, channels, height, width = images.shape
    rows = images.reshape(count, channels, height // factor, factor, width)
    rows = rows.sum(axis=3, dtype=np.float32)  # faster than both axes at once
    return rows.reshape(count, channels, height // factor, width // factor, factor).sum(axis=4)


# --------------------------------------------------------------------------------------------------
# The training images.


class Reals:
    """Training images as uint8, identified by number.

    Args:
        training_set: the data set; its position is restored after each use.
        max_reals: maximum number of images, chosen at random; None = all.
        in_order: read the images in file order. Otherwise in random order, so that the first images
            are a random sample.

    Attributes:
        count: number of images.
        numbers: int64 [count], image numbers in the order of reading.
    """

    def __init__(self, training_set: Dataset, max_reals: int | None = None, in_order: bool = True):
        self._training_set = training_set
        self._has_numbers = hasattr(training_set, 'read_images')
        total = training_set.num_images
        assert total is not None or max_reals is not None, 'an endless data set needs max_reals'
        self.count = min(n for n in (total, max_reals) if n is not None)
        self.numbers = np.arange(self.count)
        if self._has_numbers and total is not None:
            chosen = np.random.RandomState(0).permutation(total)[:self.count]
            self.numbers = np.sort(chosen) if in_order else chosen

    def minibatches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Iterate once over all images: (numbers int64 [n], images uint8 [n, C, R, R]), n <= size.
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
        """Minibatches of `count` images, evenly spaced; of a stream, the first ones."""
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
    """Flip images [..., W] horizontally."""
    return images[..., ::-1]
