"""Packed archives given where a data folder or file is expected."""
import gzip
import io
import os
import shlex
import subprocess
import tarfile
import zipfile

import pytest

import dataset_tool
from pgan.archives import check_unpacked, unpacking
from pgan.errors import DataError
from tests.support.data_inputs import fails

CREATE = [function.__name__ for function in dataset_tool.COMMANDS
          if function.__name__.startswith('create_') and function is not dataset_tool.create_digits]


def write_archives(folder):
    """One archive of each kind that Python can write, containing 'inner/a.txt'."""
    (folder / 'inner').mkdir()
    (folder / 'inner' / 'a.txt').write_text('a')
    with zipfile.ZipFile('my data.zip', 'w') as archive:
        archive.write('inner/a.txt')
    for name, mode in (('x.tar', 'w'), ('x.tar.gz', 'w:gz'), ('x.tbz2', 'w:bz2'),
                       ('x.txz', 'w:xz')):
        with tarfile.open(name, mode) as archive:
            archive.add('inner')
    (folder / 'x.7z.001').write_bytes(b"7z\xbc\xaf'\x1c" + bytes(50))
    (folder / 'x.rar').write_bytes(b'Rar!\x1a\x07\x01' + bytes(50))
    (folder / 'without-ending').write_bytes((folder / 'my data.zip').read_bytes())
    return ['my data.zip', 'x.tar', 'x.tar.gz', 'x.tbz2', 'x.txz', 'x.7z.001', 'x.rar',
            'without-ending']


@pytest.mark.parametrize('command', CREATE)
def test_an_archive_is_to_be_unpacked_first(command, in_tmp, capsys):
    rest = ['inner'] if command == 'create_celebahq' else []
    for name in write_archives(in_tmp):
        message = fails([command, 'out', name, *rest], capsys)
        assert f'{name!r} is a packed archive' in message and 'Unpack it first: ' in message
        assert unpacking(name) in message and not os.path.exists('out')


@pytest.mark.parametrize('command', ['info', 'display', 'extract', 'compare'])
def test_so_are_packed_data_sets(command, in_tmp, capsys):
    write_archives(in_tmp)
    rest = {'extract': ['out'], 'compare': ['x.tar']}.get(command, [])
    with pytest.raises(SystemExit):
        dataset_tool.main([command, 'my data.zip', *rest])
    message = capsys.readouterr().err
    assert "'my data.zip' is a packed archive (zip). Expected the folder of a data set" in message


def test_the_commands_unpack(in_tmp):
    for name, folder in (('my data.zip', 'my data'), ('x.tar', 'x'), ('x.tar.gz', 'x'),
                         ('x.tbz2', 'x'), ('x.txz', 'x'),
                         ('without-ending', 'without-ending-unpacked')):
        if not os.path.exists(name):
            write_archives(in_tmp)
        subprocess.run(unpacking(name), shell=True, check=True)
        assert os.path.isfile(os.path.join(folder, 'inner', 'a.txt'))
        os.rename(folder, f'done-{name}')
    assert shlex.split(unpacking('x.7z.001')) == ['7z', 'x', 'x.7z.001', '-ox']
    assert shlex.split(unpacking('x.rar')) == ['unrar', 'x', 'x.rar', 'x/']


def test_one_compressed_file_is_none_of_a_folder(in_tmp):
    (in_tmp / 'a.h5.gz').write_bytes(gzip.compress(b'content'))
    check_unpacked('a.h5.gz', 'a folder')
    with pytest.raises(DataError, match='gunzip -k a.h5.gz'):
        check_unpacked('a.h5.gz', 'an .h5 file', folder=False)


def test_what_is_no_archive_passes(in_tmp):
    os.mkdir('folder.zip')
    (in_tmp / 'page.zip').write_text('<html>')
    stream = io.BytesIO(b'\x1f\x8b\x08')  # truncated
    (in_tmp / 'cut').write_bytes(stream.getvalue())
    for name in ('folder.zip', 'page.zip', 'cut', 'nowhere.zip'):
        check_unpacked(name, 'a folder')
