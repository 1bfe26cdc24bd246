"""files: atomic writes, checksums and JSON."""
import errno
import json
import os
import pathlib
import stat

import numpy as np
import pytest

import misc
from pgan import files
from pgan.errors import DataError


def test_a_file_replaces_an_older_one_in_one_step(in_tmp):
    with misc.atomic_write('a.txt', 'w') as file:
        file.write('one\n')
    with misc.atomic_write('a.txt', 'w') as file:
        file.write('two')
        file.flush()
        assert pathlib.Path('a.txt').read_text() == 'one\n'
    assert pathlib.Path('a.txt').read_bytes() == b'two'
    assert os.listdir() == ['a.txt']


def test_any_failure_leaves_the_older_file_and_no_rubbish(in_tmp):
    with misc.atomic_write('a', 'w') as file:
        file.write('one')
    for error in (RuntimeError('x'), KeyboardInterrupt(), DataError('x')):
        with pytest.raises(type(error)) as caught, misc.atomic_write('a') as file:
            file.write(b'half')
            raise error
        assert caught.value is error
    assert pathlib.Path('a').read_text() == 'one'
    assert os.listdir() == ['a']


def test_a_full_disk_is_a_data_error(in_tmp, monkeypatch):
    with misc.atomic_write('a', 'w') as file:
        file.write('one')

    def full(descriptor):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    words = (r"/a': No space left on device\. Nothing was overwritten.* MB are free.*"
             'Free some space')
    with pytest.raises(DataError, match=words), misc.atomic_write('a', 'w') as file:
        file.write('two')
    assert pathlib.Path('a').read_text() == 'one'
    assert os.listdir() == ['a']


def test_missing_folder(in_tmp):
    with pytest.raises(DataError,
                       match="there is no folder '.*/none'"), misc.atomic_write('none/a'):
        pass


def test_permissions_and_links_are_as_usual(in_tmp):
    before = os.umask(0o027)
    try:
        with misc.atomic_write('a'):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat('a').st_mode) == 0o640
    os.symlink('a', 'link')
    with misc.atomic_write('link', 'w') as file:
        file.write('new')
    assert os.path.islink('link')
    assert pathlib.Path('a').read_text() == 'new'


def test_another_library_writes_to_a_temporary_path(in_tmp):
    pathlib.Path('a.mp4').write_text('old')
    with files.atomic_path('a.mp4', '.mp4') as temporary:
        assert temporary.endswith('.tmp.mp4') and not os.path.exists(temporary)
        pathlib.Path(temporary).write_text('new')
        assert pathlib.Path('a.mp4').read_text() == 'old'
    assert pathlib.Path('a.mp4').read_text() == 'new' and os.listdir() == ['a.mp4']


def write_folder(path, text):
    os.makedirs(os.path.join(path, 'deeper'))
    for name in ('one', 'deeper/two'):
        pathlib.Path(path, name).write_text(text)


def test_a_folder_replaces_an_older_one(in_tmp, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, 'fsync', lambda number: synced.append(number) or fsync(number))
    for text in ('old', 'new'):
        with files.atomic_path('a') as temporary:
            write_folder(temporary, text)
        assert pathlib.Path('a/deeper/two').read_text() == text and os.listdir() == ['a']
    assert len(synced) == 4


def test_an_error_leaves_the_older_folder(in_tmp):
    write_folder('a', 'old')
    with pytest.raises(RuntimeError), files.atomic_path('a') as temporary:
        write_folder(temporary, 'half')
        raise RuntimeError
    assert pathlib.Path('a/one').read_text() == 'old' and os.listdir() == ['a']


def test_a_folder_that_cannot_be_renamed_comes_back(in_tmp, monkeypatch):
    write_folder('a', 'old')
    rename = os.rename

    def failing(source, target):
        if source.endswith('.tmp'):
            raise OSError(errno.ENOSPC, 'No space left on device')
        rename(source, target)
    monkeypatch.setattr(os, 'rename', failing)
    with pytest.raises(DataError, match='own words'), files.atomic_path(
            'a', make_error=lambda path, error: DataError('own words')) as temporary:
        write_folder(temporary, 'new')
    assert pathlib.Path('a/one').read_text() == 'old' and os.listdir() == ['a']


def test_an_old_folder_that_must_stay_comes_back(in_tmp):
    write_folder('a', 'old')
    write_folder('new', 'new')

    def check(old):
        assert sorted(os.listdir()) == ['new', os.path.basename(old)]
        raise DataError('precious')
    with pytest.raises(DataError, match='precious'):
        files.move_into_place('new', 'a', check)
    assert pathlib.Path('a/one').read_text() == 'old' and sorted(os.listdir()) == ['a', 'new']


class Odd:
    def __repr__(self):
        return '<odd>'


@pytest.mark.parametrize('value, expected', [
    (float('nan'), None), (float('-inf'), None), (np.float32('inf'), None), (np.int64(3), 3),
    (np.float32(0.5), 0.5), (np.array([1.0, np.nan]), [1, None]), (np.bool_(True), True),
    ({3: (1, {'a': np.float64('nan')})}, {'3': [1, {'a': None}]}), (Odd(), '<odd>'),
    (pathlib.Path('x'), 'x'), ('\udcff "ä"', '\udcff "ä"'), ({1.5, }, '{1.5}'), (10**30, 10**30),
    (np.array(np.nan), None), (b'x', "b'x'"), (True, True), (None, None)], ids=repr)
@pytest.mark.parametrize('indent', [None, 1])
def test_json_for_every_value(value, expected, indent):
    def refuse(word):
        raise AssertionError(word)
    text = files.to_json({'x': value}, indent)
    assert json.loads(text.encode('ascii'), parse_constant=refuse) == {'x': expected}


def test_all_files_of_json_are_written_by_the_helper():
    """json.dump writes NaN. Only fingerprints and checkpoints, which no other program reads, use
    it.
    """
    root = pathlib.Path(files.__file__).parents[1]
    found = {path.relative_to(root).as_posix() for folder in ('pgan', 'misc', 'metrics', 'tfutil')
             for path in (root / folder).rglob('*.py') if 'json.dump' in path.read_text()}
    # arguments.py formats a list with double quotes
    assert found == {'pgan/files.py', 'pgan/training/checkpoint.py', 'metrics/cache.py',
                     'metrics/mnist_modes.py', 'pgan/settings/arguments.py'}


@pytest.mark.parametrize(('typed', 'meant'), [
    ('My Pictures', 'My Pictures 2'), ('my pictures 2', 'My Pictures 2'),
    ('My Pictures 2/cta.png', 'My Pictures 2/cat.png'),
    ('My Picturs 2/cat.png', 'My Pictures 2/cat.png'), ('./Bldr/', './Bilder'),
    ('deep/inner/flie', 'deep/inner/file'), ('deep/iner/file', 'deep/inner/file'), ('', None),
    ('xyzzy', None),
    ('deep/iner/xyzzy', None), ('/xyzzy/qwertz', None), ('deep/inner/file/below', None),
])
def test_the_nearest_path(typed, meant, in_tmp):
    for folder in ('My Pictures 2', 'Bilder', 'deep/inner'):
        os.makedirs(folder)
    for name in ('My Pictures 2/cat.png', 'deep/inner/file'):
        open(name, 'w').close()
    assert files.nearest_path(typed) == (f' Did you mean {meant!r}?' if meant else '')
    absolute = str(in_tmp / typed)
    if typed and typed[0] not in './' and meant:
        assert files.nearest_path(absolute) == f' Did you mean {str(in_tmp / meant)!r}?'
    is_folder = meant and os.path.isdir(meant)
    assert bool(files.nearest_path(typed, folders_only=True)) == bool(is_folder)
