"""training/minibatches.py: minibatches are read while the step before them computes, and none is lost or seen twice."""
import threading
import time

import numpy as np
import pytest
from test_train import make_toy

from dataset import SyntheticDataset, TFRecordDataset
from tfutil.devices import make_devices
from training.minibatches import Minibatches


class Counting(SyntheticDataset):
    """Every value of an image is its number; `read` notes where reading has been, and by which thread."""

    def __init__(self, *args, **kwargs):
        super().__init__(16, 1, dtype='int32', **kwargs)
        self.read, self.has_read = [], threading.Condition()

    def _read(self, position, count, lod):
        images = np.broadcast_to(np.arange(position, position + count)[:, None, None, None], [count, *self._shape_at(lod)])
        with self.has_read:
            self.read.append((position, threading.current_thread().name))
            self.has_read.notify_all()
        return images.astype(np.int32), self._generate_labels(count)

    def wait_until_read(self, position):
        with self.has_read:
            return self.has_read.wait_for(lambda: any(at == position for at, _ in self.read), timeout=20)


def numbers(shares):
    return shares[0].numpy()[:, 0, 0, 0].tolist()


def test_the_next_minibatch_is_read_before_it_is_asked_for():
    training_set = Counting()
    minibatches = Minibatches(training_set, make_devices())
    for i in range(3):
        assert numbers(minibatches.take(4, 0)) == list(range(4 * i, 4 * i + 4))
        assert training_set.wait_until_read(4 * i + 4)  # nobody has asked for it
        assert minibatches.state() == {'position': 4 * i + 4}
    minibatches.rewind()
    assert training_set.position == 12 and [at for at, _ in training_set.read] == [0, 4, 8, 12]


def test_reading_and_computing_take_the_longer_of_both():
    """A data set that takes 100 ms and steps that take 100 ms: five rounds in well under their sum of a second."""
    class Slow(Counting):
        def _read(self, *arguments):
            time.sleep(0.1)
            return super()._read(*arguments)
    minibatches = Minibatches(Slow(), make_devices())
    minibatches.take(4, 0)
    start = time.perf_counter()
    for _ in range(5):
        time.sleep(0.1)
        minibatches.take(4, 0)
    assert time.perf_counter() - start < 0.85


def test_other_sizes_and_resolutions_begin_with_the_next_image():
    """What was read ahead for the old ones is read again; each image comes once."""
    training_set = Counting()
    minibatches, seen = Minibatches(training_set, make_devices()), []
    for size, lod in [(4, 2.0), (4, 2.0), (4, 1.7), (8, 1.0), (8, 0.3), (2, 0.0), (2, 0.0)]:
        shares = minibatches.take(size, lod)
        assert shares[0].shape == [size, 1, *[16 >> int(lod)] * 2]
        seen += numbers(shares)
    assert seen == list(range(len(seen))) and minibatches.state() == {'position': len(seen)}


def test_a_state_is_gone_back_to():
    minibatches = Minibatches(Counting(), make_devices())
    minibatches.take(4, 0)
    state = minibatches.state()
    first = [numbers(minibatches.take(4, 0)) for _ in range(3)]
    minibatches.restore(state)
    assert [numbers(minibatches.take(4, 0)) for _ in range(3)] == first


class DrawsFromNumPy(Counting):
    def _read(self, *arguments):
        images, labels = super()._read(*arguments)
        return images + np.random.randint(2, size=images.shape).astype(np.int32), labels


class WantsItsTurn(Counting):
    reads_ahead = False


@pytest.mark.parametrize('cls', [DrawsFromNumPy, WantsItsTurn])
def test_data_sets_that_are_read_when_due(cls):
    """One that draws from NumPy's global numbers would draw those that the losses, metrics and grids in between should have drawn."""
    training_set = cls()
    minibatches = Minibatches(training_set, make_devices())
    for _ in range(3):
        minibatches.take(4, 0)
        assert training_set.position == minibatches.state()['position']
    assert {thread for _, thread in training_set.read} == {threading.current_thread().name}


@pytest.mark.parametrize('error', [ValueError('damaged'), MemoryError(), StopIteration()], ids=repr)
def test_an_error_comes_when_its_minibatch_is_due(error):
    class Damaged(Counting):
        def _read(self, position, *rest):
            if position >= 8:
                raise error
            return super()._read(position, *rest)
    minibatches = Minibatches(Damaged(), make_devices())
    assert numbers(minibatches.take(4, 0)) == [0, 1, 2, 3] and numbers(minibatches.take(4, 0)) == [4, 5, 6, 7]
    assert minibatches.state() == {'position': 8}
    with pytest.raises(type(error)):
        minibatches.take(4, 0)


def test_a_data_set_without_repeats_ends_where_it_did(in_tmp):
    """40 images in minibatches of 16: the last one has 8."""
    make_toy()
    minibatches = Minibatches(TFRecordDataset('datasets/toy', repeat=False), make_devices())
    assert [len(minibatches.take(16, 0)[0]) for _ in range(3)] == [16, 16, 8]
    with pytest.raises(StopIteration):
        minibatches.take(16, 0)


@pytest.mark.parametrize('count', [1, 2, 4])
def test_each_share_is_on_its_own_device(count):
    devices = make_devices(count)
    images, labels = Minibatches(Counting(label_size=3), devices).take(8, 0)
    shares = [images] if count == 1 else images.values
    assert [numbers([share]) for share in shares] == np.arange(8).reshape(count, -1).tolist()
    assert [share.device.rpartition('/')[2] for share in shares] == [f'device:CPU:{i}' for i in range(count)]
    assert all(len(share) == 8 // count for share in ([labels] if count == 1 else labels.values))
