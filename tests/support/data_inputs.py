"""Input for dataset_tool.py: recipes of the golden input in its real containers, and a helper for
commands that must fail.
"""
import gzip
import hashlib
import pickle
import shutil
import struct

import numpy as np
import PIL.Image
import pytest

import dataset_tool
from pgan.data.writer import TFRecordExporter
from tests.support.golden import GOLDEN, load_json

CASES = {case['case']: case for case in load_json('datasets.json')['cases']}
# seed, number, shape
IMAGES = {'rgb': (401, 23, (16, 16, 3)), 'gray': (402, 12, (32, 32)), '4x4': (403, 5, (4, 4, 3))}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def fails(argv, capsys):
    """Run a command that must fail with exit code 1; return its message."""
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(argv)
    assert info.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith('error: ') and message.count('\n') == 1
    return message


def write_dataset(folder, images, labels=None):
    """Create a data set from arrays; return its folder's name."""
    with TFRecordExporter(str(folder), len(images), print_progress=False) as out:
        for image in images:
            out.add_image(image)
        if labels is not None:
            out.add_labels(labels)
    return str(folder)


def write_mnist(folder):
    recipe = CASES['mnist']['recipe']
    images = np.random.RandomState(101).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8)
    labels = np.random.RandomState(102).randint(0, 10, size=60000, dtype=np.uint8)
    assert (sha256(images.tobytes()), sha256(labels.tobytes())) == (recipe['sha256_images'],
                                                                    recipe['sha256_labels'])
    for name, header, values in (('train-images-idx3-ubyte.gz',
                                  struct.pack('>IIII', 2051, 60000, 28,
                                              28), images), ('train-labels-idx1-ubyte.gz',
                                                             struct.pack('>II', 2049,
                                                                         60000), labels)):
        (folder / name).write_bytes(gzip.compress(header + values.tobytes(), compresslevel=0))


def write_cifar10(folder):
    rs, digest = np.random.RandomState(201), hashlib.sha256()
    for number in range(1, 6):
        data = rs.randint(0, 256, size=(10000, 3072), dtype=np.uint8)
        labels = [int(v) for v in rs.randint(0, 10, size=10000, dtype=np.uint8)]
        (folder / f'data_batch_{number}').write_bytes(
            pickle.dumps({'data': data, 'labels': labels}, protocol=2))
        digest.update(data.tobytes())
    assert digest.hexdigest() == CASES['cifar10']['recipe']['sha256_all_data']


def write_cifar100(folder):
    rs = np.random.RandomState(251)
    data = rs.randint(0, 256, size=(50000, 3072), dtype=np.uint8)
    labels = [int(v) for v in rs.randint(0, 100, size=50000, dtype=np.uint8)]
    content = {'data': data, 'fine_labels': labels, 'coarse_labels': [v // 5 for v in labels]}
    (folder / 'train').write_bytes(pickle.dumps(content, protocol=2))
    assert sha256(data.tobytes()) == CASES['cifar100']['recipe']['sha256_all_data']


def svhn_parts():
    rs = np.random.RandomState(301)
    for number in range(1, 4):
        yield (f'train_{number}.pkl', rs.randint(0, 256, size=(24419, 3, 32, 32), dtype=np.uint8),
               rs.randint(0, 10, size=24419, dtype=np.uint8))


def write_svhn(folder):
    digest = hashlib.sha256()
    for name, data, labels in svhn_parts():
        (folder / name).write_bytes(pickle.dumps((data, labels), protocol=2))
        digest.update(data.tobytes())
    assert digest.hexdigest() == CASES['svhn']['recipe']['sha256_all_data']


def write_images(folder, kind):
    seed, number, shape = IMAGES[kind]
    rs = np.random.RandomState(seed)
    images = [rs.randint(0, 256, size=shape, dtype=np.uint8) for _ in range(number)]
    for index, image in enumerate(images):
        PIL.Image.fromarray(image).save(folder / f'im{index}.png')
    recipe = CASES[f'images-{kind}-default']['recipe']
    assert sha256(b''.join(image.tobytes()
                           for image in images)) == recipe['sha256_all_pixels_in_generation_order']


def write_celeba(folder):
    (folder / 'img_align_celeba_png').mkdir()
    rs, digest = np.random.RandomState(701), hashlib.sha256()
    for number in range(1, 21):
        image = rs.randint(0, 256, size=(218, 178, 3), dtype=np.uint8)
        PIL.Image.fromarray(image).save(folder / 'img_align_celeba_png' / f'{number:06d}.png')
        digest.update(image.tobytes())
    assert digest.hexdigest() == CASES['celeba']['recipe']['sha256_all_pixels']


def write_hdf5(folder, name):
    import h5py
    if name.startswith('hdf5-float'):  # as written by the original's h5py
        shutil.copy(GOLDEN / 'datasets-inputs' / 'hdf5-float.h5', folder / 'arch.h5')
        return
    rs = np.random.RandomState(501)
    with h5py.File(folder / 'arch.h5', 'w') as archive:
        for size in (32, 16, 8, 4):
            archive[f'data{size}x{size}'] = rs.randint(0, 256, size=(14, 3, size, size),
                                                       dtype=np.uint8)
        archive['other64x64'] = np.zeros([14, 3, 64, 64], np.uint8)
    np.save(folder / 'arch-labels.npy', rs.randint(-50, 50, size=(14, 5)).astype(np.float64) / 8)


def write_lsun(folder, name):
    source = 'lsun-odd-lmdb' if name.startswith('lsun-odd') else 'lsun-lmdb'
    shutil.copy(GOLDEN / 'datasets-inputs' / source / 'data.mdb', folder / 'data.mdb')


def write_input(name, folder):
    """Create a folder with the input of a golden case."""
    folder.mkdir()
    command = CASES[name]['command']
    if command in ('create_lsun', 'create_from_hdf5'):
        (write_lsun if command == 'create_lsun' else write_hdf5)(folder, name)
    elif command == 'create_from_images':
        write_images(folder, name.split('-')[1])
    else:
        writers = {
            'create_mnist': write_mnist, 'create_mnistrgb': write_mnist,
            'create_cifar10': write_cifar10, 'create_cifar100': write_cifar100,
            'create_svhn': write_svhn, 'create_celeba': write_celeba
        }
        writers[command](folder)
