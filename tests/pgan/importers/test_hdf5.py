"""HDF5 archives: images with their labels, and errors of other files."""
import os

import h5py
import numpy as np
import pytest

import dataset_tool
from tests.support.data_inputs import fails
from tests.support.importer_inputs import pixels_of


def write_h5(name='in.h5', labels=None, **arrays):
    with h5py.File(name, 'w') as archive:
        for key, value in arrays.items():
            archive[key] = value
    if labels is not None:
        np.save(name.removesuffix('.h5') + '-labels.npy', labels, allow_pickle=True)


@pytest.mark.parametrize('shuffle', ['0', '1'])
def test_labels_of_an_archive_stay_with_their_images(shuffle, in_tmp):
    values = np.random.RandomState(9).permutation(100).astype(np.uint8)
    data = np.tile(values[:, np.newaxis, np.newaxis, np.newaxis], [1, 3, 8, 8])
    write_h5(labels=np.stack([values, -values.astype(int)], axis=1), data8x8=data)
    dataset_tool.main(['create_from_hdf5', 'out', 'in.h5', '--shuffle', shuffle])
    images, labels = pixels_of('out')
    assert labels.dtype == np.float32 and np.array_equal(
        labels[:, 0], images[:, 0, 0, 0]) and np.array_equal(labels[:, 1], -labels[:, 0])
    assert (labels[:, 0] == values).all() == (shuffle == '0')


@pytest.mark.parametrize('arrays, labels, words', [
    ({'other': np.zeros([2, 3, 4, 4])}, None, "start with 'data'"),
    ({'data': np.zeros([2, 4, 4])}, None, 'data float64 [2, 4, 4]'),
    ({'data': np.zeros([2, 3, 4, 8])}, None, '[2, 3, 4, 8]'),
    ({'data': np.zeros([2, 3, 6, 6])}, None, 'power of two'),
    ({'data': np.zeros([2, 2, 4, 4])}, None, '1 or 3 channels'),
    ({'data': np.zeros([0, 3, 4, 4])}, None, '[0, 3, 4, 4]'),
    ({'data': np.full([2, 3, 4, 4], np.nan)}, None, 'image 1 of \'in.h5\' holds nan'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.zeros([3, 1]), 'the shape [2, components]. Received: '
                                                         'float64 of shape [3, 1]'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.zeros([2]), 'shape [2]'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.array([[None], [None]]), 'cannot be read'),
    ({'data': np.full([2, 3, 4, 4], 99)}, np.array([[1.0], [np.inf]]), 'not finite'),
    ({'data': np.full([2, 3, 4, 4], 99)}, np.array([[1.0], [1e300]]), 'not finite'),
])
def test_archives_of_other_things_are_refused(arrays, labels, words, in_tmp, capsys):
    write_h5(labels=labels, **arrays)
    assert words in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    assert not os.path.exists('out')


@pytest.mark.parametrize('values, words', [(np.array([-1, 1.0]), 'from -1 to 1'),
                                           (np.array([0, 1.0]), 'from 0 to 1'),
                                           (np.array([0, 65535], np.uint16), 'from 0 to 65535'),
                                           (np.array([0, 255], np.uint8), None)])
def test_values_of_another_range_are_reported(values, words, in_tmp, capsys):
    write_h5(data=np.broadcast_to(values[:, np.newaxis, np.newaxis, np.newaxis], [2, 1, 4, 4]))
    dataset_tool.main(['create_from_hdf5', 'out', 'in.h5'])
    message = capsys.readouterr().err
    assert (words in message and 'clipped' in message) if words else message == ''


def test_archives_that_are_none(in_tmp, capsys):
    assert 'does not exist' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    assert "'.' is a folder" in fails(['create_from_hdf5', 'out', '.'], capsys)
    (in_tmp / 'in.h5').write_bytes(b'no archive')
    assert 'cannot be read as HDF5' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    write_h5(data=np.zeros([50, 3, 32, 32], np.uint8))
    content = (in_tmp / 'in.h5').read_bytes()
    (in_tmp / 'in.h5').write_bytes(content[:len(content) // 2])
    assert 'in.h5' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
