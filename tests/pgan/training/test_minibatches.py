"""training/minibatches.py: minibatches are prefetched while a step computes, and none is lost or
repeated.
"""
import concurrent.futures
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

import loss
from dataset import TFRecordDataset
from pgan.training.checkpoint import random_state, restore_random_state
from pgan.training.minibatches import Minibatches
from tests.support.counting_data import Counting
from tests.support.golden import ROOT
from tests.support.networks import moment
from tests.support.replica_inputs import make_steps
from tests.support.toy_runs import make_toy
from tfutil.devices import make_devices


def numbers(shares):
    return shares[0].numpy()[:, 0, 0, 0].tolist()


def test_the_next_minibatch_is_read_before_it_is_asked_for():
    training_set = Counting()
    minibatches = Minibatches(training_set, make_devices())
    for i in range(3):
        assert numbers(minibatches.take(4, 0)) == list(range(4 * i, 4 * i + 4))
        assert training_set.wait_until_read(4 * i + 4)  # prefetched, not requested yet
        assert minibatches.state() == {'position': 4 * i + 4}
    minibatches.rewind()
    assert training_set.position == 12 and [at for at, _ in training_set.read] == [0, 4, 8, 12, 16]


def test_reading_and_computing_take_the_longer_of_both():
    """Reads and steps of 100 ms each overlap: five rounds take much less than one second."""
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
    """Minibatches prefetched at the old size are read again; each image appears once."""
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
    """If prefetched, this data set would draw NumPy's global random numbers that belong to the
    losses, metrics and grids in between.
    """
    training_set = cls()
    minibatches = Minibatches(training_set, make_devices())
    for _ in range(3):
        minibatches.take(4, 0)
        assert training_set.position == minibatches.state()['position']
    assert {thread for _, thread in training_set.read} == {threading.current_thread().name}


class Shuffles(Counting):
    """Images in an order drawn from NumPy's global generator at the start of each epoch; the state
    is the order itself.
    """
    order = None

    def _read(self, position, count, lod):
        if position % 8 == 0:
            self.order = np.random.permutation(8) if self.order is None else self.order
            np.random.shuffle(self.order)
        images, labels = super()._read(position, count, lod)
        return images * 0 + self.order[position % 8:position % 8 + count].reshape(
            -1, 1, 1, 1).astype(np.int32), labels

    def state(self):
        return {'position': self.position, 'order': self.order}

    def restore(self, state):
        self.position, self.order = state['position'], state['order']


def test_numbers_that_are_drawn_now_and_then_are_drawn_once():
    """The order of each epoch is the same, also when the run continues from any point, and if other
    code draws in between.
    """
    def run(count, minibatches):
        seen, states = [], []
        for _ in range(count):
            seen += numbers(minibatches.take(2, 0))
            minibatches.wait()
            states.append((minibatches.state(), random_state()))
            seen.append(np.random.randint(1000))
        return seen, states
    np.random.seed(1)
    whole, states = run(14, Minibatches(Shuffles(), make_devices()))
    assert sorted(number for i in range(4) for number in whole[3 * i:3 * i + 2]) == list(range(8))
    for done in range(1, 13):
        np.random.seed(0)
        minibatches = Minibatches(Shuffles(), make_devices())
        minibatches.restore(states[done][0])
        restore_random_state(states[done][1])
        np.random.randint(1000)  # drawn by the other one after this state
        rest, _ = run(13 - done, minibatches)
        assert rest == whole[3 * (done + 1):], done


def test_a_reader_that_is_left_over_rewinds_nobodys_numbers():
    """A run may end while a minibatch is being read; later random draws of the process are
    unaffected.
    """
    class Waits(Counting):
        def _read(self, position, *rest):
            if position:
                begun.set()
                may_end.wait(20)
            return super()._read(position, *rest)
    begun, may_end, training_set = threading.Event(), threading.Event(), Waits()
    minibatches = Minibatches(training_set, make_devices())
    minibatches.take(4, 0)
    assert begun.wait(20)
    minibatches.close(0.0)
    np.random.seed(3)
    drawn = np.random.randint(1000, size=3).tolist()
    may_end.set()
    concurrent.futures.wait([pending.result for pending in minibatches._pending], 20)
    assert drawn + np.random.randint(1000, size=3).tolist() == np.random.RandomState(3).randint(
        1000, size=6).tolist()


class BoundToItsThread(Counting):
    def _read(self, *arguments):
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError('objects created in a thread can only be used in that same thread')
        return super()._read(*arguments)


def test_a_data_set_that_only_its_own_thread_may_read():
    minibatches = Minibatches(BoundToItsThread(), make_devices())
    assert sum([numbers(minibatches.take(4, 0)) for _ in range(4)], []) == list(range(16))


@pytest.mark.slow
def test_a_reader_that_blocks_keeps_nobody_waiting():
    """Once all images of a run have been read, neither the run nor the process waits for more."""
    code = """
import threading
from pgan.training.minibatches import Minibatches
from tests.support.counting_data import Counting
from tfutil.devices import make_devices
class Ends(Counting):
    def _read(self, position, *rest):
        if position >= 8:
            threading.Event().wait()
        return super()._read(position, *rest)
minibatches = Minibatches(Ends(), make_devices())
for _ in range(2):
    minibatches.take(4, 0)
assert minibatches.state() == {'position': 8} and not minibatches.wait(0.1)
minibatches.close(0.1)
print('ended')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 0 and done.stdout.endswith('ended\n'), done.stderr


@pytest.mark.slow
def test_steps_that_call_python_read_when_due():
    """Python code called in a step may draw the same global random numbers."""
    def D_loss(D, reals, **others):
        drawn = tf.numpy_function(lambda: np.float32(np.random.rand()), [], tf.float32)
        return D.get_output_for(reals)[0][:, 0] + tf.ensure_shape(drawn, [])
    for loss_func, ahead in ((loss.D_wgangp_acgan, True), (D_loss, False)):
        steps = make_steps(D_loss=loss_func)
        steps.step('D', moment(2, 8, 0.001))
        assert bool(steps.minibatches._pending) == ahead


@pytest.mark.parametrize('error', [ValueError('damaged'), MemoryError(), StopIteration()], ids=repr)
def test_an_error_comes_when_its_minibatch_is_due(error):
    class Damaged(Counting):
        def _read(self, position, *rest):
            if position >= 8:
                raise error
            return super()._read(position, *rest)
    minibatches = Minibatches(Damaged(), make_devices())
    assert numbers(minibatches.take(4, 0)) == [0, 1, 2, 3] and numbers(minibatches.take(
        4, 0)) == [4, 5, 6, 7]
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
    assert [share.device.rpartition('/')[2]
            for share in shares] == [f'device:CPU:{i}' for i in range(count)]
    assert all(len(share) == 8 // count for share in ([labels] if count == 1 else labels.values))
