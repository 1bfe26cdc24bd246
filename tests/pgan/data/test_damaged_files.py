"""Damaged records and labels: a reader returns the stored values, or reports the damage at once and
in one paragraph.

Where a checksum exists, only the written values may be read. Elsewhere numbers may differ, but
types and shapes may not. Each loop draws its damage from a seed, so failures are reproducible.
"""
import numpy as np
import pytest
import tensorflow as tf

import dataset
import dataset_tool
from pgan.data import records
from pgan.data.records import RecordLayout, masked_crc32c
from pgan.errors import DataError
from tests.support.damage import KINDS, NUM_IMAGES, check_all, damaged, flips_within, make_images
from tests.support.data_inputs import write_dataset

pytestmark = pytest.mark.usefixtures('limits')


def frame(payload):
    """A record with correct checksums and arbitrary content."""
    length = len(payload).to_bytes(8, 'little')
    return length + masked_crc32c(length).to_bytes(
        4, 'little') + payload + masked_crc32c(payload).to_bytes(4, 'little')


def foreign_records(images):
    """Records as written by another program: with an additional key, of different lengths."""
    framed = []
    for number, image in enumerate(images):
        features = tf.train.Features(feature={
            'shape': tf.train.Feature(int64_list=tf.train.Int64List(value=image.shape)),
            'data': tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()])),
            'name': tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'x' * (number % 3)]))})
        framed.append(
            frame(tf.train.Example(features=features).SerializeToString(deterministic=True)))
    return b''.join(framed)


def shape_first(images):
    """Records with the other order of keys."""
    layout = RecordLayout(images.shape[1:])
    rows = np.empty([len(images), layout.stride], np.uint8)
    head = layout.shape_first[0]
    rows[:, :head.size], rows[:, head.size:-4] = head, images.reshape(len(images), -1)
    return b''.join(row[:-4].tobytes() + masked_crc32c(row[12:-4].tobytes()).to_bytes(4, 'little')
                    for row in rows)


@pytest.fixture(params=['data first', 'shape first', 'another writer'])
def records_of(request, in_tmp):
    """(folder, path of its 16x16 level, images of that level); the level is written in one of three
    forms.
    """
    images = make_images()
    folder = write_dataset('toy', images,
                           np.eye(NUM_IMAGES, 3, dtype=np.float32) + np.float32(0.25))
    path = in_tmp / 'toy' / 'toy-r04.tfrecords'
    if request.param != 'data first':
        path.write_bytes(
            shape_first(images) if request.param == 'shape first' else foreign_records(images))
    return folder, path, images


def read_dataset(folder, lod, shuffle):
    """All images of a level, by image number."""
    dset = dataset.TFRecordDataset(folder, shuffle_mb=4096 * shuffle, max_label_size='full')
    images, labels = dset.get_minibatch_np(NUM_IMAGES, lod)
    order = dataset.shuffled_order(NUM_IMAGES, 0, 0) if shuffle else np.arange(NUM_IMAGES)
    assert labels.shape == (NUM_IMAGES, 3)
    return images[np.argsort(order)]


@pytest.mark.first(2, rest='slow')
@pytest.mark.parametrize('shuffle', [False, True], ids=['sequential', 'shuffled'])
def test_records(records_of, shuffle):
    folder, path, images = records_of
    np.testing.assert_array_equal(read_dataset(folder, 0, shuffle), images)

    def is_original(result, data):
        assert (result == images).all()

    cases = damaged(path.read_bytes(), 800, seed=1 + shuffle)
    # Damage that changes nothing (a bit flipped twice, zeros over zeros) is rare.
    assert check_all(path, cases, lambda: read_dataset(folder, 0, shuffle), is_original) < 20


@pytest.mark.first(2, rest='slow')
@pytest.mark.parametrize('number', [0, 5, NUM_IMAGES - 1])
def test_each_byte_of_a_record_is_checked(number, records_of, monkeypatch):
    """Length, its checksum, payload and its checksum: any changed byte is an error when the record
    is read.

    This is the case of a slow disk, where there is no time to check the lengths when the file is
    opened.
    """
    monkeypatch.setattr(records, 'HEADERS_AT_A_TIME', 1)
    monkeypatch.setattr(records, 'HEADER_CHECK_SECONDS', -1)
    folder, path, _ = records_of
    data = path.read_bytes()
    rs = np.random.RandomState(number)
    stride = len(data) // NUM_IMAGES
    changes = [(at, 1 << rs.randint(8)) for at in range(number * stride, (number + 1) * stride)]
    changes += [(number * stride + at, 1 << bit) for at in (*range(40), stride - 2)
                for bit in range(8)]
    cases = ((f'byte {at} ^ {mask}', data[:at] + bytes([data[at] ^ mask]) + data[at + 1:])
             for at, mask in changes)
    assert check_all(path, cases, lambda: read_dataset(folder, 0, False), None) == 0


@pytest.mark.first(1, rest='slow')
@pytest.mark.first(3, rest='exhaustive')
@pytest.mark.parametrize('level', [2, 4])
def test_verify_finds_all_of_it(level, records_of, capsys):
    folder, _, _ = records_of
    path = (records_of[1].parent / f'toy-r{level:02d}.tfrecords')
    original = path.read_bytes()

    def is_unchanged(result, data):
        assert data == original

    check_all(path, damaged(original, 160, seed=level),
              lambda: run_tool('info', folder, '--verify', capsys=capsys), is_unchanged)


def run_tool(*argv, capsys):
    """Run dataset_tool.py; raise its error message as a DataError."""
    try:
        dataset_tool.main(list(argv))
    except SystemExit as error:
        assert error.code == 1
        raise DataError(capsys.readouterr().err.strip()) from error
    return capsys.readouterr().out


def test_nonsense_with_right_checksums(records_of):
    """Records of other programs, or malicious ones: parsing them takes neither time nor memory."""
    folder, path, images = records_of
    size = int.from_bytes(path.read_bytes()[:8], 'little')
    payload = path.read_bytes()[12:12 + size]

    def has_a_shape(result, data):
        assert result.shape[1:] == (1, 16, 16)

    def cases():
        for case, data in damaged(payload, 400, seed=5):
            yield case, frame(data) * NUM_IMAGES
        yield 'an endless varint', frame(b'\x0a' + b'\xff' * (4 << 20))
        yield 'a key that is a large number', frame(
            b'\x0a\x0a\x0a\x08\x08\xff\xff\xff\xff\x0f\x12\x00')
        yield 'images without pixels', b''.join(
            map(bytes,
                RecordLayout((1, 0, 0)).encode(np.zeros([NUM_IMAGES, 1, 0, 0], np.uint8))))
    check_all(path, cases(), lambda: read_dataset(folder, 0, False), has_a_shape)


def label_headers(data):
    """Headers that are valid but do not match the content; they have the length of the correct one.
    """
    end = data.index(b'\n') + 1
    for descr, shape in [('<f4', (2**40, 2**20)), ('<f4', (2**62, 4)), ('<f4', (NUM_IMAGES, 2**34)),
                         ('<f4', (-1, 40)), ('|O', (12, 40)), ('<f8', (NUM_IMAGES, 20)),
                         ('<c8', (NUM_IMAGES, 20)), ('<U1', (12, 40)), ('|V4', (12, 40)),
                         ('<M8[s]', (12, 20)), ('<f4', ()), ('<f4', (480, )), ('|b1', (12, 160)),
                         ('<f4', (12, 39)), ('<f4', (11, 40)), ('<f4', (12.0, 40)),
                         ([('a', '<f4')], (12, 40)), ('<q9', (12, 40)), ('<f4', '12')]:
        header = repr({'descr': descr, 'fortran_order': False, 'shape': shape}).encode()
        padded = header + b' ' * (end - 10 - 1 - len(header)) + b'\n'
        yield f'{descr} {shape}', data[:8] + len(padded).to_bytes(2, 'little') + padded + data[end:]
    for text in (b'{' * 60, b'(' * 69, b"{'descr': '<f4', 'fortran_order': False, 'shape': (12, 40",
                 b'\xff' * 60, b"'''", b'{1: 2}', b'{[]: 1}', b'-' * 69,
                 b'{0: 0, "a": 1, None: 3}'):
        yield repr(text), data[:10] + text.ljust(end - 11) + b'\n' + data[end:]
    yield 'a long header', data[:6] + b'\2\0\xff\xff\xff\xff' + data[10:]


@pytest.mark.slow
def test_labels(labelled):
    folder, path = labelled
    data = path.read_bytes()
    structure = flips_within(range(data.index(b'\n') + 1))

    def is_labels(result, data):
        assert result.ndim == 2 and len(
            result) == NUM_IMAGES and result.dtype.kind in 'fiu' and np.isfinite(result).all()

    def read():
        return dataset.TFRecordDataset(folder, max_label_size='full').labels

    assert check_all(path, damaged(data, 1200, seed=1), read, is_labels) < 600
    check_all(path, damaged(data, 800, seed=2, kinds=[structure]), read, is_labels)
    check_all(path, label_headers(data), read, is_labels)


@pytest.mark.slow
def test_info_of_labels(labelled, capsys):
    folder, path = labelled
    data = path.read_bytes()
    (path.parent / 'toy-classes.txt').write_bytes(bytes(range(256)))

    def is_said(result, data):
        assert 'Labels' in result

    def read():
        return run_tool('info', folder, capsys=capsys)

    kinds = [*KINDS, flips_within(range(data.index(b'\n') + 1))]
    check_all(path, damaged(data, 180, seed=3, kinds=kinds), read, is_said)
    check_all(path, label_headers(data), read, is_said)
