"""SVHN in both of its forms."""
import os
import pickle

import numpy as np
import pytest
import scipy.io

from pgan.importers.svhn import load_svhn
from tests.support.data_inputs import fails
from tests.support.importer_inputs import Evil


@pytest.mark.slow
def test_svhn_as_it_is_published_gives_the_same_as_pickles(in_tmp):
    rs = np.random.RandomState(8)
    images = rs.randint(0, 256, size=(73257, 3, 32, 32), dtype=np.uint8)
    labels = rs.randint(0, 10, size=73257)
    os.makedirs('mat')
    scipy.io.savemat(
        'mat/train_32x32.mat',
        {'X': images.transpose(2, 3, 1, 0), 'y': np.where(labels == 0, 10, labels)[:, np.newaxis]})
    os.makedirs('pickles')
    for number, (start, stop) in enumerate(((0, 30000), (30000, 60000), (60000, 73257)), 1):
        (in_tmp / 'pickles' / f'train_{number}.pkl').write_bytes(
            pickle.dumps((images[start:stop], labels[start:stop]), protocol=2))
    sources = [load_svhn(folder) for folder in ('mat', 'pickles')]
    assert all(source.num_images == 73257 and np.array_equal(source.labels.argmax(axis=1), labels)
               for source in sources)
    for index in (0, 30000, 73256):
        assert all(
            np.array_equal(next(source.fetch([index]))[1], images[index]) for source in sources)


@pytest.mark.slow
def test_svhn_that_is_not_svhn_is_refused(in_tmp, capsys):
    assert 'train_32x32.mat' in fails(['create_svhn', 'out', '.'], capsys)
    (in_tmp / 'train_32x32.mat').write_bytes(b'garbage')
    assert 'cannot be read' in fails(['create_svhn', 'out', '.'], capsys)
    scipy.io.savemat('train_32x32.mat',
                     {'X': np.zeros([32, 32, 3, 5], np.uint8), 'y': np.ones([5, 1])})
    assert 'Expected 5 whole numbers' in fails(['create_svhn', 'out', '.'], capsys)
    os.unlink('train_32x32.mat')
    images, labels = np.zeros([24419, 3, 32, 32], np.uint8), np.zeros([24419], np.uint8)
    (in_tmp / 'train_1.pkl').write_bytes(pickle.dumps((images, labels), protocol=2))
    assert "'./train_2.pkl' does not exist" in fails(['create_svhn', 'out', '.'], capsys)
    for part, words in (((Evil(), labels), 'system'),
                        ((images, labels[1:]), 'Expected 24419 whole numbers'), (images, 'pair'),
                        ((images[1:], labels[1:]), 'Expected 73257 in all. Received: 73256'),
                        ((images.astype(np.int16), labels), 'int16'), ((images, labels),
                                                                       'pixels from 0 to 255')):
        for number in (1, 2, 3):
            content = part if number == 1 else (images, labels)
            (in_tmp / f'train_{number}.pkl').write_bytes(pickle.dumps(content, protocol=2))
        message = fails(['create_svhn', 'out', '.'], capsys)
        assert words in message and 'http://ufldl.stanford.edu' in message
    assert len(os.listdir()) == 3
