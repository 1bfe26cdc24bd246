"""Fixtures for all tests, and a quiet TensorFlow with four CPU devices."""
import faulthandler
import gc
import io
import os
import resource
import shutil
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')
# Two test processes share two cores. It also keeps narrow networks in one part
# (pgan.training.threads), whose graphs are traced a quarter faster; `own_threads` undoes it.
os.environ.setdefault('TF_NUM_INTRAOP_THREADS', '1')

import numpy as np  # noqa: E402
import pytest  # noqa: E402

import misc  # noqa: E402
from tests.support import damage, faults, small_dataset  # noqa: E402
from tests.support.data_inputs import write_dataset, write_images  # noqa: E402
from tests.support.script_inputs import run_23  # noqa: E402
from tests.support.toy_runs import TINY, make_toy  # noqa: E402
from tfutil.devices import make_cpu_devices  # noqa: E402

make_cpu_devices(4)  # before TensorFlow starts, for tests of several replicas

MEMORY_A_TEST = 2 << 30  # bytes beyond those in use when a test starts


def pytest_collection_modifyitems(items):
    """Mark the parameters that `first` leaves to longer runs."""
    seen = {}
    for item in items:
        for mark in item.iter_markers('first'):
            key = item.function, mark.kwargs['rest']
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > mark.args[0]:
                item.add_marker('slow')
                item.add_marker(mark.kwargs['rest'])
    # Files with long tests first: otherwise one process idles at the end while another runs one.
    long_files = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in long_files)


@pytest.fixture(scope='module', autouse=True)
def frozen_heap():
    """Exempt what earlier test files left behind, e.g. graphs, from garbage collection.

    A full collection of it takes seconds.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_threads(monkeypatch):
    """Let programs that the test starts choose their threads, as they do for users."""
    monkeypatch.delenv('TF_NUM_INTRAOP_THREADS', raising=False)


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run the test with an empty temporary folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def images(in_tmp):
    """An input folder 'in' of five 4x4 images; the current folder is its parent."""
    (in_tmp / 'in').mkdir()
    write_images(in_tmp / 'in', '4x4')
    return in_tmp


@pytest.fixture
def toy(in_tmp, capsys):
    """Current folder with datasets/toy and tiny.py; afterwards stdout and stderr are restored."""
    make_toy()
    (in_tmp / 'tiny.py').write_text(TINY)
    yield in_tmp
    misc.restore_output()


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Folder of a small labelled data set that no test may change."""
    return write_dataset(tmp_path_factory.mktemp('data') / 'small', small_dataset.make_images(),
                         small_dataset.make_labels())


@pytest.fixture
def small_copy(small, tmp_path):
    """Copy of the small data set, for a test that damages it."""
    return shutil.copytree(small, tmp_path / 'small')


@pytest.fixture
def limits():
    """Make allocations beyond MEMORY_A_TEST fail; end a process that hangs."""
    with open('/proc/self/statm') as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_A_TEST, hard))
    faulthandler.dump_traceback_later(10 * damage.SECONDS_A_CASE, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.fixture
def labelled(in_tmp):
    """A labelled data set 'toy': (folder, path of its labels)."""
    labels = np.eye(damage.NUM_IMAGES, 40, dtype=np.float32)
    folder = write_dataset('toy', damage.make_images(size=8), labels)
    return folder, in_tmp / 'toy' / 'toy-rxx.labels'


@pytest.fixture
def room(in_tmp, monkeypatch):
    """Empty current folder 'room'; '../data' holds two data sets."""
    os.makedirs('room')
    for version in (0, 1):
        faults.write_images(f'data/{version}', version)
    monkeypatch.chdir('room')
    return in_tmp / 'room'


@pytest.fixture
def console(in_tmp, monkeypatch):
    """Function that replaces the terminal and returns its stand-ins (stdout, stderr).

    It is a function because pytest sets the streams between the phases of a test. Logging ends with
    the test.
    """
    def start():
        out, err = io.StringIO(), io.StringIO()
        for name, stream in (('stdout', out), ('stderr', err), ('__stderr__', err)):
            monkeypatch.setattr(sys, name, stream)
        return out, err
    yield start
    misc.restore_output()


@pytest.fixture
def use_network(in_tmp, monkeypatch):
    """Function (network) that mocks results/023-run to contain it."""
    return run_23(monkeypatch)
