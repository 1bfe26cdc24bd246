"""files: whole or not at all."""
import errno
import os
import pathlib
import stat

import pytest

import misc
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
             'Make room')
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
