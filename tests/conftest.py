"""What all tests share: the repository on the path, quiet TensorFlow, the golden data."""
import json
import os
import pathlib
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / 'tests' / 'golden'
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from tfutil.devices import make_cpu_devices  # noqa: E402

make_cpu_devices(4)  # before anything starts TensorFlow, for the tests of several replicas


def load_json(name):
    """Golden JSON file as Python objects."""
    return json.loads((GOLDEN / name).read_text())


def load_npz(name):
    """Golden .npz file as a dict of arrays."""
    with np.load(GOLDEN / name) as data:
        return dict(data)


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Run the test with an empty temporary folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def images(in_tmp):
    """An input folder 'in' of five 4x4 images; the current folder is its parent."""
    from data_inputs import write_images
    (in_tmp / 'in').mkdir()
    write_images(in_tmp / 'in', '4x4')
    return in_tmp
