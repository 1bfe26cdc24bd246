"""Shared data set for all tests of inspection."""
import numpy as np
import pytest

from pgan.importers.source import onehot
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import NUM, make_images, put_shape_first


@pytest.fixture
def mixed(in_tmp):
    """Data set 'mixed' of labelled RGB images, some records of which have `shape` first; returns
    (images, labels).
    """
    images, labels = make_images(), onehot(np.arange(NUM) % 3, 3)
    write_dataset('mixed', images, labels)
    before = (in_tmp / 'mixed' / 'mixed-r03.tfrecords').read_bytes()
    put_shape_first('mixed/mixed-r03.tfrecords', [0, 2, 5])
    put_shape_first('mixed/mixed-r02.tfrecords', [1])
    assert (in_tmp / 'mixed' / 'mixed-r03.tfrecords').read_bytes() != before
    return images, labels
