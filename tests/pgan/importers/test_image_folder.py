"""Image folders: other files are rejected with helpful messages; cropping, resizing, labels."""
import errno
import os
import re
import shlex
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

import dataset_tool
from pgan.data import records
from pgan.data.writer import TFRecordExporter
from pgan.errors import DataError
from pgan.importers import bad_files, image_folder
from pgan.importers.image_folder import load_images
from tests.support.data_inputs import fails
from tests.support.importer_inputs import (
    lanczos,
    noise,
    pixels_of,
    shade,
)


@pytest.mark.parametrize('size, mode, words', [((8, 8), 'RGB', '8x8 RGB'),
                                               ((4, 4), 'L', '4x4 grayscale'), ((4, 4), 'P', "'P'"),
                                               ((4, 4), 'I;16', "'I;16'")])
def test_an_image_unlike_the_first_is_named(size, mode, words, images, capsys):
    PIL.Image.new(mode, size).save('in/zz.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert 'zz.png' in message and words in message
    assert os.listdir() == ['in']


def test_a_truncated_image_is_named(images, capsys):
    PIL.Image.fromarray(np.random.RandomState(0).randint(0, 256, size=(4, 4, 3),
                                                         dtype=np.uint8)).save('in/zz.png')
    data = (images / 'in' / 'zz.png').read_bytes()
    (images / 'in' / 'zz.png').write_bytes(data[:60])
    assert 'zz.png' in fails(['create_from_images', 'out', 'in'], capsys)
    assert os.listdir() == ['in']


def test_all_bad_images_are_counted_before_anything_is_written(images, capsys, monkeypatch):
    monkeypatch.setattr(TFRecordExporter, '__enter__', None)
    PIL.Image.new('RGB', (8, 8)).save('in/a.png')  # the first one, but not like the others
    PIL.Image.new('RGBA', (4, 4)).save('in/b.png')
    (images / 'in' / 'c.png').write_text('no image')
    PIL.Image.new('RGB', (4, 8)).save('in/d.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "4 of the 9 files in 'in' cannot be used" in message
    assert message.endswith(" And 1 more: 'in/d.png'. Replace or remove such files, or leave "
                            'them out with --skip_bad.\n')
    assert all(words in message
               for words in ('a.png', '8x8 RGB', 'Expected 4x4 RGB', 'b.png', "'RGBA'", 'c.png'))


def damage(*names):
    """Images with intact headers but without pixels."""
    for name in names:
        noise(4, 4).save(f'in/{name}')
        with open(f'in/{name}', 'r+b') as file:
            file.truncate(60)


@pytest.mark.parametrize('options', [[], ['--resolution', '4']])
def test_bad_headers_and_bad_pixels_are_named_at_once(options, images, capsys):
    damage('y.png', 'z.png')
    message = fails(['create_from_images', 'out', 'in', *options], capsys)
    assert "2 of the 7 files in 'in'" in message and 'y.png' in message and 'z.png' in message
    (images / 'in' / 'a.png').write_text('no image')
    message = fails(['create_from_images', 'out', 'in', *options], capsys)
    assert "3 of the 8 files in 'in'" in message
    assert all(f"'in/{name}.png'" in message for name in 'ayz') and 'not been looked' not in message
    dataset_tool.main(['create_from_images', 'out', 'in', *options, '--skip_bad'])
    assert 'Skipped 3 that cannot be used' in capsys.readouterr().out


@pytest.mark.parametrize('with_bad_header', [True, False])
def test_looking_for_more_damage_ends(with_bad_header, images, capsys, monkeypatch):
    """In a large folder the remaining files are checked later."""
    for module in (bad_files, image_folder):
        monkeypatch.setattr(module, 'SECONDS', -1)
    damage(*(f'{name}.png' for name in 'uvwxyz'))
    if with_bad_header:
        (images / 'in' / 'a.png').write_text('no image')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert re.search(r'pixels of \d+ more are not checked yet', message)


def write_mixed(*sizes):
    os.mkdir('in')
    for number, size in enumerate(sizes):
        noise(*size).save(f'in/{number}.png')


@pytest.mark.parametrize('options', [[], ['--shuffle', '0'], ['--force', '--shuffle', '0']])
@pytest.mark.parametrize('bad', [(), ('header',), ('pixels',), ('header', 'pixels')])
def test_mixed_sizes_are_told_once_with_the_command_to_type(options, bad, in_tmp, capsys):
    write_mixed((40, 30), (80, 70), (64, 33), (33, 90), (32, 32))
    if 'header' in bad:
        (in_tmp / 'in' / 'a.png').write_text('no image')
    if 'pixels' in bad:
        damage('b.png')
    message = fails(['create_from_images', 'my out', 'in', *options], capsys)
    assert message.count('Input images must') == 1 and 'cannot be used as they are' in message
    assert ('cannot be read at all' in message) == bool(bad)
    words = shlex.split(message.partition('The whole command: ')[2])
    assert words[words.index('--resolution') + 1] == '32'
    assert all(option in words for option in options) and ('--skip_bad' in words) == bool(bad)
    dataset_tool.main(words[2:])
    assert pixels_of('my out')[0].shape == (5, 3, 32, 32)


@pytest.mark.parametrize('kinds', [['RGBA'], ['RGBA', 'P', 'RGB']])
def test_kinds_are_told_as_sizes_are(kinds, in_tmp, capsys):
    os.mkdir('in')
    for number, kind in enumerate(kinds):
        noise(8, 8).convert(kind).save(f'in/{number}.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    dataset_tool.main(shlex.split(message.partition('The whole command: ')[2])[2:])
    assert len(pixels_of('out')[0]) == len(kinds)


def test_who_wants_the_few_that_fit_has_them(in_tmp, capsys):
    write_mixed((40, 30), (64, 33), (32, 32))
    dataset_tool.main(['create_from_images', 'out', 'in', '--skip_bad'])
    said = capsys.readouterr().out
    assert 'with --resolution 32 they would' in said and 'Skipped 2 that' in said


def test_what_is_no_image_by_nature_is_passed_over(images):
    for name in ('Thumbs.db', 'desktop.ini', '.DS_Store'):
        (images / 'in' / name).write_text('')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert records.open_records('out/out-r02.tfrecords').num_images == 5


def test_an_empty_tree_and_a_file_for_a_folder(images, capsys):
    (images / 'all' / 'cats').mkdir(parents=True)
    assert "No input images found in 'all'" in fails(['create_from_images', 'out', 'all'], capsys)
    assert "'in/im0.png' is a file" in fails(['create_from_images', 'out', 'in/im0.png'], capsys)
    assert 'does not exist' in fails(['create_from_images', 'out', 'nowhere'], capsys)


def test_the_advice_for_other_kinds_of_pixels_is_sound(images, capsys):
    deep = np.arange(16, dtype=np.uint16).reshape(4, 4) * 4369
    PIL.Image.fromarray(deep).save('in/zz.png')
    assert '(np.asarray(image) // 257).astype(np.uint8)' in fails(
        ['create_from_images', 'out', 'in'], capsys)
    with PIL.Image.open('in/zz.png') as image:
        assert np.array_equal(np.asarray(image) // 257, np.arange(16).reshape(4, 4) * 17)
    for mode in ('RGBA', 'LA'):
        PIL.Image.new(mode, (4, 4)).save('in/zz.png')
        assert "image.getchannel(\"A\")" in fails(['create_from_images', 'out', 'in'], capsys)


def png(width, height):
    """The start of a grayscale PNG, enough to read its size."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack(
            '>I', zlib.crc32(name + data))

    return b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + chunk(b'IDAT', b'')


def test_large_images_are_no_attack(in_tmp):
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert limit == int(1024 ** 3 // 4 // 3)  # Pillow's own default
    (in_tmp / 'a.png').write_bytes(png(16384, 16384))
    assert load_images('.').num_images == 1
    for width, height in ((20000, 16000), (1 << 16, 1 << 16)):
        (in_tmp / 'a.png').write_bytes(png(width, height))
        with pytest.raises(DataError, match=f'a.png. is too large: {width}x{height}. Expected at '
                                            'most 16384x16384'):
            load_images('.')
    assert PIL.Image.MAX_IMAGE_PIXELS == limit


def test_large_images_are_decoded(in_tmp, monkeypatch):
    """For some formats Pillow checks the size again when it decodes."""
    monkeypatch.setattr(PIL.Image, 'MAX_IMAGE_PIXELS', 100)
    os.mkdir('in')
    for name in ('a.tiff', 'b.png', 'c.jpg', 'd.webp'):
        noise(64, 64).save(f'in/{name}')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert len(pixels_of('out')[0]) == 4 and PIL.Image.MAX_IMAGE_PIXELS == 100


def test_a_machine_in_need_is_no_bad_image(images, capsys, monkeypatch):
    """With --skip_bad, which would continue without them."""
    for error, words in ((MemoryError(), 'not enough memory'),
                         (OSError(errno.EIO, 'Input/output error'), 'cannot be read now')):
        def fail(*args, error=error, **kwargs):
            raise error
        monkeypatch.setattr(PIL.Image.Image, 'tobytes', fail)
        monkeypatch.setattr(PIL.Image.Image, 'load', fail)
        monkeypatch.setattr(PIL.PngImagePlugin.PngImageFile, 'load', fail)
        assert words in fails(['create_from_images', 'out', 'in', '--skip_bad'], capsys)


def test_what_is_no_regular_file_is_named(images, capsys):
    os.mkfifo('in/pipe.png')
    os.symlink('nowhere', 'in/zz.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "'in/pipe.png' is not a file" in message and "'in/zz.png' is not a file" in message


def test_a_data_set_is_no_folder_of_images(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert "'out' holds .tfrecords files: it is a data set already" in fails(
        ['create_from_images', 'more', 'out'], capsys)


def test_without_skip_bad_none_may_be_missing(images, monkeypatch, capsys):
    """A file that changes after its header was read is named in the error."""
    source = load_images('in')
    shade(3, (8, 8)).save('in/im3.png')
    with pytest.raises(DataError, match=r"'in/im3.png' is 8x8 grayscale"):
        list(source.fetch(range(5)))
    assert not source.may_skip and load_images('in', 4, skip_bad=True).may_skip


@pytest.fixture
def tree(in_tmp):
    """Folders of gray images of one shade each: cats even, dogs odd; a hidden file, and one of
    another kind.
    """
    for folder, values in (('cats/tame', (0, 2, 4)), ('cats/wild', (6, )), ('dogs', (1, 3)),
                           ('.hidden', (7, )), ('empty', ())):
        os.makedirs(f'in/{folder}')
        for value in values:
            shade(value).save(f'in/{folder}/{value}.png')
    return in_tmp


def test_a_tree_is_read_in_the_order_of_paths(tree):
    dataset_tool.main(['create_from_images', 'out', 'in', '--shuffle', '0'])
    images, labels = pixels_of('out')
    assert images[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 1, 3] and labels.shape == (6, 0)
    assert os.listdir('out') == ['out-r02.tfrecords']


@pytest.mark.parametrize('shuffle', ['0', '1'])
def test_labels_of_folders_stay_with_their_images(shuffle, tree, capsys):
    for value in range(10, 60):
        shade(value).save(f"in/{('cats', 'dogs')[value % 2]}/x{value}.png")
    dataset_tool.main(
        ['create_from_images', 'out', 'in', '--shuffle', shuffle, '--labels', 'folders'])
    images, labels = pixels_of('out')
    assert labels.shape == (56, 2) and np.array_equal(
        labels.argmax(axis=1), images[:, 0, 0, 0] % 2) and (labels.sum(axis=1) == 1).all()
    assert sorted(images[:, 0, 0, 0]) != images[:, 0, 0, 0].tolist() and len(set(images[:, 0, 0,
                                                                                        0])) == 56
    assert (tree / 'out' / 'out-classes.txt').read_text() == 'cats\ndogs\n'
    assert 'Class 0: cats, 29 images\nClass 1: dogs, 27 images\n' in capsys.readouterr().out
    # the file of names does not get in the way
    dataset_tool.main(['create_from_images', 'out', 'in', '--force'])
    assert os.listdir('out') == ['out-r02.tfrecords']


def test_labels_stay_with_their_images_when_bad_ones_are_left_out(tree, capsys):
    noise = PIL.Image.fromarray(
        np.random.RandomState(0).randint(0, 256, size=(4, 4), dtype=np.uint8))
    for value in range(10, 60):
        path = tree / 'in' / ('cats', 'dogs')[value % 2] / f'x{value}.png'
        (noise if value % 5 == 0 else shade(value)).save(path)
        if value % 5 == 0:
            # intact header, missing pixels
            path.write_bytes(path.read_bytes()[:60])
    (tree / 'in' / 'dogs' / 'page.jpg').write_text('no image')
    shade(9, (8, 8)).save('in/dogs/9.png')
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders', '--skip_bad'])
    images, labels = pixels_of('out')
    assert len(images) == 46 and np.array_equal(labels.argmax(axis=1), images[:, 0, 0, 0] % 2)
    skipped = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith('Skipped: ')
    ]
    names = ['page.jpg', '9.png', *(f'x{value}.png' for value in range(10, 60, 5))]
    assert len(skipped) == 12 and all(any(name in line for line in skipped) for name in names)
    message = fails(['create_from_images', 'out2', 'in', '--labels', 'folders'], capsys)
    assert "2 of the 58 files in 'in' cannot be used" in message and '--skip_bad' in message
    os.unlink('in/dogs/page.jpg')
    os.unlink('in/dogs/9.png')
    message = fails(['create_from_images', 'out2', 'in', '--labels', 'folders'], capsys)
    assert 'cannot be read' in message and '--skip_bad' in message and os.path.exists(
        'out2') is False


def test_classes_are_those_of_the_folders_whatever_is_damaged(tree, capsys):
    shade(5).save('in/dogs/5.png')
    (tree / 'in' / 'birds').mkdir()
    (tree / 'in' / 'birds' / 'a.png').write_bytes(b'no image')
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders', '--skip_bad'])
    assert ('Class 0: birds, 0 images\nClass 1: cats, 4 images\nClass 2: dogs, 3 images\n'
            in capsys.readouterr().out)
    assert pixels_of('out')[1].shape == (7, 3)


def test_names_of_classes_may_be_any(tree):
    os.rename('in/cats', 'in/кошки')
    os.rename('in/dogs', b'in/\xe9t\xe9')  # not UTF-8
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders'])
    assert (tree / 'out' / 'out-classes.txt').read_bytes() == 'кошки\n'.encode() + b'\xe9t\xe9\n'


def test_folders_that_are_no_classes(tree, capsys):
    shade(8).save('in/stray.png')
    assert "'in/stray.png' is in none of the sub-folders" in fails(
        ['create_from_images', 'out', 'in', '--labels', 'folders'], capsys)
    os.rename('in/cats/wild', 'elsewhere')
    assert "has only one sub-folder, 'tame'" in fails(
        ['create_from_images', 'out', 'in/cats', '--labels', 'folders'], capsys)


def test_links_in_circles_are_followed_once(tree):
    os.symlink('..', 'in/cats/up')
    os.symlink('../../in', 'in/dogs/all')
    dataset_tool.main(['create_from_images', 'out', 'in', '--shuffle', '0'])
    assert len(pixels_of('out')[0]) == 6


@pytest.mark.parametrize('resolution', [4, 16, 64])
def test_images_of_any_size_are_cropped_and_resized(resolution, in_tmp, capsys):
    os.mkdir('in')
    sizes = [(16, 16), (31, 20), (20, 31), (64, 64), (7, 100), (101, 33)]
    originals = [noise(*size, seed=seed) for seed, size in enumerate(sizes)]
    for number, image in enumerate(originals):
        image.save(f'in/{number}.' + ('png', 'bmp', 'tiff')[number % 3])
    dataset_tool.main(
        ['create_from_images', 'out', 'in', '--resolution',
         str(resolution), '--shuffle', '0'])
    assert np.array_equal(pixels_of('out')[0], [lanczos(image, resolution) for image in originals])
    small = sum(min(size) < resolution for size in sizes)
    assert (f'{small} of 6 images are smaller than {resolution}x{resolution}'
            in capsys.readouterr().out) == (small > 0)


def test_what_has_the_resolution_already_stays_as_it_is(images):
    dataset_tool.main(['create_from_images', 'a', 'in'])
    dataset_tool.main(['create_from_images', 'b', 'in', '--resolution', '4'])
    assert (images / 'a' / 'a-r02.tfrecords').read_bytes() == (images / 'b' /
                                                               'b-r02.tfrecords').read_bytes()


def test_images_of_any_kind(in_tmp):
    """Palettes, transparency, gray among colour, 16 bits, CMYK, orientation, animation: each as it
    is displayed.
    """
    os.mkdir('in')
    rgb, gray = noise(8, 8), noise(8, 8, 'L')
    clear = noise(8, 8)
    clear.putalpha(
        PIL.Image.fromarray(np.repeat([0, 128, 255, 255], 16).astype(np.uint8).reshape(8, 8)))
    flat = PIL.Image.new('RGB', (8, 8), 'white')
    flat.paste(clear, mask=clear.getchannel('A'))
    palette, palette_clear = rgb.quantize(16), rgb.quantize(16)
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    kinds = {
        'a-gray.png': (gray, gray.convert('RGB')), 'b-clear.png': (clear, flat),
        'c-palette.gif': (palette, palette.convert('RGB')),
        'd-palette.png': (palette, palette.convert('RGB')),
        'e-bit.png': (gray.convert('1'), gray.convert('1').convert('RGB')),
        'f-deep.png': (PIL.Image.fromarray(deep), PIL.Image.fromarray(
            (deep // 257).astype(np.uint8)).convert('RGB')),
        'g-cmyk.tiff': (rgb.convert('CMYK'),
                        rgb.convert('CMYK').convert('RGB')), 'h-webp.webp': (rgb, rgb)
    }
    for name, (image, _) in kinds.items():
        image.save(f'in/{name}', **({'lossless': True} if name.endswith('webp') else {}))
    (in_tmp / 'in' / 'ia-deep.pgm').write_bytes(b'P5 8 8 65535\n' + deep.astype('>u2').tobytes())
    rgb.save('in/i-turned.png', exif=exif)
    palette_clear.save('in/j-palette.png', transparency=0)
    dataset_tool.main(['create_from_images', 'out', 'in', '--resolution', '8', '--shuffle', '0'])
    images, _ = pixels_of('out')
    assert len(images) == 11
    for found, (name, (_, expected)) in zip(images, kinds.items()):
        difference = np.abs(found - lanczos(expected, 8)).max()
        # two ways of blending round differently
        assert difference <= (1 if name == 'b-clear.png' else 0), name
    assert np.array_equal(images[8], lanczos(rgb.transpose(PIL.Image.Transpose.ROTATE_270), 8))
    assert np.array_equal(images[9], images[5])
    holes = np.asarray(palette_clear) == 0
    assert holes.any() and (images[10][:, holes] == 255).all()
    assert np.array_equal(images[10][:, ~holes], lanczos(palette.convert('RGB'), 8)[:, ~holes])


def test_gray_images_stay_gray(in_tmp):
    os.mkdir('in')
    originals = [noise(9, 9, 'L', seed) for seed in range(3)]
    for number, image in enumerate(originals):
        image.save(f'in/{number}.png')
    originals[0].convert('LA').save('in/3.png')
    dataset_tool.main(['create_from_images', 'out', 'in', '--resolution', '4', '--shuffle', '0'])
    images, _ = pixels_of('out')
    assert images.shape == (4, 1, 4, 4) and np.array_equal(
        images, [lanczos(image, 4) for image in (*originals, originals[0])])


def test_numbers_without_black_and_white_are_refused(in_tmp, capsys):
    os.mkdir('in')
    PIL.Image.fromarray(np.zeros([8, 8], np.float32)).save('in/a.tiff')
    message = fails(['create_from_images', 'out', 'in', '--resolution', '4'], capsys)
    assert "'in/a.tiff'" in message and "'F'" in message and '8 or 16 bits' in message


@pytest.mark.parametrize('command',
                         [['create_from_images', 'out', 'in'], ['create_lsun', 'out', 'in']])
@pytest.mark.parametrize('resolution', ['0', '2', '12', '-8'])
def test_resolutions_are_powers_of_two(command, resolution, images, capsys):
    assert f'Received: {resolution}.' in fails([*command, '--resolution', resolution], capsys)


def test_unusual_images_point_to_the_resolution_option(in_tmp, capsys):
    os.mkdir('in')
    noise(20, 30).save('in/a.png')
    assert '--resolution 16' in fails(['create_from_images', 'out', 'in'], capsys)
    dataset_tool.main(['create_from_images', 'out', 'in', '--resolution', '16'])
