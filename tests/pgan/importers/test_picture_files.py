"""Which files of a folder are images, and the messages about the others."""
import os

import numpy as np
import PIL.Image
import pytest

import dataset_tool
from pgan.importers import picture_files
from pgan.importers.image_folder import load_images
from pgan.importers.picture_files import find_pictures
from tests.support import icc
from tests.support.data_inputs import fails
from tests.support.importer_inputs import encoded, noise, shade

OTHERS = {
    'notes.txt': b'a cat', 'a.json': b'{}', 'a.csv': b'name,class\n', 'README.md': b'# Mine',
    'a.xmp': b'<x:xmpmeta/>', 'page.html': b'<html>', 'a.png.txt': b'a cat', 'LICENSE': b'MIT',
    'labels.npy': b'\x93NUMPY', 'film.mp4': b'\0\0\0\x18ftypisom', 'a.mov': b'\0\0\0\x14ftypqt  ',
    'a.wav': b'RIFF\0\0\0\0WAVE', 'a.h5': b'\x89HDF', 'a.mpg': b'\0\0\1\xba', 'empty': b'',
    'run.py': b'import os', 'a.pdf': b'%PDF-1.4', 'a.aae': b'<?xml', 'BM.txt': b'BMW and more',
}
MACHINE_MADE = (
    'Thumbs.db', '.DS_Store', '._a.png', 'desktop.ini', 'a.THM', 'GOPR1.lrv', '.picasa.ini',
    'Picasa.ini', '__MACOSX/._a.png', '@eaDir/a.png/SYNO_THUMB.jpg', '#recycle/a.png',
    '$RECYCLE.BIN/$R1.png', 'System Volume Information/a.png', '.thumbnails/a.png', '.git/a.png',
    '.Trash-1000/files/a.png', 'lost+found/a.png', '.ipynb_checkpoints/a.png', 'RECYCLER/a.png',
    '@__thumb/a.png', '.Spotlight-V100/a.png', 'Catalog Previews.lrdata/a.png', 'a.png~')


def put(name, data):
    path = os.path.join('in', name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)


@pytest.fixture
def five(images, capsys):
    """The folder 'in' with five images. Returns a function that loads it and returns the output."""
    def load(**options):
        source = load_images('in', **options)
        assert source.num_images == 5
        return capsys.readouterr().out
    return load


@pytest.mark.parametrize('name', OTHERS)
def test_what_is_no_picture_is_left_out_and_counted(name, five):
    put(name, OTHERS[name])
    ending = os.path.splitext(name)[1] or 'without extension'
    assert f'Left out: 1 file that is not an image ({ending} 1)\n' in five()


def test_many_are_counted_in_one_line(five):
    for number in range(7):
        put(f'{number}.txt', b'')
    for name, data in OTHERS.items():
        put(f'sub/{name}', data)
    left, = [line for line in five().splitlines() if line.startswith('Left out')]
    assert left == ('Left out: 26 files that are not images (.txt 10, without extension 2, .aae 1, '
                    '.csv 1, ...)')


@pytest.mark.parametrize('name', MACHINE_MADE)
def test_what_machines_make_is_left_out(name, five):
    put(name, encoded(shade(9), 'PNG'))
    assert f'Left out: 1 hidden or machine-made ({name.split("/")[0]})\n' in five()


def test_they_are_no_classes(in_tmp):
    for name in (*MACHINE_MADE, 'cat/1.png', 'dog/1.png'):
        put(name, encoded(noise(4, 4), 'PNG'))
    put('captions.json', b'{}')  # in none of the classes
    assert load_images('in', labels='folders').class_names == ['cat', 'dog']


@pytest.mark.parametrize('name, data', [
    ('a.png', b''), ('a.jpg', b'<html>404</html>'), ('A.JPEG', b'\xff\xd8\xff'),
    ('a.tif', b'a text'), ('a.webp', bytes(100)), ('download', b'\x89PNG\r\n\x1a\n' + bytes(9)),
    ('a.part', b'\xff\xd8\xff\xe0' + bytes(9)), ('a.bmp', b'BM'), ('a.txt', b'GIF89a')])
def test_a_damaged_picture_is_an_error(name, data, images, capsys):
    put(name, data)
    assert f"'in/{name}'" in fails(['create_from_images', 'out', 'in'], capsys)
    assert load_images('in', skip_bad=True).num_images == 5
    assert f"Skipped: 'in/{name}'" in capsys.readouterr().out


@pytest.mark.parametrize('name, kind', [
    ('photo', 'PNG'), ('photo.jpg_large', 'JPEG'), ('a.tmp', 'WEBP'), ('a.bin', 'GIF'),
    ('a.dat', 'TIFF'), ('a.JFIF', 'JPEG'), ('a.avif', 'AVIF'), ('b', 'AVIF')])
def test_a_picture_without_its_ending_is_taken(name, kind, images):
    put(name, encoded(noise(8, 8), kind))
    assert load_images('in', 4).num_images == 6


@pytest.mark.parametrize('name, data, words', [
    ('a.heic', b'\0\0\0\x18ftypheic', 'HEIC'), ('IMG.JPG', b'\0\0\0\x18ftypmif1', 'HEIC'),
    ('a.CR2', b'II*\0', 'raw data'), ('a.dng', None, 'raw data'), ('a.jxl', b'\xff\n', 'JPEG XL'),
    ('a.svg', b'<svg>', 'SVG')])
def test_formats_that_are_not_read_are_named(name, data, words, images, capsys):
    put(name, encoded(noise(8, 8), 'TIFF') if data is None else data)
    message = fails(['create_from_images', 'out', 'in', '--resolution', '4'], capsys)
    assert f"'in/{name}' is {words}" in message and 'convert it to JPEG or PNG' in message


def test_raw_data_beside_its_picture_is_left_out(five):
    put('im0.NEF', encoded(noise(8, 8), 'TIFF'))
    assert 'Left out: 1 with raw data next to an image (.nef 1)\n' in five()


def test_each_picture_is_opened_once_before_it_is_read(images, monkeypatch):
    opened = []
    original = PIL.Image.open
    monkeypatch.setattr(PIL.Image, 'open', lambda path: opened.append(path) or original(path))
    monkeypatch.setattr(picture_files, '_start', None)  # for other endings only
    load_images('in')
    assert len(opened) == 5


def test_a_folder_without_pictures_tells_what_it_has(in_tmp, capsys):
    for name in ('a.txt', 'b.txt', 'c.pdf'):
        put(name, b'text')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "No input images found in 'in'" in message and '.txt 2, .pdf 1' in message
    put('pictures.zip', b'PK\x03\x04')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "Unpack 'in/pictures.zip' first: " in message and '-m zipfile -e' in message


def test_pipes_are_not_waited_for(images):
    os.mkfifo('in/pipe')
    os.symlink('nowhere', 'in/link')
    assert len(find_pictures('in').paths) == 5


@pytest.mark.parametrize('names', [['in/im0.png', 'in/im1.png'], ['in/im0.png', 'in/im1.png',
                                                                  '--resolution', '4']])
def test_names_of_files_in_place_of_their_folder(names, images, capsys):
    with pytest.raises(SystemExit) as info:
        dataset_tool.main(['create_from_images', 'out', *names])
    message = capsys.readouterr().err.splitlines()[-1]
    assert info.value.code == 2 and "Give the folder itself: 'in'" in message
    with pytest.raises(SystemExit):
        dataset_tool.main(['create_from_images', 'out', 'in', '--resolutoin', '4'])
    assert 'unrecognized arguments: --resolutoin 4' in capsys.readouterr().err
    assert "'in'?" in fails(['create_from_images', 'out', 'in/im0.png'], capsys)
    assert "folder itself: 'in'" in fails(['create_from_images', 'out', 'in/*.png'], capsys)


# --------------------------------------------------------------------------------------------------
# Messages about their pixels.

@pytest.mark.parametrize('image', [
    PIL.Image.fromarray(np.full([4, 4], 4095, np.uint16)),
    PIL.Image.fromarray(np.full([4, 4], 16383, np.uint16)),
    PIL.Image.new('RGB', (4, 4), (15, 0, 9)),
    PIL.Image.new('L', (4, 4), 1)])
def test_a_range_that_ends_nearly_black_is_noted(image, in_tmp, capsys):
    os.mkdir('in')
    image.save('in/dark.png')
    shade(16).save('in/light.png')
    list(load_images('in', 4).fetch(range(2)))
    message = capsys.readouterr().err
    assert "1 of 2 images are nearly black" in message and "'in/dark.png'" in message
    assert f'white is {65535 if image.mode == "I;16" else 255}' in message
    os.unlink('in/dark.png')
    list(load_images('in', 4).fetch(range(1)))
    assert capsys.readouterr().err == ''


def test_profiles_are_reported(images, capsys):
    noise(4, 4).save('in/p.png', icc_profile=icc.rgb_profile(icc.P3, 2.2))
    noise(4, 4).save('in/q.png', icc_profile=b'no profile')
    load_images('in', 4)
    said = capsys.readouterr().out
    assert "1 of 7 images have a colour profile other than sRGB, e.g. 'in/p.png' (test)" in said
    assert "cannot be used and is ignored, e.g. 'in/q.png'" in said and 'converted to sRGB' in said
    kept = dict(load_images('in').fetch(range(7)))
    assert '--resolution converts them' in capsys.readouterr().out
    assert np.array_equal(kept[5], np.asarray(noise(4, 4)).transpose(2, 0, 1))
