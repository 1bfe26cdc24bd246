"""MNIST and MNIST-RGB: other files are rejected with helpful messages."""
import gzip
import os

import numpy as np
import pytest

from pgan.importers.mnist import load_mnistrgb, read_digits
from tests.support.data_inputs import fails
from tests.support.importer_inputs import (
    DIGITS,
    write_idx,
)


@pytest.mark.parametrize('kwargs, words', [
    ({'images': np.zeros([10, 28, 28], np.uint8)}, ['[60000, 28, 28]', '[10, 28, 28]']),
    ({'labels': np.zeros([59999], np.uint8)}, ['[60000]', '[59999]']),
    ({}, ['pixels from 0 to 255', '0 to 0']),
    ({'images': np.tile(np.array([0, 255], np.uint8), [60000, 28, 14])}, ['labels 0 to 9', '[0]']),
])
def test_mnist_that_is_not_mnist_is_refused(kwargs, words, in_tmp, capsys):
    write_idx(in_tmp, **kwargs)
    message = fails(['create_mnist', 'out', '.'], capsys)
    assert all(word in message for word in words), message


def test_missing_and_damaged_mnist_files_are_named(in_tmp, capsys):
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', 'nowhere'], capsys)
    write_idx(in_tmp)
    path = in_tmp / 'train-images-idx3-ubyte.gz'
    path.write_bytes(path.read_bytes()[:-20])
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', '.'], capsys)
    path.write_bytes(b'hello')
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', '.'], capsys)


@pytest.mark.slow
def test_unpacked_mnist_is_read_as_well(in_tmp):
    write_idx(in_tmp,
              np.random.RandomState(6).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8),
              DIGITS)
    packed = read_digits('.')
    for name in os.listdir():
        (in_tmp / name.removesuffix('.gz')).write_bytes(
            gzip.decompress((in_tmp / name).read_bytes()))
        os.unlink(name)
    assert all(np.array_equal(a, b) for a, b in zip(packed, read_digits('.')))


@pytest.mark.parametrize('option, value, words',
                         [('--num_images', '0', 'at least 1'),
                          ('--random_seed', '-1', 'from 0 to 4294967295'),
                          ('--random_seed', str(1 << 32), 'from 0 to 4294967295')])
def test_numbers_of_mnistrgb_are_checked_before_anything_is_read(option, value, words, in_tmp,
                                                                 capsys):
    message = fails(['create_mnistrgb', 'out', 'nowhere', option, value], capsys)
    assert option in message and words in message and f'Received: {value}.' in message


@pytest.mark.slow
def test_mnistrgb_is_made_as_it_is_written(in_tmp):
    write_idx(in_tmp,
              np.random.RandomState(6).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8),
              DIGITS)
    source = load_mnistrgb('.', 10 ** 12, 123)
    first = next(iter(source.fetch(range(source.num_images))))[1]
    digits = np.random.RandomState(123).randint(60000, size=3)
    assert np.array_equal(first[:, 2:-2, 2:-2],
                          read_digits('.')[0][digits]) and first.shape == (3, 32, 32)
