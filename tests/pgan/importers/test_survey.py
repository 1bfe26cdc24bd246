"""importers/survey.py: the survey of an image folder before a data set is created from it."""
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from pgan.errors import DataError
from pgan.importers import survey as module
from pgan.importers.survey import SEVERAL, survey


def picture(path, size=(12, 10), mode='RGB'):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = (3,) if mode == 'RGB' else ()
    pixels = np.random.RandomState(0).randint(0, 256, (size[1], size[0], *channels))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def folder(*counts, loose=0):
    """A folder 'in' with sub-folders a, b, ... of the given numbers of images."""
    for name, count in zip('abcdefgh', counts):
        for number in range(count):
            picture(f'in/{name}/{number}.png')
    for number in range(loose):
        picture(f'in/{number}.png')
    return 'in'


def test_sizes_and_number(in_tmp):
    for number, size in enumerate([(12, 10), (9, 30), (40, 40)]):
        picture(f'my pics!/{number}.png', size)
    found = survey('my pics!')
    assert (found.num_pictures, sorted(found.sides), found.name) == (3, [9, 10, 40], 'my-pics')
    assert not found.is_gray and found.classes == [] and found.note == ''
    assert 0 < found.sec_per_picture < 1


def test_a_gray_folder_and_a_name_without_letters(in_tmp):
    picture('???/a.png', mode='L')
    found = survey('???')
    assert found.is_gray and found.name == 'pictures'


@pytest.mark.parametrize(('counts', 'loose', 'classes', 'note'), [
    ((), 3, [], ''),
    ((SEVERAL, SEVERAL), 0, ['a', 'b'], ''),
    ((SEVERAL,), 0, [], 'one sub-folder'),
    ((SEVERAL, SEVERAL), 1, [], '1 images are outside'),
    ((SEVERAL, SEVERAL - 1), 0, [], "'b' holds 4"),
], ids=str)
def test_classes(counts, loose, classes, note, in_tmp):
    found = survey(folder(*counts, loose=loose))
    assert found.classes == classes
    assert note in found.note and bool(note) == bool(found.note)


def test_parts_of_a_data_set_are_no_classes(in_tmp):
    for part in ('train', 'Test'):
        for number in range(SEVERAL):
            picture(f'in/{part}/{number}.png')
    assert 'are data set splits' in survey('in').note


def test_albums_are_no_classes(in_tmp, monkeypatch):
    monkeypatch.setattr(module, 'MOST_CLASSES', 2)
    assert '3 sub-folders' in survey(folder(SEVERAL, SEVERAL, SEVERAL)).note


@pytest.mark.parametrize(('make', 'message'), [
    (lambda: None, "'in' does not exist"),
    (lambda: os.mkdir('in'), 'No input images found'),
    (lambda: pathlib.Path('in').write_text(''), 'is a file'),
], ids=['missing', 'empty', 'file'])
def test_no_pictures(make, message, in_tmp):
    make()
    with pytest.raises(DataError, match=message):
        survey('in')


def test_broken_pictures_are_counted(in_tmp):
    folder(loose=3)
    pathlib.Path('in/x.jpg').write_bytes(b'none')
    found = survey('in')
    assert (found.num_pictures, found.unreadable, len(found.sides)) == (4, 1, 3)
    for path in pathlib.Path('in').glob('?.png'):
        path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(DataError, match=r'none of the 4 images.*0\.png'):
        survey('in')


def test_of_very_many_pictures_a_sample_is_opened(in_tmp, monkeypatch):
    folder(loose=8)
    opened, original = [], module.opened
    monkeypatch.setattr(module, 'opened', lambda path, name: opened.append(path)
                        or original(path, name))
    monkeypatch.setattr(module, 'SAMPLED', 3)
    found = survey('in')
    assert (found.num_pictures, len(opened), len(found.sides)) == (8, 3, 3)


@pytest.mark.parametrize('change', [
    lambda: picture('in/new.png'), lambda: os.unlink('in/0.png'),
    lambda: os.rename('in/0.png', 'in/z.png'), lambda: picture('in/0.png', (30, 30)),
    lambda: os.utime('in/0.png', (1, 1)),
], ids=['added', 'removed', 'renamed', 'other content', 'other time'])
def test_other_files_have_another_fingerprint(change, in_tmp):
    folder(loose=2)
    before = survey('in').fingerprint
    assert survey('in').fingerprint == survey('./in/').fingerprint == before
    change()
    assert survey('in').fingerprint != before


def test_files_that_are_no_pictures_do_not_count(in_tmp):
    folder(loose=2)
    before = survey('in').fingerprint
    pathlib.Path('in/notes.txt').write_text('hello')
    assert survey('in').fingerprint == before
