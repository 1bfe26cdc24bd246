"""Writing data sets: atomic, and never over foreign files."""
import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest

import dataset_tool
from pgan.data import records, writer
from pgan.data.writer import TFRecordExporter
from pgan.errors import DataError
from tests.support.data_inputs import fails
from tests.support.faults import Disk
from tests.support.golden import ROOT


def test_an_existing_dataset_is_never_overwritten(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    before = {path.name: path.read_bytes() for path in (images / 'out').iterdir()}
    assert 'exists and is not empty' in fails(['create_from_images', 'out', 'in', '--shuffle', '0'],
                                              capsys)
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


@pytest.mark.parametrize('name, words', [('', 'is empty'), (' ', 'is empty'),
                                         ('.', 'the current folder or one above'),
                                         ('..', 'the current folder or one above'),
                                         ('out/..', 'the current folder'), ('/', 'one above')])
@pytest.mark.parametrize('force', [False, True])
def test_the_current_folder_is_never_the_target(name, words, force, images, capsys):
    assert words in fails(['create_from_images', name, 'in', *['--force'] * force], capsys)
    assert len(os.listdir('in')) == 5 and os.listdir(images) == ['in']


def test_an_empty_current_folder_is_not_the_target_either(images, capsys, monkeypatch):
    (images / 'here').mkdir()
    monkeypatch.chdir('here')
    assert 'the current folder' in fails(['create_from_images', '.', '../in'], capsys)
    assert 'the current folder' in fails(
        ['create_from_images', str(images / 'here'), '../in'], capsys)


def test_a_target_below_a_file_is_refused(images, capsys):
    (images / 'file').write_text('')
    for name in ('file/out', 'file/more/out'):
        assert f"{str(images / 'file')!r} is a file" in fails(['create_from_images', name, 'in'],
                                                              capsys)
    assert 'not a folder' in fails(['create_from_images', 'file', 'in', '--force'], capsys)


@pytest.mark.parametrize('command', ['create_from_images', 'extract'])
def test_the_home_of_an_unknown_user_is_refused(images, capsys, command):
    if command == 'extract':
        dataset_tool.main(['create_from_images', 'out', 'in'])
    source = 'out' if command == 'extract' else 'in'
    words = [source, '~no-such-user/x'] if command == 'extract' else ['~no-such-user/x', source]
    assert 'home of a user who does not exist' in fails([command, *words], capsys)
    assert not os.path.exists('~no-such-user')


@pytest.mark.parametrize('name', ['thesis.txt', 'photos.tfrecords/one.jpg'])
@pytest.mark.parametrize('force', [False, True])
def test_what_comes_to_the_target_during_a_long_run_is_kept(name, force, images):
    precious = images / 'out' / name
    with pytest.raises(DataError,
                       match='exists and is not empty|is not replaced'), TFRecordExporter(
                           'out', 1, force=force) as out:
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
    with pytest.raises(DataError, match='thesis.txt'), TFRecordExporter('out', 1,
                                                                        force=True) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert sorted(os.listdir('out')) == ['out-r02.tfrecords', 'thesis.txt'] and sorted(
        os.listdir()) == ['in', 'out']


def test_a_link_to_a_data_set_is_followed(images):
    (images / 'real').mkdir()
    os.symlink('real', 'out')
    for force in ([], ['--force']):
        dataset_tool.main(['create_from_images', 'out', 'in', *force])
        assert os.path.islink('out') and os.listdir('real') == ['out-r02.tfrecords']
    assert sorted(os.listdir()) == ['in', 'out', 'real']


def test_leftovers_of_killed_processes_are_cleared_away(images, capsys):
    stale, foreign = images / '.out.partial-abcd1234', images / '.out.partial-abcd1235'
    others = [
        images / name for name in ('.other.partial-abcd1234', '.out.partial-1',
                                   '.out.partial-abcd1234.bak', 'out.partial-abcd1234')
    ]
    for folder in (stale, foreign, *others):
        folder.mkdir()
        (folder / 'out-r02.tfrecords').write_bytes(b'half')
    (foreign / 'thesis.txt').write_text('years of work')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    lines = capsys.readouterr().out.splitlines()
    assert f'Removed "{stale}", left behind by a killed process' in lines
    assert any(line.startswith(f'Cannot remove "{foreign}", which may') for line in lines)
    assert sorted(os.listdir()) == sorted(
        ['in', 'out', foreign.name, *(folder.name for folder in others)])
    assert len(os.listdir(foreign)) == 2


WRITE = """
import sys, time
import numpy as np
from pgan.data.writer import TFRecordExporter
with TFRecordExporter('out', 2, print_progress=False) as out:
    out.add_image(np.zeros([1, 4, 4], np.uint8))
    print('writing', flush=True)
    sys.stdin.read()
    out.add_image(np.zeros([1, 4, 4], np.uint8))
"""


@pytest.mark.parametrize('namespace', [[], ['unshare', '--pid', '--fork']])
def test_two_do_not_write_one_data_set(namespace, images, capsys):
    """Process ids do not matter: containers number their own processes from 1."""
    if namespace and subprocess.run([*namespace, 'true'], capture_output=True).returncode:
        pytest.skip('needs to be allowed to make process namespaces')
    process = subprocess.Popen([*namespace, sys.executable, '-c', WRITE], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert process.stdout.readline() == b'writing\n'
    assert "another process is writing the data set 'out'" in fails(
        ['create_from_images', 'out', 'in'], capsys)
    process.communicate(b'')
    assert process.returncode == 0 and records.open_records('out/out-r02.tfrecords').num_images == 2
    assert sorted(os.listdir()) == ['in', 'out']


@pytest.mark.parametrize('empty_target', [False, True])
def test_a_data_set_that_was_being_replaced_comes_back(empty_target, images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    before = (images / 'out' / 'out-r02.tfrecords').read_bytes()
    os.rename('out', '.out.partial-abcd1234-old')
    os.mkdir('.out.partial-abcd1234')
    if empty_target:
        os.mkdir('out')
    capsys.readouterr()
    with pytest.raises(SystemExit):
        dataset_tool.main(['create_from_images', 'out', 'in'])
    captured = capsys.readouterr()
    assert 'Restored "out"' in captured.out and 'exists and is not empty' in captured.err
    assert (images / 'out' / 'out-r02.tfrecords').read_bytes() == before and sorted(
        os.listdir()) == ['in', 'out']


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
    ([(3, 8, 8), (3, 4, 4)], 2, 'must have the same shape'),
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
    with pytest.raises(DataError, match=r'\[1, components\].*\[2, 3\]'), TFRecordExporter('out',
                                                                                          1) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
        out.add_labels(np.zeros([2, 3]))
    assert os.listdir() == []


def test_exporter_refuses_labels_that_are_not_finite(in_tmp):
    with pytest.raises(DataError,
                       match='labels of image 1 are not finite'), TFRecordExporter('out', 2) as out:
        for _ in range(2):
            out.add_image(np.zeros([1, 4, 4], np.uint8))
        out.add_labels(np.array([[0, 1], [np.nan, 0]]))
    assert os.listdir() == []


def test_fewer_images_will_do_when_told_so(in_tmp):
    with TFRecordExporter('out', 5, exact=False) as out:
        out.add_image(np.zeros([1, 4, 4], np.uint8))
    assert os.listdir('out') == ['out-r02.tfrecords']


def test_a_disk_too_small_is_noticed_at_once(in_tmp):
    with pytest.raises(DataError,
                       match=r'1000000000000 images need 16.6PB, and [0-9.]+[kMGT]B are free'):
        with TFRecordExporter('out', 10 ** 12) as out:
            out.add_image(np.zeros([3, 64, 64], np.uint8))
    assert os.listdir() == []


def test_a_full_disk_leaves_nothing(in_tmp, monkeypatch):
    def full(path):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(writer, 'sync', full)
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


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_killed_process_leaves_no_data_set(number, in_tmp, capsys):
    """A real process, killed while it writes."""
    (in_tmp / 'in').mkdir()
    PIL.Image.fromarray(np.zeros([1024, 1024, 3], np.uint8)).save('in/0.png')
    for index in range(1, 3000):
        os.link('in/0.png', f'in/{index}.png')
    process = subprocess.Popen(
        [sys.executable,
         str(ROOT / 'dataset_tool.py'), 'create_from_images', 'out', 'in'],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not any((path / 'out-r10.tfrecords').exists()
                  for path in in_tmp.glob('.out.partial-*')) and time.monotonic() < deadline:
        time.sleep(0.05)
    partial, = in_tmp.glob('.out.partial-*')
    assert process.poll() is None
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGKILL:  # no time to clean up: the next run does it
        assert not os.path.exists('out')
        with pytest.raises(SystemExit):
            dataset_tool.main(['create_from_images', 'out', 'nowhere'])
        assert f'Removed "{partial}", left behind by a killed process' in capsys.readouterr().out
    else:
        assert f'stopped by {number.name}: no data set was written.' in message.decode()
    assert os.listdir() == ['in']


def run_tool(*argv, **kwargs):
    return subprocess.Popen([sys.executable, str(ROOT / 'dataset_tool.py'), *argv],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)


def test_nobody_has_to_read_the_output(images):
    """As with `| head -1`: a data set is created all the same; commands that only print end
    quietly.
    """
    for argv, code in ((['create_from_images', 'out',
                         'in'], 0), (['info', 'out'], 141), (['compare', 'out', 'out'], 141)):
        process = run_tool(*argv)
        process.stdout.close()
        message = process.stderr.read()
        process.stderr.close()
        assert (process.wait(), message) == (code, b''), argv
    assert sorted(os.listdir()) == ['in', 'out']


def test_there_may_be_no_output_at_all(images):
    command = f'{sys.executable} {ROOT}/dataset_tool.py create_from_images'
    assert subprocess.run(f'{command} a in >&- 2>&-', shell=True).returncode == 0
    assert subprocess.run(f'{command} b in > /dev/full', shell=True).returncode == 0
    assert sorted(os.listdir()) == ['a', 'b', 'in']


def test_any_name_can_be_shown(images):
    os.rename('in', 'Bilder für \udce9')  # the end is not UTF-8
    process = run_tool('create_from_images', 'ä', 'Bilder für \udce9',
                       env={**os.environ, 'PYTHONIOENCODING': 'ascii'})
    out, err = process.communicate()
    assert (process.returncode, err) == (0,
                                         b'') and b'Added 5 images.' in out and os.path.isdir('ä')


DROP = [
    'setpriv', '--bounding-set', '-dac_override,-dac_read_search', '--inh-caps',
    '-dac_override,-dac_read_search'
]


@pytest.mark.slow
def test_a_lack_of_permissions_is_named(images):
    """The parent of the target, the target, or the images cannot be read. Run as root without its
    file permissions.
    """
    drop = [] if os.getuid() else DROP
    if drop and subprocess.run([*drop, 'true'], capture_output=True).returncode:
        pytest.skip('needs setpriv (util-linux) when run by root')

    def run(*argv):
        done = subprocess.run(
            [*drop, sys.executable, str(ROOT / 'dataset_tool.py'), *argv], capture_output=True,
            text=True)
        return done.returncode, done.stderr
    os.makedirs('locked/full')
    os.makedirs('parent')
    (images / 'locked' / 'full' / 'x').write_text('')
    os.chmod('parent', 0o300)  # writable, but cannot be listed
    os.chmod('locked/full', 0)
    assert run('create_from_images', 'parent/out', 'in') == (0, '')
    for argv in (('create_from_images', 'locked/full',
                  'in'), ('create_from_images', 'locked/full', 'in',
                          '--force'), ('create_from_images', 'out', 'locked/full'),
                 ('create_from_images', 'locked/full/out',
                  'in'), *((f'create_{name}', 'out', 'locked/full')
                           for name in ('mnist', 'cifar10', 'svhn', 'lsun', 'celeba'))):
        code, message = run(*argv)
        assert code == 1 and message.startswith('error: ') and message.count(
            '\n') == 1 and 'locked/full' in message, (argv, message)
        assert 'ermission' in message, (argv, message)
    os.chmod('parent', 0o755)
    os.chmod('locked/full', 0o755)
    assert os.listdir('parent') == ['out'] and os.listdir('locked/full') == ['x']


def test_a_disk_that_fills_up_leaves_nothing(in_tmp, monkeypatch):
    with Disk(in_tmp, 'write', 40, errno.ENOSPC).installed(monkeypatch) as disk:
        with pytest.raises(DataError, match='No space left'):
            with TFRecordExporter('out', 10 ** 6) as out:
                for _ in range(1000):
                    out.add_image(np.zeros([3, 64, 64], np.uint8))
        assert disk.failed and 0 < out.cur_images < 1000
    assert os.listdir() == []


def test_callers_may_use_their_arrays_again(in_tmp):
    image = np.zeros([1, 4, 4], np.uint8)
    with TFRecordExporter('out', 3, print_progress=False, progress_interval=10) as out:
        for value in range(3):
            image[...] = value
            out.add_image(image)
    assert records.open_records('out/out-r02.tfrecords').read([0, 1, 2])[:, 0, 0,
                                                                         0].tolist() == [0, 1, 2]


def test_the_target_is_looked_at_before_the_images_are(images, monkeypatch, capsys):
    (images / 'out').mkdir()
    (images / 'out' / 'thesis.txt').write_text('years of work')
    monkeypatch.setattr('pgan.importers.image_folder.load_images', None)
    assert 'exists and is not empty' in fails(['create_from_images', 'out', 'in'], capsys)


def test_a_target_inside_of_the_images_is_refused(images, capsys):
    for target in ('in/out', 'in/more/out'):
        assert "inside the image folder 'in'" in fails(['create_from_images', target, 'in'],
                                                          capsys)
    assert len(os.listdir('in')) == 5


def test_all_files_reach_the_disk(in_tmp, monkeypatch):
    synced = []
    monkeypatch.setattr(
        os, 'fsync', lambda descriptor: synced.append(
            os.readlink(f'/proc/self/fd/{descriptor}').rpartition('/')[2]))
    with TFRecordExporter('out', 1) as out:
        out.add_image(np.zeros([1, 8, 8], np.uint8))
        out.add_labels(np.zeros([1, 1]))
    assert sorted(synced) == ['out-r02.tfrecords', 'out-r03.tfrecords', 'out-rxx.labels']


def test_labels_have_the_short_header():
    for shape in ((50000, 10), (3, 100), (1, 0), (123456789, 4)):
        values = np.zeros(shape if shape[0] < 1e6 else (1, 4), np.float32)
        data = writer.npy_bytes(values)
        assert (len(data) - values.nbytes) % 16 == 0 and data.startswith(b'\x93NUMPY\x01\x00')
    assert len(writer.npy_bytes(np.zeros([50000, 10], np.float32))) == 2000080


def test_progress_moves_with_the_images(in_tmp, monkeypatch):
    bars = []

    class Bar:
        def __init__(self, **kwargs):
            self.options, self.seen, self.closed = kwargs, 0, False
            bars.append(self)

        def update(self, count):
            self.seen += count

        def close(self):
            self.closed = True
    monkeypatch.setattr(writer, 'progress_bar', Bar)
    with TFRecordExporter('out', 3) as out:
        for _ in range(3):
            out.add_image(np.zeros([3, 1024, 1024], np.uint8))
            assert bars[0].seen == out.cur_images  # large ones are written one by one
    assert bars[0].options['total'] == 3 and bars[0].seen == 3 and bars[0].closed and len(bars) == 1
