"""Common functions of the importers: labels, wrong folders, prefetching in threads."""
import os
import pickle
import time

import numpy as np
import pytest

import dataset_tool
from pgan.importers.source import in_threads
from tests.support.data_inputs import fails
from tests.support.importer_inputs import DIGITS, pixels_of, write_idx


@pytest.mark.slow
def test_labels_of_published_sets_stay_with_their_images(in_tmp):
    """The first pixels of each image encode its label."""
    rs = np.random.RandomState(5)
    fine, digits = rs.permutation(np.arange(50000) % 100), rs.permutation(DIGITS)
    data = np.zeros([50000, 3072], np.uint8)
    data[:, 0], data[:, 1] = fine, 255
    (in_tmp / 'train').write_bytes(
        pickle.dumps({'data': data, 'fine_labels': fine.tolist()}, protocol=2))
    for number in range(5):
        batch = {'data': data[number::5], 'labels': (fine[number::5] % 10).tolist()}
        (in_tmp / f'data_batch_{number + 1}').write_bytes(pickle.dumps(batch, protocol=2))
    pictures = np.zeros([60000, 28, 28], np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = digits, 255
    write_idx(in_tmp, pictures, digits)
    for name, classes in (('cifar100', 100), ('cifar10', 10), ('mnist', 10)):
        dataset_tool.main([f'create_{name}', name, '.'])
        images, labels = pixels_of(name)
        corner = images[:, 0, 2, 2] if name == 'mnist' else images[:, 0, 0, 0]
        assert labels.shape == (len(images), classes) and np.array_equal(
            labels.argmax(axis=1), corner % classes)
        # shuffled
        assert not np.array_equal(corner % classes, (digits if name == 'mnist' else fine) % classes)


def test_a_wrong_folder_is_put_right(in_tmp, capsys):
    os.makedirs('downloads/cifar-10-batches-py')
    (in_tmp / 'downloads' / 'cifar-10-batches-py' / 'data_batch_1').write_bytes(b'')
    message = fails(['create_cifar10', 'out', 'downloads'], capsys)
    assert "There is one in 'downloads/cifar-10-batches-py': give that folder instead" in message
    (in_tmp / 'downloads' / 'cifar-100-python.tar.gz').write_bytes(b'')
    message = fails(['create_cifar100', 'out', 'downloads'], capsys)
    assert 'Found there: cifar-10-batches-py, cifar-100-python.tar.gz' in message
    assert "Unpack 'cifar-100-python.tar.gz' first: " in message
    for folder, words in (('nowhere', 'does not exist'), ('downloads/cifar-100-python.tar.gz',
                                                          'is a file')):
        for command in ('create_mnist', 'create_cifar10', 'create_svhn', 'create_lsun',
                        'create_celeba'):
            if command == 'create_lsun' and words == 'is a file':  # an LMDB may be a file
                continue
            message = fails([command, 'out', folder], capsys)
            assert f'the folder {folder!r} {words}' in message, command
            assert 'Download: http' in message, command
    assert os.listdir() == ['downloads']


# --------------------------------------------------------------------------------------------------
# Common functions.

def test_threads_keep_the_order_and_look_only_a_little_ahead():
    asked = []

    def items():
        for number in range(1000):
            asked.append(number)
            yield number

    def square(number):
        time.sleep(0.002 * (number % 3))
        return number ** 2

    results = in_threads(square, items())
    assert [next(results) for _ in range(20)] == [number ** 2 for number in range(20)]
    assert len(asked) <= 20 + 5 * os.cpu_count()
    results.close()
    assert list(in_threads(square, range(30))) == [number ** 2 for number in range(30)]


def test_an_error_in_a_thread_comes_in_its_turn():
    results = in_threads(lambda number: 1 // (5 - number), range(100))
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize('command, path', [
    ('create_from_hdf5', 'in'), ('create_mnist', 'in/train-images-idx3-ubyte.gz'),
    ('create_cifar10', 'in/data_batch_1'), ('create_svhn', 'in/train_32x32.mat')])
def test_a_web_page_in_place_of_data_is_named(in_tmp, capsys, command, path):
    """As served by sites when a download needs a login or is over its quota."""
    for number in range(1, 6):
        path_of_batch = path.replace('batch_1', f'batch_{number}')
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(path_of_batch, 'w') as file:
            file.write('<!doctype html><title>Sign in</title>')
    assert "it is a web page starting with '<!doctype html>" in fails([command, 'out', 'in'],
                                                                         capsys)
