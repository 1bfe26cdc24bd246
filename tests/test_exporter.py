"""Writing data sets: whole or not at all, and never over what somebody needs."""
import os
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
from conftest import ROOT
from data_inputs import fails

import dataset_tool
import records
from errors import DataError
from importers import exporter
from importers.exporter import TFRecordExporter


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


def test_a_disk_too_small_is_noticed_at_once(in_tmp):
    with pytest.raises(DataError, match=r'100000000000000 images need [0-9]+\.[0-9] GB, and [0-9.]+ GB are free'):
        with TFRecordExporter('out', 10 ** 14) as out:
            out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert os.listdir() == []


def test_a_full_disk_leaves_nothing(in_tmp, monkeypatch):
    def full(path):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(exporter, '_flush_to_disk', full)
    with pytest.raises(DataError, match='No space left'), TFRecordExporter('out', 1) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert os.listdir() == []


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


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_leaves_no_data_set(number, in_tmp, capsys):
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
    process.send_signal(number)
    assert process.wait(30) == (128 + number if number == signal.SIGTERM else -number)
    process.stderr.close()
    if number == signal.SIGKILL:  # which leaves no time to tidy up: the next run does
        assert not os.path.exists('out')
        with pytest.raises(SystemExit):
            dataset_tool.main(['create_from_images', 'out', 'nowhere'])
        assert f'.out.partial-{process.pid}", left behind by a killed process' in capsys.readouterr().out
    assert os.listdir() == ['in']


def test_labels_have_the_short_header():
    for shape in ((50000, 10), (3, 100), (1, 0), (123456789, 4)):
        values = np.zeros(shape if shape[0] < 1e6 else (1, 4), np.float32)
        data = exporter.npy_bytes(values)
        assert (len(data) - values.nbytes) % 16 == 0 and data.startswith(b'\x93NUMPY\x01\x00')
    assert len(exporter.npy_bytes(np.zeros([50000, 10], np.float32))) == 2000080
