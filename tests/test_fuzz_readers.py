"""Damaged files of every kind: a reader reads what is there or says what is wrong with it, at once
and in one paragraph.

Where a checksum exists, only what was written may be read. Where there is none, numbers may be
others, but types and shapes may not. Each loop draws its damage from a seed, so a failing case
comes again. """
import collections
import faulthandler
import os
import pickle
import pickletools
import resource
import shutil
import types

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import dataset
import dataset_tool
import misc
import tfutil
from metrics.cache import RealsCache
from pgan.data import records
from pgan.data.records import RecordLayout, masked_crc32c
from pgan.errors import DataError, UserError
from pgan.scripts import generate_training_video as training_video
from tests.support.damage import KINDS, SECONDS_A_CASE, check_all, damaged, flip
from tests.support.data_inputs import write_dataset
from tests.support.golden import GOLDEN

MEMORY_A_TEST = 2 << 30  # bytes beyond what the process has when a test starts

# ------------------------------------------------------------ the guards


@pytest.fixture(autouse=True)
def limits():
    """Let absurd allocations fail, and nothing hang for ever."""
    with open('/proc/self/statm') as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_A_TEST, hard))
    faulthandler.dump_traceback_later(10 * SECONDS_A_CASE, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# ------------------------------------------------------------ damage


# ------------------------------------------------------------ records

NUM_IMAGES = 12


def make_images(seed=0, count=NUM_IMAGES, size=16):
    """Grey noise, and two white images: their pixels look like numbers without an end."""
    images = np.random.RandomState(seed).randint(0, 256, size=[count, 1, size, size],
                                                 dtype=np.uint8)
    images[0] = images[-1] = 255
    return images


def frame(payload):
    """A record whose checksums are right, whatever is in it."""
    length = len(payload).to_bytes(8, 'little')
    return length + masked_crc32c(length).to_bytes(
        4, 'little') + payload + masked_crc32c(payload).to_bytes(4, 'little')


def foreign_records(images):
    """Records as another writer has them: with one key more, of different lengths."""
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
    """Records whose keys stand in the other order."""
    layout = RecordLayout(images.shape[1:])
    rows = np.empty([len(images), layout.stride], np.uint8)
    head = layout.shape_first[0]
    rows[:, :head.size], rows[:, head.size:-4] = head, images.reshape(len(images), -1)
    return b''.join(row[:-4].tobytes() + masked_crc32c(row[12:-4].tobytes()).to_bytes(4, 'little')
                    for row in rows)


@pytest.fixture(params=['data first', 'shape first', 'another writer'])
def records_of(request, in_tmp):
    """(folder, path of its 16x16 level, that level's images); the level is written in one of three
    ways.
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
    order = dset._epoch_order(0)
    assert labels.shape == (NUM_IMAGES, 3)
    return images[np.argsort(order)]


@pytest.mark.parametrize('shuffle', [False, True], ids=['sequential', 'shuffled'])
def test_records(records_of, shuffle):
    folder, path, images = records_of
    np.testing.assert_array_equal(read_dataset(folder, 0, shuffle), images)

    def is_original(result, data):
        assert (result == images).all()

    cases = damaged(path.read_bytes(), 800, seed=1 + shuffle)
    # Damage that changes nothing (a bit flipped twice, zeros over zeros) is rare.
    assert check_all(path, cases, lambda: read_dataset(folder, 0, shuffle), is_original) < 20


@pytest.mark.parametrize('number', [0, 5, NUM_IMAGES - 1])
def test_each_byte_of_a_record_is_checked(number, records_of, monkeypatch):
    """Length, its checksum, payload and its checksum: any one byte that has changed is an error
    when the record is read.

    On a slow disk, that is: there is no time to look at the lengths when the file is opened.
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
    """Run dataset_tool.py; what it says when it fails comes as a DataError."""
    try:
        dataset_tool.main(list(argv))
    except SystemExit as error:
        assert error.code == 1
        raise DataError(capsys.readouterr().err.strip()) from error
    return capsys.readouterr().out


def test_nonsense_with_right_checksums(records_of):
    """Somebody else's records, or made to do harm: parsing them takes neither time nor memory."""
    folder, path, images = records_of
    size = int.from_bytes(path.read_bytes()[:8], 'little')
    payload = path.read_bytes()[12:12 + size]

    def has_a_shape(result, data):
        assert result.shape[1:] == (1, 16, 16)

    def cases():
        for case, data in damaged(payload, 400, seed=5):
            yield case, frame(data) * NUM_IMAGES
        yield 'a number without an end', frame(b'\x0a' + b'\xff' * (4 << 20))
        yield 'a key that is a large number', frame(
            b'\x0a\x0a\x0a\x08\x08\xff\xff\xff\xff\x0f\x12\x00')
        yield 'images without pixels', b''.join(
            map(bytes,
                RecordLayout((1, 0, 0)).encode(np.zeros([NUM_IMAGES, 1, 0, 0], np.uint8))))
    check_all(path, cases(), lambda: read_dataset(folder, 0, False), has_a_shape)


# ------------------------------------------------------------ labels

@pytest.fixture
def labelled(in_tmp):
    """(folder, path of the labels)."""
    return write_dataset('toy', make_images(size=8),
                         np.eye(NUM_IMAGES, 40,
                                dtype=np.float32)), in_tmp / 'toy' / 'toy-rxx.labels'


def label_headers(data):
    """Headers that are sound as text, but of something else; they are as long as the true one."""
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


def flips_within(positions):
    """Damage of one or two of the given bytes."""
    positions = np.asarray(positions)

    def flip_structure(data, rs):
        return flip(data, rs.choice(positions, size=rs.randint(1, 3)), rs)
    return flip_structure


# ------------------------------------------------------------ network pickles

def structure_of(data):
    """Positions of all bytes of a pickle that are not in the midst of an array."""
    starts = [position for _, _, position in pickletools.genops(data)] + [len(data)]
    return [
        at for start, stop in zip(starts, starts[1:]) for at in range(start, min(stop, start + 40))
    ]


def is_plain_or_network(result, data):
    """What came out: networks that are whole, or, where the damage hit the frame around them, plain
    containers.
    """
    if isinstance(result, tfutil.Network):
        for var in result.vars.values():
            assert var.dtype == 'float32' and None not in var.shape
        return
    if isinstance(result, dict):
        result = [*result.keys(), *result.values()]
    if isinstance(result, (tuple, list, set, frozenset)):
        for part in result:
            is_plain_or_network(part, data)
        return
    plain = (type(None), bool, int, float, complex, str, bytes, bytearray, np.ndarray, np.generic,
             type)
    assert isinstance(result, plain) or result in misc.pickles._ADMITTED.values(
    ) or 'Network' in repr(result), repr(result)


def small_networks():
    options = dict(num_channels=1, resolution=4, fmap_base=4, fmap_max=4)
    G = tfutil.Network('G', 'networks.G_paper', latent_size=3, **options)
    return G, tfutil.Network('D', 'networks.D_paper', **options), G.clone('Gs')


def test_snapshots_of_this_program(in_tmp):
    path = in_tmp / 'network-final.pkl'
    misc.save_pkl(small_networks(), path)
    data = path.read_bytes()
    structure = flips_within(structure_of(data))
    cases = damaged(data, 405, seed=1, kinds=[*KINDS, structure])
    assert check_all(path, cases, lambda: misc.load_pkl(path), is_plain_or_network) < 300


@pytest.mark.parametrize(('name', 'count'), [('original-format-network', 66), ('theano-wscale', 66),
                                             ('theano-progressive8', 66), ('theano-unknown', 66)])
def test_snapshots_of_others(name, count, in_tmp):
    path = in_tmp / 'network-final.pkl'
    shutil.copy(GOLDEN / f'{name}.pkl', path)
    data = path.read_bytes()
    structure = flips_within(structure_of(data))
    check_all(path, damaged(data, count, seed=1, kinds=[*KINDS, structure, structure, structure]),
              lambda: misc.load_pkl(path), is_plain_or_network)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_each_protocol(protocol, in_tmp):
    """Arrays in NumPy's own forms, and all kinds of containers."""
    path = in_tmp / 'a.pkl'
    value = (np.arange(6.0).reshape(2, 3), [1, 2.5, None], {'a': {3}, 'b': b'bytes'}, np.float32(2),
             bytearray(b'x'), 1 << 70, 2j, 'x' * 300, [str(number) for number in range(300)])
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    check_all(path, damaged(path.read_bytes(), 600, seed=protocol), lambda: misc.load_pkl(path),
              is_plain_or_network)


HUGE = {
    'text': b'\x80\x02X\xff\xff\xff\x7f.',
    'bytes': b'\x80\x04\x8e' + (1 << 40).to_bytes(8, 'little') + b'.',
    'bytes of 4': b'\x80\x04B\xff\xff\xff\xff.',
    'bytearray': b'\x80\x05\x96' + (1 << 33).to_bytes(8, 'little') + b'.',
    'frame': b'\x80\x04\x95' + (1 << 33).to_bytes(8, 'little') + b'N.',
    'place in the memo': b'\x80\x02}r\xff\xff\xff\x7f.',
    'place in the memo, as text': b'(dp2000000000\n.', 'number': b'\x80\x02\x8b\xff\xff\xff\x7f.',
    'string': b'\x80\x02T\xff\xff\xff\x7f.'
}


@pytest.mark.parametrize('data', HUGE.values(), ids=HUGE)
def test_sizes_in_a_pickle_reserve_no_memory(data, in_tmp):
    path = in_tmp / 'a.pkl'
    path.write_bytes(b'')
    assert check_all(path, [('', data)], lambda: misc.load_pkl(path), None) == 0


# ------------------------------------------------------------ weights and what metrics keep

def test_weights(in_tmp):
    """Checksums in the archive: what is read is what was saved, and an error changes nothing."""
    # Members of more than 4096 bytes: smaller ones are read whole, whatever their header says.
    net = tfutil.Network('G', 'networks.G_paper', num_channels=1, resolution=4, fmap_base=16,
                         fmap_max=16, latent_size=20)
    path = in_tmp / 'weights.npz'
    net.save_weights(path)
    saved = {name: var.numpy() for name, var in net.vars.items()}
    before = {name: np.full(value.shape, 7, np.float32) for name, value in saved.items()}

    def read():
        for name, value in before.items():
            net.set_var(name, value)
        try:
            net.load_weights(path)
        except UserError:
            assert all((net.get_var(name) == value).all() for name, value in before.items())
            raise

    def is_saved(result, data):
        for name, value in saved.items():
            np.testing.assert_array_equal(net.get_var(name), value)

    data = path.read_bytes()
    assert check_all(path, damaged(data, 800, seed=1), read, is_saved) < 500
    headers = [at + shift for at in find_all(data, b'\x93NUMPY') for shift in range(80)]
    check_all(path, damaged(data, 400, seed=2, kinds=[flips_within(headers)]), read, is_saved)
    check_all(path, half_precision(data), read, is_saved)


def find_all(data, part):
    start = data.find(part)
    while start >= 0:
        yield start
        start = data.find(part, start + 1)


def half_precision(data):
    """Two flipped bits make numbers of half the size, whose bytes end before the checksum is looked
    at.
    """
    for at in find_all(data, b'<f4'):
        yield f'<f2 at {at}', data[:at] + b'<f2' + data[at + 3:]


class KeepsArrays:
    """A metric, as far as its state goes."""

    def __init__(self):
        self.state = {
            'features': np.random.RandomState(0).randn(200, 8).astype(np.float32),
            'number': np.array(200)
        }

    def get_reals_state(self):
        return self.state

    def set_reals_state(self, state):
        self.state = dict(features=state['features'], number=state['number'])


def test_kept_reals(labelled):
    """A cache that is damaged is no cache; the random numbers and the data set's position stay as
    they were.
    """
    folder, _ = labelled
    dset, metric = dataset.TFRecordDataset(folder), KeepsArrays()
    kept = metric.state
    cache = RealsCache('cache', dset, [metric], ['name'], {'num_images': 3})
    np.random.seed(1)
    name, start = cache.path(), np.random.get_state()
    np.random.rand(3)
    expected = np.random.get_state()
    dset.position = 5
    cache.save(name, [1.5, float('nan')])
    path = types.SimpleNamespace(
        **{
            key: getattr(labelled[1].parent.parent / name, key)
            for key in ('read_bytes', 'write_bytes', 'name')
        })

    def read():
        np.random.set_state(start)
        dset.position, metric.state = 0, None
        return cache.load()

    def is_kept_or_nothing(result, data):
        if result is None:
            assert (np.random.get_state()[1] == start[1]
                    ).all() and np.random.get_state()[2] == start[2] and dset.position == 0
            return
        assert result[0] == 1.5 and np.isnan(result[1]) and dset.position == 5
        assert np.random.get_state()[2] == expected[2] and (np.random.get_state()[1]
                                                            == expected[1]).all()
        for key, value in kept.items():
            np.testing.assert_array_equal(metric.state[key], value)

    data = path.read_bytes()
    is_kept_or_nothing(read(), data)
    headers = [at + shift for at in find_all(data, b'\x93NUMPY') for shift in range(80)]
    for cases in (damaged(data, 800,
                          seed=1), damaged(data, 600, seed=2, kinds=[flips_within(headers)]),
                  half_precision(data), other_shapes(data)):
        check_all(path, cases, read, is_kept_or_nothing)


def other_shapes(data):
    for text, other in ((b'(624,)', b'(24,) '), (b'(2,)', b'(1,)'), (b'(200, 8)', b'(200, 4)'),
                        (b"'<i8'", b"'<i1'"), (b"'<f8'", b"'<f2'")):
        yield f'{text} as {other}', data.replace(text, other)


# ------------------------------------------------------------ config.txt

@pytest.fixture
def run_folder(labelled):
    """The config.txt of a run that was trained on the data set toy."""
    os.makedirs('results/000-run')
    misc.write_config(
        'results/000-run', {
            'data_dir': '.',
            'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full', 'shuffle_mb': 10},
            'train': {'func': 'train.train_progressive_gan', 'mirror_augment': True}, 'desc': 'run'
        })
    return labelled[1].parent.parent / 'results' / '000-run'


CONFIGS = [
    '', 'dataset', 'dataset = ', 'dataset = {}', 'dataset = 5', 'dataset = {1: 2}',
    "dataset = {'tfrecord_dir': 3}", "dataset = {'tfrecord_dir': 'toy', 1: 2}",
    "dataset = {'tfrecord_dir': None}", "dataset = {'h5_path': 3}",
    "dataset = {'tfrecord_dir': 'toy', 'max_labels': []}",
    "dataset = {'tfrecord_dir': 'toy', 'max_label_size': {}}",
    "dataset = {'tfrecord_dir': 'a\\0b'}", "dataset = {'tfrecord_dir': 'toy', 'shuffle_mb': 'x'}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'label_file': 3}",
    "dataset = {'tfrecord_dir': 'toy', 'label_file': 'a\\0b', 'max_label_size': 1}",
    "dataset = {'tfrecord_dir': 'toy', 'resolution': '8'}", "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': 3}", "dataset = {'tfrecord_dir': 'toy', 'class_name': ''}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': '..'}", "dataset = {'tfrecord_dir': 'toy', 'class_name': 'dataset'}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': 'dataset.np.pi'}", "dataset = {'tfrecord_dir': 'toy', 'data_dir': 3}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'random_seed': 2.5}", "dataset = {'tfrecord_dir': 'toy', 'resolution': 10 ** 9}",
    'dataset = ' + '[' * 5000, 'dataset = ' + '-' * 100000 + '1',
    "dataset = {'tfrecord_dir': '" + 'x' * 300 + "'}", "dataset = {'tfrecord_dir': '\\ud800'}",
    'train = {}', 'dataset = {"a": ' * 300
]


def test_config(run_folder):
    path = run_folder / 'config.txt'

    def is_dataset(result, data):
        dset, mirror = result
        assert isinstance(dset, dataset.Dataset)
        assert dset.get_minibatch_np(2)[0].shape[0] == 2

    def read():
        return misc.load_dataset_for_previous_run(0, 'results', data_dir='.')

    data = path.read_bytes()
    assert check_all(path, damaged(data, 1500, seed=1), read, is_dataset, names=' ') < 1300
    check_all(path, ((text[:60], text.encode()) for text in CONFIGS), read, is_dataset, names=' ')


# ------------------------------------------------------------ log.txt and pictures

LOGS = [
    'tick 1     kimg ' + '9' * 400 + '.0 lod 0.00 minibatch 4    time 5s           sec/tick 1',
    'tick 1     kimg 1.0 lod 0.00 minibatch 4    time ' + '9' * 400 + 's           sec/tick 1',
    'tick 1     kimg 1.0 lod 0.00 minibatch 4    time ' + '9' * 5000 + 's           sec/tick 1',
    'tick 1     kimg ١٢.٣ lod ٠.٠ minibatch 4    time ٥s           sec/tick 1',
    'tick 1     kimg ²² lod 0.00 minibatch 4    time 5s           sec/tick 1',
    'tick 1 kimg 1.0 lod 0.00 ' + 'time 1 ' * 20000, 'tick ' + ' ' * 200000,
    'tick 1 kimg 1.0 lod 1.0 time ' + '1' * 100000,
    'tick 1 kimg 1.0 lod ' + '9' * 10000 + '.0 minibatch 4    time 5s           sec/tick 1'
]


def test_log(run_folder):
    path = run_folder / 'log.txt'
    shutil.copy(GOLDEN / 'sample_log.txt', path)
    data = path.read_bytes()
    for tick in training_video.parse_log(data.decode()):
        PIL.Image.new('L', (64, 64)).save(run_folder / f'fakes{int(tick.kimg):06d}.png')

    def is_watchable(result, data):
        frames = training_video.TrainingFrames(result, 20.0, 1.5)
        for t in (0, 7, 20, 30):
            assert frames.at(t).shape == (64, 64, 3)

    def read():
        return training_video.find_snapshots(os.fspath(run_folder))

    check_all(path, damaged(data, 500, seed=1), read, is_watchable, names='000-run')
    check_all(path, ((text[:60], text.encode()) for text in LOGS), read, is_watchable,
              names='000-run')


@pytest.mark.parametrize('ending', ['png', 'jpg'])
def test_pictures(ending, in_tmp):
    path = in_tmp / f'fakes000001.{ending}'
    misc.save_image(
        np.random.RandomState(0).randint(0, 256, [3, 24, 24]), str(path), drange=[0, 255])
    data = path.read_bytes()

    def is_picture(result, data):
        assert result.ndim == 3 and result.shape[2] == 3 and result.dtype in (np.uint8, np.float32)

    cases = damaged(data, 600, seed=1, kinds=[*KINDS, flips_within(range(60))])
    check_all(path, cases, lambda: training_video.read_picture(str(path)), is_picture)


# ------------------------------------------------------------ the test itself

def test_damage_is_damage():
    """Nearly all versions differ from the original, and all kinds occur."""
    data = bytes(range(256)) * 8
    cases = list(damaged(data, 400, seed=0))
    counts = collections.Counter(case.partition(',')[0] for case, _ in cases)
    assert len(counts) == len(KINDS) and set(counts.values()) == {50}
    assert sum(version != data for _, version in cases) > 390
