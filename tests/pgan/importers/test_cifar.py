"""CIFAR-10 and CIFAR-100: other files are rejected with helpful messages."""
import os
import pickle

import numpy as np
import pytest

import dataset
import dataset_tool
from pgan.importers import cifar
from tests.support.data_inputs import fails
from tests.support.importer_inputs import Evil


def test_names_of_the_classes_come_along(in_tmp, monkeypatch, capsys):
    rs = np.random.RandomState(0)
    monkeypatch.setattr(cifar, 'check_range', lambda *args: None)
    monkeypatch.setattr(cifar, '_read_batch', lambda path, key, count: (
        rs.randint(0, 256, [20, 3, 32, 32], np.uint8), np.arange(20) % 10))
    for number in range(1, 6):
        (in_tmp / f'data_batch_{number}').write_bytes(b'')
    assert cifar.load_cifar10('.').class_names is None
    names = [f'class {number}' for number in range(10)]
    (in_tmp / 'batches.meta').write_bytes(pickle.dumps({'label_names': names}, protocol=2))
    dataset_tool.main(['create_cifar10', 'out', '.'])
    assert dataset.TFRecordDataset('out', max_label_size='full').class_names == names
    (in_tmp / 'batches.meta').write_bytes(pickle.dumps({'label_names': names[1:]}, protocol=2))
    assert 'does not name the classes' in fails(['create_cifar10', 'x', '.'], capsys)


@pytest.mark.parametrize('batch, words', [
    ({'data': Evil(), 'labels': [0]}, ['system']),
    ({'data': np.zeros([10, 3072], np.uint8), 'labels': [0] * 10}, ['[10000, 3072]', '[10, 3072]']),
    ({'data': np.zeros([10000, 3072], np.int16), 'labels': [0] * 10000}, ['int16']),
    ({'data': np.zeros([10000, 3072], np.uint8), 'labels': [0] * 9}, ['10000 whole numbers', '[9]'
                                                                      ]),
    ({'data': np.zeros([10000, 3072], np.uint8)}, ["'labels'"]), ([1, 2], ["'data'"]),
])
def test_cifar10_that_is_not_cifar10_is_refused(batch, words, in_tmp, capsys):
    for number in range(1, 6):
        (in_tmp / f'data_batch_{number}').write_bytes(pickle.dumps(batch, protocol=2))
    message = fails(['create_cifar10', 'out', '.'], capsys)
    assert 'data_batch_1' in message and all(word in message for word in words), message
    assert len(os.listdir()) == 5


def test_missing_and_damaged_cifar10_files_are_named(in_tmp, capsys):
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)
    (in_tmp / 'data_batch_1').write_bytes(b'\x80\x02garbage')
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)


@pytest.mark.slow
def test_cifar100_that_is_not_cifar100_is_refused(in_tmp, capsys):
    assert "'./train' does not exist" in fails(['create_cifar100', 'out', '.'], capsys)
    data, labels = np.zeros([50000, 3072], np.uint8), [0] * 50000
    for batch, words in (({'data': data,
                           'labels': labels}, "'fine_labels'. Received: ['data', 'labels']"),
                         ({'data': data[:9], 'fine_labels': labels}, '[50000, 3072]'),
                         ({'data': data, 'fine_labels': labels}, 'pixels from 0 to 255'), ({
                             'data': data + np.uint8(255) * (np.arange(3072) > 9),
                             'fine_labels': labels
                         }, 'Expected 0 to 99')):
        (in_tmp / 'train').write_bytes(pickle.dumps(batch, protocol=2))
        message = fails(['create_cifar100', 'out', '.'], capsys)
        assert words in message and 'https://www.cs.toronto.edu' in message
