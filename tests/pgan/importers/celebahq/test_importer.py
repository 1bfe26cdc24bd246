"""The CelebA-HQ importer: the command on toy trees, killed and restarted, and on bad input."""
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import types
import zipfile

import numpy as np
import PIL.Image
import pytest

import dataset_tool
from pgan.data import records
from pgan.data.writer import TFRecordExporter
from pgan.importers.celebahq import importer
from pgan.importers.celebahq.image_cache import ImageCache
from pgan.importers.celebahq.importer import average, reduce
from tests.support.celebahq_inputs import (
    CELEBA,
    DELTAS,
    IMAGES,
    UNPADDED,
    counts,
    md5,
    set_counts,
    write_tree,
)
from tests.support.data_inputs import fails
from tests.support.faults import file_size_limit, tree
from tests.support.golden import ROOT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('jpeglib') is None, reason='jpeglib has no wheel for this machine')


# --------------------------------------------------------------------------------------------------
# The data set.

def shuffled(values):
    order = np.arange(len(values))
    np.random.RandomState(123).shuffle(order)
    return [values[index] for index in order]


def pixels(path):
    file = records.open_records(str(path))
    return file.read(np.arange(file.num_images))


def check_dataset(folder, files):
    """Whether a data set holds the given golden images, by MD5 sum, shuffled as in the original."""
    images = pixels(folder / f'{folder.name}-r10.tfrecords')
    assert [md5(image)
            for image in images] == shuffled([IMAGES[name]['final_md5'] for name in files])
    assert len(os.listdir(folder)) == 9
    return images


@pytest.fixture
def pair(in_tmp, monkeypatch):
    """A toy tree in the current folder, with two photographs that are fast to process."""
    write_tree(in_tmp, UNPADDED)
    set_counts(monkeypatch, 2)
    return in_tmp


def run(*options, target='hq'):
    dataset_tool.main(
        ['create_celebahq', target, 'celeba', 'deltas', '--num_threads', '2', *map(str, options)])


@pytest.mark.slow
def test_the_toy_tree_becomes_the_data_set_of_the_original(in_tmp, monkeypatch, capsys):
    set_counts(monkeypatch, len(IMAGES))
    dataset_tool.main([
        'create_celebahq', 'hq',
        str(CELEBA),
        str(DELTAS), '--num_threads', '2', '--num_tasks', '3'
    ])
    images = check_dataset(in_tmp / 'hq', list(IMAGES))
    assert os.listdir() == ['hq']
    for size, log2 in ((2, 9), (4, 8), (256, 2)):
        means = images.reshape(7, 3, 1024 // size, size, 1024 // size, size).mean(axis=(3, 5))
        assert np.array_equal(pixels(f'hq/hq-r{log2:02d}.tfrecords'), np.rint(means))
    lines = capsys.readouterr().out.splitlines()
    # The original's output, and one additional line.
    assert lines[:5] == [
        f'Loading CelebA from "{CELEBA}"', f'Loading CelebA-HQ deltas from "{DELTAS}"',
        f'7 of 7 images are finished, in "{in_tmp}/hq.cache"', 'Creating dataset "hq"',
        'Added 7 images.'
    ]


@pytest.mark.parametrize('resolution', [512, 256])
def test_lower_resolutions_are_the_lower_levels(resolution, in_tmp):
    """Reducing, caching and averaging gives the same lower levels as the 1024x1024 data set."""
    images = np.random.RandomState(0).randint(0, 256, [3, 3, 1024, 1024], dtype=np.uint8)
    for name, exported in (('a', images),
                           ('b', [average(reduce(image, resolution)) for image in images])):
        with TFRecordExporter(name, 3, print_progress=False) as out:
            for image in exported:
                out.add_image(image)
    for log2 in range(2, resolution.bit_length()):
        assert pathlib.Path(f'a/a-r{log2:02d}.tfrecords').read_bytes() == pathlib.Path(
            f'b/b-r{log2:02d}.tfrecords').read_bytes()
    assert len(os.listdir('b')) == resolution.bit_length() - 2


@pytest.mark.slow
def test_single_images_and_a_lower_resolution(pair, capsys):
    run('--only', 1, 1, 0, '--resolution', 256)
    out = capsys.readouterr().out
    assert out.count('both MD5 sums are correct') == 2
    assert f'Image 1 (\'000002.jpg\'): both MD5 sums are correct; "{pair}/hq-only/00001.png"' in out
    assert sorted(os.listdir()) == ['celeba', 'deltas', 'hq-only']
    run('--resolution', 256, target='small')
    written = pixels('small/small-r08.tfrecords')
    shown = [
        np.asarray(PIL.Image.open(f'hq-only/0000{index}.png')).transpose(2, 0, 1)
        for index in (0, 1)
    ]
    assert np.array_equal(written, np.stack(shuffled(shown))) and written.shape == (2, 3, 256, 256)


@pytest.mark.parametrize('options, words', [
    (['--only', '2'], '--only must be numbers of images, from 0 to 1. Received: 2.'),
    (['--only', '0', '-1', '99'], '--only must be numbers of images, from 0 to 1. Received: -1, '
                                  '99.'),
    (['--resolution', '128'], '--resolution must be 1024, 512, 256. Received: 128.'),
    (['--num_threads', '0'], '--num_threads must be at least 1. Received: 0.'),
    (['--num_tasks', '-3'], '--num_tasks must be at least 1. Received: -3.')])
def test_wrong_options_are_refused_at_once(options, words, pair, capsys):
    assert words in fails(['create_celebahq', 'hq', 'celeba', 'deltas', *options], capsys)
    assert sorted(os.listdir()) == ['celeba', 'deltas']


def test_what_is_no_number_of_an_image_is_refused(pair, capsys):
    with pytest.raises(SystemExit) as caught:
        run('--only', 'x')
    assert caught.value.code == 2 and "invalid int value: 'x'" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------
# Interrupted and restarted.

TOY = """
import sys
import dataset_tool
from pgan.importers.celebahq import importer
vars(importer).update({counts})
dataset_tool.main(['create_celebahq', 'hq', 'celeba', 'deltas', *sys.argv[1:]])
"""


def start(num_images, *options):
    """The command in a process group of its own."""
    return subprocess.Popen([sys.executable, '-c',
                             TOY.format(counts=counts(num_images)), *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env={**os.environ, 'PYTHONPATH': str(ROOT)}, start_new_session=True)


def finished():
    return [name for name in os.listdir('hq.cache')
            if name.endswith('.image')] if os.path.isdir('hq.cache') else []


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'nothing has happened'
        time.sleep(0.02)


def workers_of(process):
    children = pathlib.Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
    return [
        int(child) for child in children
        if b'spawn_main' in pathlib.Path(f'/proc/{child}/cmdline').read_bytes()
    ]


def is_alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_kills_cost_nothing(in_tmp):
    """Kill a worker, the main process, or the whole group: finished images are not computed again,
    and the result is the same.
    """
    files = ['000001.jpg', '000002.jpg', '000003.jpg', '000004.jpg']
    write_tree(in_tmp, files)
    process = start(4, '--num_threads', '1')
    wait_for(finished)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1 and err.startswith(
        'error: a worker process was killed') and '--num_threads 1.' in err
    first = finished()
    assert f'{len(first)} of 4 images are finished, in "{in_tmp}/hq.cache"' in out

    process = start(4, '--num_threads', '1')
    wait_for(lambda: len(finished()) > len(first))
    workers = workers_of(process)
    process.kill()
    process.communicate(timeout=120)
    wait_for(lambda: not any(map(is_alive, workers)), 30)  # the workers notice by themselves

    process = start(4, '--num_threads', '2')
    wait_for(lambda: len(workers_of(process)) == 2)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    kept = finished()
    assert 2 <= len(kept) and not os.path.exists('hq')
    # as left behind by a kill between the two
    pathlib.Path('hq.cache/.00003.image.01234567.tmp').write_bytes(b'half')

    for name in kept:  # A run that recomputed these would fail.
        pathlib.Path('celeba/img_celeba', files[int(name[:5])]).write_bytes(b'')
    # but the first one is always checked
    shutil.copy(CELEBA / 'img_celeba' / '000001.jpg', 'celeba/img_celeba')
    process = start(4, '--num_threads', '2')
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert len(
        kept) == 4 or f'Continuing with {len(kept)} finished images in "{in_tmp}/hq.cache"' in out
    check_dataset(in_tmp / 'hq', files)
    assert sorted(os.listdir()) == ['celeba', 'deltas', 'hq']


@pytest.mark.slow
@pytest.mark.parametrize('number, code, word', [(signal.SIGINT, 130, 'interrupted'),
                                                (signal.SIGTERM, 143, 'stopped by SIGTERM')])
def test_interrupting_keeps_what_is_finished(number, code, word, in_tmp):
    write_tree(in_tmp, UNPADDED)
    process = start(2, '--num_threads', '1')
    wait_for(finished)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code and f'{word}: no data set was written' in err
    assert re.search(r'[12] of 2 images are finished, in "', out) and finished()
    assert not os.path.exists('hq')


def test_a_cache_is_for_one_process_at_a_time(pair, capsys):
    with ImageCache(f'{pair}/hq.cache', [3, 1024, 1024], np.uint8):
        message = fails(['create_celebahq', 'hq', 'celeba', 'deltas'], capsys)
        assert f"another process is working in the folder '{pair}/hq.cache'" in message
        assert os.path.isdir('hq.cache')
    assert sorted(os.listdir()) == ['celeba', 'deltas']


@pytest.mark.slow
def test_a_damaged_file_of_the_cache_is_made_anew(pair, capsys):
    with importer.CelebAHQ('hq', 'celeba', 'deltas', resolution=1024, num_workers=2,
                           num_ahead=100) as images:
        source = images.load()
        path = pathlib.Path('hq.cache/00001.image')
        # not 0 before, as the image's MD5 sum shows
        path.write_bytes(path.read_bytes()[:-1] + b'\0')
        assert [md5(image) for _, image in source.fetch([0, 1])
                ] == [IMAGES[name]['final_md5'] for name in UNPADDED]
    assert 'The file of image 1 (\'000002.jpg\') in' in capsys.readouterr().out
    pathlib.Path('hq.cache/mine.txt').write_text('kept')  # foreign files are kept
    with importer.CelebAHQ('hq', 'celeba', 'deltas', resolution=1024, num_workers=4,
                           num_ahead=100) as images:
        images.load()
        images.clear()
    assert os.listdir('hq.cache') == ['mine.txt']


@pytest.mark.slow
def test_a_full_disk_stops_the_command_and_costs_nothing(pair, capsys):
    """The system does not let files grow; workers inherit the limit."""
    with file_size_limit(1 << 20):
        message = fails(['create_celebahq', 'hq', 'celeba', 'deltas', '--num_threads', '1'], capsys)
    assert "Cannot write '" in message and 'hq.cache/0000' in message
    assert 'File too large' in message and 'Free some space' in message
    assert sorted(os.listdir()) == ['celeba', 'deltas']


def test_a_disk_that_is_too_small_is_refused_before_the_work(pair, capsys, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda path: types.SimpleNamespace(free=10**6))
    message = fails(['create_celebahq', 'hq', 'celeba', 'deltas'], capsys)
    assert '14.7MB are needed' in message and '1.00MB are free' in message
    assert '--resolution' in message
    assert sorted(os.listdir()) == ['celeba', 'deltas']


def test_folders_that_cannot_be_made_are_named(pair, capsys):
    (pair / 'hq.cache').write_text('')
    assert f"Cannot create the folder '{pair}/hq.cache': File exists" in fails(
        ['create_celebahq', 'hq', 'celeba', 'deltas'], capsys)
    (pair / 'file').write_text('')
    assert "'" + str(pair / 'file') + "' is a file" in fails(
        ['create_celebahq', 'file/hq', 'celeba', 'deltas'], capsys)
    assert "Cannot create the folder '/proc/hq.cache'" in fails(
        ['create_celebahq', '/proc/hq', 'celeba', 'deltas'], capsys)
    assert "Cannot create the folder '/proc/hq-only'" in fails(
        ['create_celebahq', '/proc/hq', 'celeba', 'deltas', '--only', '0'], capsys)


@pytest.mark.slow
def test_a_data_set_that_is_there_is_replaced_on_force_only(pair, capsys):
    os.makedirs('hq')
    pathlib.Path('hq/hq-r02.tfrecords').write_bytes(b'old')
    assert '--force' in fails(['create_celebahq', 'hq', 'celeba', 'deltas'], capsys)
    assert tree('hq') == {'hq-r02.tfrecords': b'old'} and sorted(
        os.listdir()) == ['celeba', 'deltas', 'hq']
    run('--force')
    check_dataset(pair / 'hq', UNPADDED)


# --------------------------------------------------------------------------------------------------
# Bad input.

def refused(capsys, *words):
    """The command fails with one paragraph and leaves nothing behind."""
    before = set(os.listdir())
    message = fails(['create_celebahq', 'hq', 'celeba', 'deltas', '--num_threads', '1'], capsys)
    for word in words:
        assert word in message, message
    assert message.count('\n') == 1 and set(os.listdir()) - {'hq.cache'} == before
    return message


def edit(path, function):
    path = pathlib.Path(path)
    path.write_text(function(path.read_text()))


def test_wrong_counts_are_named(pair, capsys, monkeypatch):
    os.unlink('celeba/img_celeba/000008.jpg')
    refused(capsys, "Expected to find 8 images, *.jpg, in 'celeba/img_celeba'. Received: 7.")
    shutil.copy('celeba/img_celeba/000007.jpg', 'celeba/img_celeba/000008.jpg')
    os.rename('celeba/img_celeba/000002.jpg', 'celeba/img_celeba/x.jpg')
    refused(capsys, "1 photographs are missing in 'celeba/img_celeba', e.g. 000002.jpg.")
    monkeypatch.setattr(importer, 'NUM_IMAGES', 30000)
    refused(capsys, "'deltas/image_list.txt' is not complete. Expected 30000 images. Received: 2.")
    monkeypatch.setattr(importer, 'NUM_PHOTOGRAPHS', 202599)
    refused(capsys, 'Expected landmarks of 202599 images. Received: 8.')


def test_missing_files_are_named(pair, capsys):
    os.rename('deltas/deltas00000.zip', 'deltas/deltas00000.zip.part')
    refused(capsys, "Expected to find 1 archives of deltas, *.zip, in 'deltas'. Received: 0. "
                    'Missing: deltas00000.zip.')
    os.rename('deltas/image_list.txt', 'deltas/list.txt')
    refused(capsys, "'deltas/image_list.txt' does not exist", 'Found there: deltas00000.zip.part, '
                                                              'list.txt.')
    os.rename('celeba/Anno', 'celeba/anno-wild')
    refused(capsys, 'list_landmarks_celeba.txt', 'does not exist',
            'Found there: anno-wild, img_celeba.')
    os.rename('celeba', 'elsewhere')
    refused(capsys, "the folder 'celeba' does not exist")
    os.rename('elsewhere', 'celeba')
    os.rename('celeba/anno-wild', 'celeba/Anno')
    os.rename('deltas/list.txt', 'deltas/image_list.txt')
    os.rename('celeba/img_celeba', 'celeba/images')
    refused(capsys, "'celeba/img_celeba' does not exist", 'Found there: Anno, images.')


@pytest.mark.parametrize('line, change, words', [
    (3, lambda line: line.replace('262', 'x'), "line 3 of 'celeba/Anno/list_landmarks_celeba.txt' "
                                               'is damaged'),
    (4, lambda line: line[:-6], "line 4 of 'celeba/Anno/list_landmarks_celeba.txt' is damaged"),
    (5, lambda line: '', "line 5 of 'celeba/Anno/list_landmarks_celeba.txt' is damaged"),
    (5, lambda line: line.replace('355', 'nan'), 'Expected the name of a file and ten numbers'),
    (3, lambda line: line.replace('000001', '000009'), 'row 0 has idx 0, orig_idx 0, 000001.jpg, '
                                                       'and that line of the landmarks is for '
                                                       '000009.jpg')])
def test_damaged_landmarks_are_named(line, change, words, pair, capsys):
    def damage(text):
        lines = text.split('\n')
        lines[line - 1] = change(lines[line - 1])
        return '\n'.join(lines)
    edit('celeba/Anno/list_landmarks_celeba.txt', damage)
    refused(capsys, words)


@pytest.mark.parametrize('old, new, words', [
    ('final_md5', 'md5', 'Expected the columns idx, orig_idx, orig_file, proc_md5, final_md5 in '
                         'its first line'),
    (IMAGES['000001.jpg']['proc_md5'], 'z' * 32, "line 2 of 'deltas/image_list.txt' is damaged"),
    (IMAGES['000001.jpg']['proc_md5'], '12', "line 2 of 'deltas/image_list.txt' is damaged"),
    (IMAGES['000002.jpg']['final_md5'], '', "line 3 of 'deltas/image_list.txt' is damaged"),
    ('\n0 ', '\n5 ', 'row 0 has idx 5'),
    ('\n1           1 ', '\n1           77 ', 'that line of the landmarks is for nothing')])
def test_a_damaged_list_is_named(old, new, words, pair, capsys):
    edit('deltas/image_list.txt', lambda text: text.replace(old, new))
    refused(capsys, words)


def test_damaged_archives_are_named_before_the_work(pair, capsys):
    path = pathlib.Path('deltas/deltas00000.zip')
    data = path.read_bytes()
    path.write_bytes(data[:5000])
    refused(capsys, "'deltas/deltas00000.zip' cannot be read", 'was not downloaded completely')
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('delta00000.dat', b'')
    refused(capsys, "'deltas/deltas00000.zip' lacks 1 of its 2 deltas, e.g. 'delta00001.dat'")


def test_a_first_photograph_that_decodes_otherwise_is_refused(pair, capsys):
    shutil.copy('celeba/img_celeba/000002.jpg', 'celeba/img_celeba/000001.jpg')
    refused(capsys, "'celeba/img_celeba/000001.jpg' does not decode to the expected pixels",
            'Expected: 9c0c543aa242339b9e44ef3f76591b1c', 'img_celeba.7z')


@pytest.mark.slow
def test_a_photograph_that_is_not_the_original_is_named_and_the_others_are_kept(pair, capsys):
    data = pathlib.Path('celeba/img_celeba/000002.jpg').read_bytes()
    # libjpeg decodes it nevertheless
    pathlib.Path('celeba/img_celeba/000002.jpg').write_bytes(data[:-2000])
    refused(capsys, "1 of 2 images cannot be rebuilt. image 1 ('000002.jpg'): ",
            'Stage to suspect: the JPEG file.', 'so that is not the original file',
            'Finished images are kept: fix the cause and run '
            'the same command again.')
    assert finished() == ['00000.image']
    message = fails(['create_celebahq', 'hq', 'celeba', 'deltas', '--only', '1'], capsys)
    assert '1 of 1 images cannot be rebuilt' in message
    assert 'Stage to suspect: the JPEG file.' in message
    assert os.listdir('hq-only') == []
    pathlib.Path('celeba/img_celeba/000002.jpg').write_bytes(data)
    run()
    check_dataset(pair / 'hq', UNPADDED)


def test_it_gives_up_when_nothing_works(pair, capsys, monkeypatch):
    monkeypatch.setattr(importer, 'MAX_FAILURES', 2)
    monkeypatch.setattr(importer, 'check_first', lambda folder: None)
    for name in UNPADDED:
        pathlib.Path('celeba/img_celeba', name).write_bytes(b'no jpeg')
    refused(capsys, 'Gave up after 2 images that cannot be rebuilt. The first: image 0 (',
            "000001.jpg' is not an image that Pillow can read",
            "The others: image 1 ('000002.jpg'); see "
            'the lines above.')
    assert sorted(os.listdir()) == ['celeba', 'deltas']


def test_lines_tell_of_progress_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(importer, 'SECONDS_BETWEEN_LINES', 100)
    now = [0.0]
    monkeypatch.setattr(importer.time, 'monotonic', lambda: now[0])
    progress = importer._Progress(1000, 200)
    for done, seconds in ((210, 10), (300, 100), (350, 150), (400, 200)):
        now[0] = float(seconds)
        progress.update(done)
    progress.close()
    assert capsys.readouterr().out.splitlines() == ['300 of 1000 images are finished; 11:40 left',
                                                    '400 of 1000 images are finished; 10:00 left']
