"""Fixtures of all tests, and a quiet TensorFlow with four CPU devices."""
import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import pytest  # noqa: E402

import misc  # noqa: E402
from tests.support.data_inputs import write_images  # noqa: E402
from tests.support.toy_runs import TINY, make_toy  # noqa: E402
from tfutil.devices import make_cpu_devices  # noqa: E402

make_cpu_devices(4)  # before anything starts TensorFlow, for the tests of several replicas


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
    """The current folder holds datasets/toy and tiny.py; afterwards stdout and stderr are what they
    were.
    """
    make_toy()
    (in_tmp / 'tiny.py').write_text(TINY)
    yield in_tmp
    misc.restore_output()
