"""metrics/neighbours.py: the stream gives the same neighbours as brute force."""
import numpy as np
import pytest

import dataset
from metrics.neighbours import Neighbours, Reals, mirrored, shrunk_pixels
from tests.support.small_dataset import NUM, SHAPE, make_images

RND = np.random.RandomState(1)


def brute_force(queries, vectors, count, own=None):
    """Distances by definition, one pair at a time."""
    distances = np.array([[np.sqrt(np.sum((q - v) ** 2)) for v in vectors] for q in queries])
    if own is not None:
        for row, number in enumerate(own):
            if number >= 0:
                distances[row, number] = np.inf
    order = np.argsort(distances, axis=1, kind='stable')[:, :count]
    return np.take_along_axis(distances, order, axis=1), order


def stream(neighbours, vectors, sizes):
    start = 0
    for size in sizes:
        neighbours.feed(np.arange(start, min(start + size, len(vectors))),
                        vectors[start:start + size])
        start += size
    assert start >= len(vectors)


@pytest.mark.parametrize('sizes', [[40], [1] * 40, [7] * 6, [39, 1]])
@pytest.mark.parametrize('count', [1, 5])
def test_streaming_equals_brute_force(sizes, count):
    """Whole numbers, with many equal distances, so that their order is tested too."""
    vectors = RND.randint(0, 4, [40, 6]).astype(np.float64)
    queries, own = np.concatenate([RND.randint(0, 4, [5, 6]), vectors[[3, 20]]]), [-1] * 5 + [3, 20]
    neighbours = Neighbours(queries, count, own=np.array(own))
    stream(neighbours, vectors, sizes)
    distances, numbers = brute_force(queries, vectors, count, own)
    assert (neighbours.distances == distances).all() and (neighbours.numbers == numbers).all()
    assert not neighbours.is_mirrored.any()


def test_real_numbers_too():
    vectors, queries = RND.randn(30, 50), RND.randn(4, 50)
    neighbours = Neighbours(queries, 3)
    stream(neighbours, vectors, [8] * 4)
    distances, numbers = brute_force(queries, vectors, 3)
    np.testing.assert_allclose(neighbours.distances, distances, rtol=1e-12)
    assert (neighbours.numbers == numbers).all()


def test_the_nearer_of_a_query_and_its_mirror_image_counts():
    images = RND.randint(0, 256, [20, 3, 4, 4], dtype=np.uint8)
    fakes = np.stack([images[2], mirrored(images[5]), RND.randint(0, 256, [3, 4, 4])])
    neighbours = Neighbours(fakes, 2, mirrored=mirrored(fakes))
    stream(neighbours, images, [6] * 4)
    assert neighbours.numbers[:2, 0].tolist() == [2, 5]
    assert neighbours.distances[:2, 0].tolist() == [0, 0]
    assert neighbours.is_mirrored[:2, 0].tolist() == [False, True]
    flat = images.reshape(20, -1).astype(float)
    plain, _ = brute_force(fakes.reshape(3, -1).astype(float), flat, 20)
    flipped, _ = brute_force(mirrored(fakes).reshape(3, -1).astype(float), flat, 20)
    assert (neighbours.distances[:, 0] == np.minimum(plain[:, 0], flipped[:, 0])).all()


def test_a_stream_that_is_too_short():
    neighbours = Neighbours(np.zeros([1, 2]), 3, own=np.array([0]))
    neighbours.feed(np.arange(2), np.ones([2, 2]))
    assert neighbours.numbers.tolist() == [[1, -1, -1]]
    assert np.isinf(neighbours.distances[0, 1:]).all()


def test_rounding_counts_as_zero():
    vector = RND.randn(1, 100)
    for rounding, expected in ((0.0, False), (1e-10, True)):
        neighbours = Neighbours(vector * (1 + 1e-6), 1, rounding=rounding)
        neighbours.feed(np.array([0]), vector)
        assert (neighbours.distances[0, 0] == 0) == expected
        neighbours = Neighbours(vector * (1 + 1e-4), 1, rounding=rounding)
        neighbours.feed(np.array([0]), vector)
        assert neighbours.distances[0, 0] > 0


@pytest.mark.parametrize('channels', [1, 3])
def test_shrunk_pixels_are_sums_of_boxes(channels):
    images = RND.randint(0, 256, [2, channels, 8, 8], dtype=np.uint8)
    small = shrunk_pixels(images, 4)
    assert small.shape == (2, channels, 4, 4)
    assert small[1, 0, 2, 3] == images[1, 0, 4:6, 6:8].sum(dtype=int)
    assert (shrunk_pixels(images, 16) == images).all()
    assert (shrunk_pixels(np.full([1, 1, 1024, 1024], 255, np.uint8), 4) == 255 * 256**2).all()


# ---------------------------------------------------------------- the training images

class Stream(dataset.Dataset):
    """A user-defined data set that can only be read in sequence."""

    def __init__(self):
        super().__init__(SHAPE[1], SHAPE[0], 'float32', [-1, 1], 0, 'float32')
        self.num_images = NUM

    def _read(self, position, count, lod):
        numbers = np.arange(position, position + count) % NUM
        return make_images()[numbers] / np.float32(127.5) - 1, np.zeros([count, 0], np.float32)


@pytest.mark.parametrize('in_order', [True, False])
@pytest.mark.parametrize('size', [1, 5, 100])
def test_each_real_comes_once(small, size, in_order):
    for training_set in (dataset.TFRecordDataset(str(small)), Stream()):
        training_set.position = 17
        reals = Reals(training_set, in_order=in_order)
        parts = list(reals.minibatches(size))
        numbers = np.concatenate([numbers for numbers, _ in parts])
        images = np.concatenate([images for _, images in parts])
        assert sorted(numbers) == list(range(NUM)) and training_set.position == 17
        assert images.dtype == np.uint8 and (images == make_images()[numbers]).all()
        assert max(len(part) for part, _ in parts) == min(size, NUM)


@pytest.mark.parametrize('max_reals, count', [(5, 5), (23, 23), (1000, 23)])
def test_at_most_so_many(small, max_reals, count):
    for training_set in (dataset.TFRecordDataset(str(small)), Stream()):
        reals = Reals(training_set, max_reals)
        assert reals.count == count == sum(len(numbers) for numbers, _ in reals.minibatches(4))


@pytest.mark.parametrize('count', [1, 7, 23, 50])
def test_a_sample_is_of_different_images(small, count):
    for training_set in (dataset.TFRecordDataset(str(small)), Stream()):
        parts = list(Reals(training_set).sample(count, 4))
        numbers = np.concatenate([numbers for numbers, _ in parts])
        assert len(set(numbers.tolist())) == len(numbers) == min(count, NUM)
        assert (np.concatenate([images for _, images in parts]) == make_images()[numbers]).all()
