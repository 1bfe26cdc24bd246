"""LSUN: the first images of an LMDB, decoded as in the original."""
import os

import lmdb
import numpy as np
import pytest

import dataset_tool
from pgan.data.decoding import centre_square
from pgan.importers import lsun
from pgan.importers.lsun import load_lsun
from tests.support.data_inputs import fails
from tests.support.golden import GOLDEN, load_npz
from tests.support.importer_inputs import encoded, lanczos, noise, pixels_of


def write_lmdb(folder, entries):
    with lmdb.open(str(folder),
                   map_size=1 << 26) as environment, environment.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key.encode(), value)


@pytest.mark.parametrize('resolution', [64, 32])
def test_photographs_are_decoded_and_resized_as_by_the_original(resolution):
    golden = load_npz('datasets-lsun.npz')
    images = load_lsun(str(GOLDEN / 'datasets-inputs' / 'lsun-lmdb'), resolution).fetch(range(10))
    for key, (_, image) in zip(golden['keys'], images, strict=True):
        assert np.array_equal(image, golden[f'out{resolution}/{key}'])
        assert np.array_equal(image, centre_square(golden[f'decoded/{key}'], resolution))


def test_bad_entries_do_not_count(in_tmp, capsys):
    originals = [noise(10, 12, seed=seed) for seed in range(9)]
    entries = {
        f'{number}': encoded(image, ('PNG', 'BMP', 'WEBP')[number % 3],
                             **({'lossless': True} if number % 3 == 2 else {}))
        for number, image in enumerate(originals)
    }
    entries |= {'1x': b'no image', '3x': entries['3'][:90], '8x': b''}
    write_lmdb('in', entries)
    dataset_tool.main(['create_lsun', 'out', 'in', '--resolution', '8', '--max_images', '6'])
    assert np.array_equal(pixels_of('out')[0], [lanczos(image, 8) for image in originals[:6]])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("'")[1] for line in lines if line.startswith('Skipped: ')
            ] == ['1x', '3x'] and 'Added 6 images.' in lines
    dataset_tool.main(['create_lsun', 'all', 'in', '--resolution', '8', '--max_images', '1000'])
    assert len(pixels_of('all')[0]) == 9


def test_an_lmdb_may_be_a_file(in_tmp):
    write_lmdb('in', {'a': encoded(noise(8, 8), 'PNG')})
    for name in ('in', 'in/data.mdb'):
        assert load_lsun(name, 8).num_images == 1


WEB_PAGE = b'\n<!DOCTYPE html><html><body>Quota exceeded</body></html>'


@pytest.mark.parametrize('content, said', [
    (WEB_PAGE, 'it is a web page'), (b'404: Not Found', "it is text starting with '404"),
    (b'{"error": 1}', 'it is JSON'), (encoded(noise(8, 8), 'PNG'), 'it is a PNG image'),
    (b'PK\x03\x04' + bytes(90), 'is a packed archive (zip)'),
    (b'\xff\xfe\xfd' * 90, 'MDB_INVALID')], ids=str)
@pytest.mark.parametrize('given', ['in', 'in/data.mdb'])
def test_what_is_saved_as_an_lmdb_is_named(in_tmp, capsys, given, content, said):
    os.mkdir('in')
    (in_tmp / 'in' / 'data.mdb').write_bytes(content)
    message = fails(['create_lsun', 'out', given], capsys)
    assert "'in/data.mdb'" in message and said in message


@pytest.mark.parametrize('files, said', [
    (['cat_lmdb/data.mdb'], "There is one in 'in/cat_lmdb': give that folder instead"),
    (['lsun/train/cat_lmdb/data.mdb'], "There is one in 'in/lsun/train/cat_lmdb'"),
    (['cat_lmdb/data.mdb', 'x/dog_lmdb/data.mdb'], 'There are 2 in sub-folders, each of a separate '
     "data set: give one of 'in/cat_lmdb', 'in/x/dog_lmdb'."),
    (['cat_lmdb.zip', 'dog_lmdb.zip'], "Unpack 'cat_lmdb.zip' first: "),
    (['data.mdb.part'], "'data.mdb.part' is an unfinished download."),
    (['cat.mdb', 'lock.mdb'], "If 'in/cat.mdb' is the LMDB of a category, give that file."),
    (['0/1/0a1b.webp'], "It holds images, such as 'in/0/1/0a1b.webp'. For these: "),
    (['data.mdb/x'], "'in/data.mdb' is a folder"), (['lock.mdb'], 'Found there: lock.mdb. Down')])
def test_other_layouts_of_lsun(in_tmp, capsys, files, said):
    for name in files:
        (in_tmp / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        (in_tmp / 'in' / name).touch()
    message = fails(['create_lsun', 'out', 'in'], capsys)
    assert said in message and 'Download: http' in message


def test_the_lock_file_of_an_lmdb(in_tmp, capsys):
    write_lmdb('in', {'a': encoded(noise(8, 8), 'PNG')})
    (in_tmp / 'in' / 'lock.mdb').write_bytes(bytes(8))
    assert "is LMDB's lock file" in fails(['create_lsun', 'out', 'in/lock.mdb'], capsys)


def test_an_lmdb_that_is_none_is_refused(in_tmp, capsys):
    os.mkdir('in')
    assert "'in/data.mdb' does not exist" in fails(['create_lsun', 'out', 'in'], capsys)
    (in_tmp / 'in' / 'data.mdb').write_bytes(b'garbage' * 10000)
    message = fails(['create_lsun', 'out', 'in'], capsys)
    assert 'cannot be read as LMDB' in message and 'Expected a folder that holds' in message
    (in_tmp / 'in' / 'data.mdb').write_bytes(b'')
    assert "'in/data.mdb' is an empty file" in fails(['create_lsun', 'out', 'in'], capsys)
    write_lmdb('empty', {})
    assert 'is empty' in fails(['create_lsun', 'out', 'empty'], capsys)
    write_lmdb('bad', {'a': b'no image'})
    assert 'none of the images can be used' in fails(['create_lsun', 'out', 'bad'], capsys)
    assert '--max_images must be at least 1' in fails(
        ['create_lsun', 'out', 'in', '--max_images', '0'], capsys)
    write_lmdb('short', {f'{number}': bytes(5000) for number in range(50)})
    path = in_tmp / 'short' / 'data.mdb'
    path.write_bytes(path.read_bytes()[:50000])
    assert 'is truncated' in fails(['create_lsun', 'out', 'short'], capsys)
    assert not os.path.exists('out')


def test_a_category_is_streamed(in_tmp, monkeypatch):
    """Regardless of the number of entries, only a few more than requested are read."""
    write_lmdb('in',
               {f'{number:06d}': encoded(noise(8, 8, seed=number), 'PNG')
                for number in range(500)})
    looked_at = []
    monkeypatch.setattr(
        lsun, '_decode',
        lambda key, value, resolution: looked_at.append(key) or np.zeros([3, 8, 8], np.uint8))
    images = load_lsun('in', 8).fetch(range(500))
    for _ in range(10):
        next(images)
    assert 10 <= len(looked_at) <= 10 + 5 * os.cpu_count() and looked_at[:3] == [
        '000000', '000001', '000002'
    ]


def test_named_databases_are_told_from_photographs(in_tmp, capsys):
    """Their names are entries as well; one photograph whose name comes first is no database."""
    for folder, name in (('in', None), ('named', b'images'), ('two', b'valid')):
        with lmdb.open(folder, map_size=1 << 20, max_dbs=2) as environment:
            place = None if name is None else environment.open_db(name)
            with environment.begin(write=True) as transaction:
                transaction.put(b'1', encoded(noise(8, 8), 'PNG'), db=place)
            if folder == 'two':
                environment.open_db(b'train')
    assert load_lsun('in', 8).num_images == 1
    for folder, name in (('named', 'images'), ('two', 'train')):
        message = fails(['create_lsun', 'out', folder], capsys)
        assert f"named databases, such as '{name}'" in message and 'create_from_images' in message


def test_one_image_at_several_sizes_is_not_taken_for_many(in_tmp, capsys):
    """As StyleGAN2's version for PyTorch prepares data; with one size it is fine."""
    image = encoded(noise(8, 8), 'PNG')
    one = {f'8-{number:05}': image for number in range(3)} | {'length': b'3'}
    write_lmdb('one', one)
    write_lmdb('two', one | {f'16-{number:05}': image for number in range(3)})
    dataset_tool.main(['create_lsun', 'out', 'one', '--resolution', '8'])
    assert len(pixels_of('out')[0]) == 3
    message = fails(['create_lsun', 'no', 'two'], capsys)
    assert "several resolutions, such as '16-00000' and '8-00000'" in message
