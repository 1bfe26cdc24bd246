"""Looking at data sets: pictures, windows and numbers show what is on disk, in its order, and
damage is found.
"""
import contextlib
import ctypes
import ctypes.util
import functools
import glob
import importlib.util
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest

from pgan.data import records
from pgan.errors import DataError
from pgan.importers.source import onehot
from pgan.inspection import contact_sheet, reading
from pgan.inspection.class_names import is_one_hot
from pgan.inspection.comparison import compare
from pgan.inspection.dataset_summary import info
from pgan.inspection.extraction import extract
from pgan.inspection.window import display
from tests.support.data_inputs import write_dataset
from tests.support.golden import ROOT

NUM = 7


def make_images(count=NUM, shape=(3, 8, 8), seed=5):
    return np.random.RandomState(seed).randint(0, 256, size=[count, *shape], dtype=np.uint8)


def put_shape_first(path, numbers):
    """Rewrite some records of a file with their keys in the other order."""
    file = records.open_records(path)
    layout = records.RecordLayout(file.shape)
    images = file.read(np.arange(file.num_images))
    rows = layout.encode(images)
    for number in numbers:
        payload = np.concatenate([layout.shape_first[0],
                                  images[number].ravel()])[records.HEADER_BYTES:]
        rows[number, records.HEADER_BYTES:-4] = payload
        rows[number,
             -4:] = np.frombuffer(struct.pack('<I', records.masked_crc32c(payload.tobytes())),
                                  np.uint8)
    with open(path, 'wb') as out:
        out.write(rows.tobytes())


@pytest.fixture
def mixed(in_tmp):
    """A data set 'mixed' of labelled RGB images in which some records have `shape` first; returns
    (images, labels).
    """
    images, labels = make_images(), onehot(np.arange(NUM) % 3, 3)
    write_dataset('mixed', images, labels)
    before = (in_tmp / 'mixed' / 'mixed-r03.tfrecords').read_bytes()
    put_shape_first('mixed/mixed-r03.tfrecords', [0, 2, 5])
    put_shape_first('mixed/mixed-r02.tfrecords', [1])
    assert (in_tmp / 'mixed' / 'mixed-r03.tfrecords').read_bytes() != before
    return images, labels


def printed(capsys, function, *args, **kwargs):
    """What a command prints, line by line."""
    capsys.readouterr()
    function(*args, **kwargs)
    captured = capsys.readouterr()
    assert captured.err == ''
    return captured.out.splitlines()


def refused(function, *args, **kwargs):
    """The message of the DataError that a command ends with."""
    with pytest.raises(DataError) as error:
        function(*args, **kwargs)
    assert '\n' not in str(error.value)
    return str(error.value)


def flip(path, position):
    """Spoil one byte of a file."""
    data = bytearray(open(path, 'rb').read())
    data[position] ^= 0x10
    with open(path, 'wb') as out:
        out.write(data)


# --------------------------------------------------------------------------------------------------
# Extracting and comparing.


def read_pngs(folder):
    images = [np.asarray(PIL.Image.open(path)) for path in sorted(glob.glob(f'{folder}/*.png'))]
    return np.stack(
        [image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1) for image in images])


@pytest.mark.parametrize('group_bytes', [1, 3 * 64 * 3, 1 << 20])
def test_extract_gives_each_image_under_its_number(group_bytes, mixed, capsys, monkeypatch):
    monkeypatch.setattr(reading, 'GROUP_BYTES', group_bytes)
    lines = printed(capsys, extract, 'mixed', 'out')
    assert lines == [
        'Loading dataset "mixed"', 'Extracting images to "out"', f'Extracted {NUM} images.'
    ]
    assert sorted(os.listdir('out')) == [f'img{number:08d}.png' for number in range(NUM)]
    assert np.array_equal(read_pngs('out'), mixed[0])


def test_extract_writes_what_stands_before_a_damaged_image(mixed):
    stride = os.path.getsize('mixed/mixed-r03.tfrecords') // NUM
    flip('mixed/mixed-r03.tfrecords', 4 * stride + 100)
    assert 'record 4' in refused(extract, 'mixed', 'out')
    assert np.array_equal(read_pngs('out'), mixed[0][:4])


def test_extract_tells_that_it_cannot_write(mixed, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(PIL.Image.Image, 'save', full)
    assert "/out/img00000000.png': No space left on device" in refused(extract, 'mixed', 'out')


@pytest.mark.parametrize('group_bytes', [1, 3 * 64 * 3, 1 << 20])
def test_compare_names_what_differs(group_bytes, mixed, capsys, monkeypatch):
    monkeypatch.setattr(reading, 'GROUP_BYTES', group_bytes)
    images, labels = mixed[0].copy(), mixed[1][:, ::-1].copy()
    images[3, 0, 0, 0] ^= 1
    write_dataset('b', images[:6], labels[:6])
    head = ['Loading dataset "mixed"', 'Loading dataset "b"', 'Comparing datasets']
    assert printed(capsys, compare, 'mixed', 'b') == [
        *head, 'Label 0 is different', 'Label 2 is different', 'Image 3 is different',
        'Label 3 is different', 'Label 5 is different',
        'Datasets contain different number of images', 'Identical images: 5 / 6',
        'Identical labels: 2 / 6'
    ]
    assert printed(capsys, compare, 'mixed', 'b', ignore_labels=1) == [
        *head, 'Image 3 is different', 'Datasets contain different number of images',
        'Identical images: 5 / 6'
    ]


# --------------------------------------------------------------------------------------------------
# Contact sheets.


def cells(path, count, resolution, num_images):
    """The images of a contact sheet as they stand there: [count, cell, cell(, 3)], and one
    caption's worth of pixels below each.
    """
    _, cell, columns, rows = contact_sheet.sheet_layout(resolution, num_images)
    picture = np.asarray(PIL.Image.open(path))
    step_x = cell + contact_sheet.GAP
    step_y = step_x + contact_sheet.CAPTION_PIXELS
    assert picture.shape[:2] == (rows * step_y + contact_sheet.GAP,
                                 columns * step_x + contact_sheet.GAP)
    corners = [(contact_sheet.GAP + n // columns * step_y, contact_sheet.GAP + n % columns * step_x)
               for n in range(count)]
    captions = [
        picture[y + cell:y + cell + contact_sheet.CAPTION_PIXELS, x:x + cell] for y, x in corners
    ]
    return np.stack([picture[y:y + cell, x:x + cell] for y, x in corners]), captions


def test_a_sheet_shows_the_images_in_order(mixed, capsys):
    lines = printed(capsys, display, 'mixed', sheet='sheet.png')
    assert lines == ['Loading dataset "mixed"', f'Wrote {NUM} of {NUM} images to "sheet.png"']
    shown, captions = cells('sheet.png', NUM, 8, NUM)
    assert np.array_equal(shown, mixed[0].transpose(0, 2, 3, 1).repeat(12,
                                                                       axis=1).repeat(12, axis=2))
    # Number at the left, class at the right: images 0 and 3 have the same class, 0 and 1 have not.
    left, right = ([caption[:, columns] for caption in captions]
                   for columns in (slice(0, 40), slice(60, None)))
    assert all((part > 140).any() for part in left + right)
    assert np.array_equal(right[0], right[3]) and not np.array_equal(right[0], right[1])
    assert not np.array_equal(left[0], left[3])


def test_a_sheet_of_grey_images_without_labels(in_tmp, capsys):
    images = make_images(200, (1, 32, 32))
    write_dataset('grey', images)
    assert printed(capsys, display, 'grey',
                   sheet='sheet.png')[-1] == 'Wrote 160 of 200 images to "sheet.png"'
    with PIL.Image.open('sheet.png') as picture:
        assert picture.mode == 'L' and 1024 <= picture.width <= 2048
        assert 1024 <= picture.height <= 2048
    shown, captions = cells('sheet.png', 160, 32, 200)
    assert np.array_equal(shown[:, ::3, ::3], images[:160, 0])
    assert all(
        (caption[:, :40] > 140).any() and not (caption[:, 40:] > 140).any() for caption in captions)


@pytest.mark.parametrize('resolution', [4 << n for n in range(9)])
def test_sheets_of_many_images_are_one_to_two_thousand_pixels_wide(resolution):
    lod, cell, columns, rows = contact_sheet.sheet_layout(resolution, 100000)
    width, height = columns * (cell + 6) + 6, rows * (cell + 18 + 6) + 6
    assert 1024 <= width <= 2048 and 1024 <= height <= 2048 and columns <= 16 and rows <= 10
    assert cell % (resolution >> lod) == 0 and cell >= 64


def test_large_images_are_shown_from_a_lower_level(in_tmp):
    images = make_images(2, (3, 512, 512))
    write_dataset('large', images)
    display('large', sheet='sheet.png')
    shown, _ = cells('sheet.png', 2, 512, 2)
    assert np.array_equal(shown.transpose(0, 3, 1, 2),
                          records.open_records('large/large-r08.tfrecords').read([0, 1]))


def test_sheets_are_not_written_over_other_files(mixed, capsys):
    with open('sheet.jpg', 'w') as out:
        out.write('precious')
    assert "'sheet.jpg' exists" in refused(display, 'mixed', sheet='sheet.jpg')
    assert open('sheet.jpg').read() == 'precious'
    display('mixed', sheet='sheet.jpg', force=True)
    with PIL.Image.open('sheet.jpg') as picture:
        assert picture.format == 'JPEG'
    os.mkdir('folder.png')
    assert "'folder.png' is a folder" in refused(display, 'mixed', sheet='folder.png', force=True)
    assert '.png, .jpg, .jpeg' in refused(display, 'mixed', sheet='sheet.gif')
    assert '.png, .jpg, .jpeg' in refused(display, 'mixed', sheet='')
    assert repr(os.path.join(os.getcwd(), 'nowhere')) in refused(display, 'mixed',
                                                                 sheet='nowhere/sheet.png')
    assert sorted(os.listdir()) == ['folder.png', 'mixed', 'sheet.jpg']


def test_long_labels_are_cut_to_fit(in_tmp):
    write_dataset('data', make_images(3), np.full([3, 50], 0.123))
    display('data', sheet='sheet.png')
    _, captions = cells('sheet.png', 3, 8, 3)
    with PIL.Image.open('sheet.png') as picture:
        background = np.asarray(picture)[0, 0]
    for caption in captions:
        # a gap between number and label
        assert (caption[:, 60:] > 200).any() and (caption[:, 10:14] == background).all()


# --------------------------------------------------------------------------------------------------
# Windows.

RUN = '''
from pgan import errors
import sys
from pgan.inspection.window import display
with errors.exit_on_user_error():
    display(sys.argv[1])
'''
SCREEN = (1024, 900)
DOTS_PER_INCH = 103  # an odd number: the window is not of the size that was asked for,
ROOM = 816  # but has room for an image of at least so many pixels, and less than 8 more
KEYS = {
    'space': 0x20, 'enter': 0xFF0D, 'escape': 0xFF1B, 'q': 0x71, 's': 0x73, 'w': 0x77,
    'ctrl': 0xFFE3
}
NEEDED = {'Xvfb': shutil.which('Xvfb'), 'tkinter': importlib.util.find_spec('_tkinter'),
          'libX11': ctypes.util.find_library('X11'), 'libXtst': ctypes.util.find_library('Xtst')}
needs_screen = pytest.mark.skipif(
    not all(NEEDED.values()),
    reason='needs ' + ', '.join(n for n, found in NEEDED.items() if not found))


class Screen:
    """A virtual screen: what its pixels are, and keys as from a keyboard."""

    def __init__(self, folder):
        self._folder = folder
        read_end, write_end = os.pipe()
        self.process = subprocess.Popen([
            'Xvfb', '-displayfd',
            str(write_end), '-screen', '0', '{}x{}x24'.format(*SCREEN), '-fbdir', folder,
            '-nolisten', 'tcp', '-dpi',
            str(DOTS_PER_INCH)
        ], pass_fds=[write_end], stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            self.name = f':{pipe.readline().strip()}'
        self._x11, self._xtest = (ctypes.CDLL(ctypes.util.find_library(name))
                                  for name in ('X11', 'Xtst'))
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(self.name.encode()))
        assert self._display

    def press(self, *keys):
        codes = [
            self._x11.XKeysymToKeycode(self._display, ctypes.c_ulong(KEYS[key])) for key in keys
        ]
        for code, down in [
                *((code, 1) for code in codes), *((code, 0) for code in reversed(codes))
        ]:
            self._xtest.XTestFakeKeyEvent(self._display, code, down, ctypes.c_ulong(0))
        self._x11.XSync(self._display, 0)

    def pixels(self):
        """What is on the screen: uint8 [H, W, 3]."""
        data = open(os.path.join(self._folder, 'Xvfb_screen0'), 'rb').read()
        header = struct.unpack('>25I', data[:100])
        pixels = np.frombuffer(data, np.uint8,
                               offset=header[0] + 12 * header[19]).reshape(-1, header[12] // 4, 4)
        return pixels[:SCREEN[1], :SCREEN[0], 2::-1]

    def close(self):
        self._x11.XCloseDisplay(self._display)
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope='module')
def screen(tmp_path_factory):
    screen = Screen(str(tmp_path_factory.mktemp('screen')))
    yield screen
    screen.close()


class Viewer:
    """A process that displays a data set."""

    def __init__(self, folder, screen=None, **environ):
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ('DISPLAY', 'WAYLAND_DISPLAY', 'MPLBACKEND')
        }
        environ = {
            **inherited, 'PYTHONPATH': str(ROOT), **({'DISPLAY': screen.name} if screen else {}),
            **environ
        }
        self.process = subprocess.Popen([sys.executable, '-c', RUN, folder], env=environ,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = ''

    def wait_for(self, text, seconds=20):
        """Read what is printed until a text comes."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, deadline - time.monotonic()))
            assert ready, f'no {text!r} after {self.text!r}'
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f'no {text!r} in {self.text!r}; {self.process.stderr.read().decode()}'
            self.text += data.decode()

    def finish(self):
        """Wait for the end: (exit code, stdout, stderr)."""
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, self.text + out.decode(), err.decode()


@contextlib.contextmanager
def viewer(*args, **kwargs):
    viewer = Viewer(*args, **kwargs)
    try:
        yield viewer
    finally:
        viewer.process.kill()
        viewer.process.communicate()


def wait_until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def shows(screen, image):
    """Whether an image [C, R, R] stands on the screen below the title, as large as the window
    allows, each pixel as it is.
    """
    resolution, pixels = image.shape[-1], screen.pixels()
    factor = ROOM // resolution
    size = factor * resolution
    expected = np.broadcast_to(image, (3, resolution, resolution)).transpose(1, 2, 0).repeat(
        factor, axis=0).repeat(factor, axis=1)
    corners = [(y, x) for y in range(20, 60) for x in range(40)
               if np.array_equal(pixels[y, x:x + size], expected[0])]
    return any(np.array_equal(pixels[y:y + size, x:x + size], expected) for y, x in corners)


@needs_screen
def test_keys_lead_through_the_images(mixed, screen):
    images, labels = mixed
    texts = ['[1, 0, 0], class 0', '[0, 1, 0], class 1', '[0, 0, 1], class 2']
    with viewer('mixed', screen) as run:
        for number in range(NUM):
            run.wait_for(f'\nImage {number}: label {texts[number % 3]}\n')
            wait_until(functools.partial(shows, screen, images[number]),
                       f'image {number} is not on the screen')
            title = screen.pixels()[:30, :768]
            assert (title > 200).any() and (title < 50).any()
            screen.press('s')
            screen.press('ctrl', 'w')  # matplotlib's own: save, close
            assert f'Image {number + 1}' not in run.text
            screen.press('enter' if number % 2 else 'space')
        code, out, err = run.finish()
    assert (code, err) == (0, '')
    assert out.startswith('Loading dataset "mixed"\nKeys: SPACE or ENTER for the next image, ESC '
                          'to quit\nImage 0: ')
    assert out.count('Image ') == NUM


@needs_screen
@pytest.mark.parametrize('key', ['escape', 'q'])
def test_escape_closes_the_window_and_grey_is_grey(key, in_tmp, screen):
    images = make_images(3, (1, 32, 32))
    images[0, 0].flat[:256] = np.arange(256)  # every value there is
    write_dataset('grey', images)
    with viewer('grey', screen) as run:
        wait_until(lambda: shows(screen, images[0]), 'the image is not on the screen')
        screen.press('space')
        run.wait_for('\nImage 1\n')
        screen.press(key)
        code, out, err = run.finish()
    assert (code, err) == (0, '') and out.endswith('\nImage 1\n')


@needs_screen
def test_ctrl_c_closes_the_window(mixed, screen):
    with viewer('mixed', screen) as run:
        wait_until(lambda: shows(screen, mixed[0][0]), 'the image is not on the screen')
        run.process.send_signal(signal.SIGINT)
        code, out, err = run.finish()
    assert code != 0 and err.rstrip().endswith('KeyboardInterrupt')


@needs_screen
def test_a_damaged_image_ends_it_with_a_message(mixed, screen):
    stride = os.path.getsize('mixed/mixed-r03.tfrecords') // NUM
    flip('mixed/mixed-r03.tfrecords', stride + 100)
    with viewer('mixed', screen) as run:
        wait_until(lambda: shows(screen, mixed[0][0]), 'the image is not on the screen')
        screen.press('space')
        code, out, err = run.finish()
    assert code == 1 and re.fullmatch(r"error: .*record 1 .*\n", err) and 'Image 1' not in out


@needs_screen
def test_a_backend_without_windows_is_named(mixed, screen):
    with viewer('mixed', screen, MPLBACKEND='agg') as run:
        code, _, err = run.finish()
    assert code == 1 and "set to the backend 'agg'" in err and 'unset $MPLBACKEND' in err
    assert 'no screen' not in err


def test_without_a_screen_there_are_other_ways(in_tmp):
    folder = write_dataset("my 'data'", make_images())
    with viewer(folder) as run:
        code, out, err = run.finish()
    assert code == 1 and out == f'Loading dataset "{folder}"\n' and err.count('\n') == 1
    assert 'no screen ($DISPLAY and $WAYLAND_DISPLAY are unset)' in err
    quoted = """'my '"'"'data'"'"''"""
    assert f'python dataset_tool.py display {quoted} --sheet sheet.png' in err
    assert f'python dataset_tool.py extract {quoted} extracted-images' in err


def test_a_screen_that_cannot_be_used_is_not_called_missing(mixed):
    with viewer('mixed', DISPLAY=':9876') as run:
        code, _, err = run.finish()
    assert code == 1 and ('install a toolkit: python3-tk of your system, or pip install '
                          'PySide6') in err and 'unset' not in err


def test_nothing_of_it_brings_tensorflow(mixed):
    code = """
import sys
from pgan.inspection.extraction import extract
from pgan.inspection.dataset_summary import info
from pgan.inspection.window import display
info('mixed')
display('mixed', sheet='a.png')
extract('mixed', 'out')
print([name for name in ('tensorflow', 'matplotlib') if name in sys.modules])"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert done.stdout.splitlines()[-1] == '[]', done.stderr


# --------------------------------------------------------------------------------------------------
# In numbers.


def test_info_of_a_labelled_data_set(mixed, capsys):
    assert printed(capsys, info, 'mixed') == [
        'Folder      mixed', 'Images      7', 'Resolution  8x8', 'Channels    3 (RGB)',
        'Labels      3 components, float32, one-hot', '',
        'Resolution  File                 Records  Bytes',
        '8x8         mixed-r03.tfrecords        7   1729  1.73kB',
        '4x4         mixed-r02.tfrecords        7    686    686B', '', 'Class  Images',
        '0           3  ' + '#' * 40, '1           2  ' + '#' * 27, '2           2  ' + '#' * 27
    ]


def test_info_shows_class_names(mixed, capsys):
    with open('mixed/mixed-classes.txt', 'w', encoding='utf-8') as out:
        out.write('cat\ndog\nzèbre\n')
    assert [line.split('#')[0].rstrip() for line in printed(capsys, info, 'mixed')[-4:]] == [
        'Class    Images', '0 cat         3', '1 dog         2', '2 zèbre       2']
    with open('mixed/mixed-classes.txt', 'a', encoding='utf-8') as out:
        out.write('one more\n')
    lines = printed(capsys, info, 'mixed')
    assert 'The file of class names has 4 lines for 3 classes: it is not used.' in lines and lines[
        -3].startswith('0           3')


def test_info_without_labels(in_tmp, capsys):
    write_dataset('grey', make_images(2, (1, 4, 4)))
    assert printed(capsys, info, 'grey') == [
        'Folder      grey', 'Images      2', 'Resolution  4x4', 'Channels    1 (grayscale)',
        'Labels      none', '', 'Resolution  File                Records  Bytes',
        '4x4         grey-r02.tfrecords        2    132  132B'
    ]


def test_info_of_labels_that_are_no_classes(in_tmp, capsys):
    write_dataset('data', make_images(3), np.array([[0, -1.5], [1, 2], [0.5, 1]]))
    lines = printed(capsys, info, 'data')
    assert 'Labels      2 components, float32, not one-hot' in lines
    assert lines[-3:] == [
        'Component   min  mean  max', '        0     0   0.5    1', '        1  -1.5   0.5    2'
    ]
    write_dataset('many', make_images(2), np.random.RandomState(1).randn(2, 50))
    lines = printed(capsys, info, 'many')
    assert lines[-1] == 'and 10 more components' and lines[-2].split()[0] == '39'


@pytest.mark.parametrize('labels, expected', [([[1, 0], [0, 1]], True), ([[1], [1]], True),
                                              ([[1, 1], [0, 0]], False), ([[2, -1], [1, 0]], False),
                                              ([[0.5, 0.5]], False), ([[]], False),
                                              ([1, 0], False)])
def test_what_is_one_hot(labels, expected):
    assert is_one_hot(np.array(labels, np.float32)) is expected


def test_info_sums_up_many_classes(in_tmp, capsys):
    write_dataset('data', make_images(9), onehot(np.array([0, 0, 0, 7, 7, 8, 9, 10, 149]), 150))
    assert printed(capsys, info, 'data')[-5:] == [
        'Classes         150', 'without images  144', 'fewest images   0 (class 1)',
        'on average      0.1', 'most images     3 (class 0)'
    ]


def test_info_shows_what_is_there_before_it_says_what_is_missing(in_tmp, capsys):
    write_dataset('data', make_images(3, (1, 16, 16)))
    os.unlink('data/data-r03.tfrecords')
    assert 'no file for 8x8' in refused(info, 'data')
    out = capsys.readouterr().out
    assert 'Images      3' in out and '16x16       data-r04.tfrecords' in out
    with open('data/data-r02.tfrecords', 'r+b') as file:
        file.truncate(100)
    assert 'data-r02.tfrecords' in refused(info, 'data')
    assert 'unreadable  data-r02.tfrecords             100' in capsys.readouterr().out
    assert "'nowhere' not found" in refused(info, 'nowhere')


# --------------------------------------------------------------------------------------------------
# Checking every record.


@pytest.fixture(params=['int', 'float'])
def checked(request, in_tmp, monkeypatch):
    """A data set 'data' of 20 images of 3x16x16, read a few at a time; made of integers, or of
    numbers also outside of 0..255.
    """
    monkeypatch.setattr(reading, 'GROUP_BYTES', 3 * 16 * 16 * 3)
    images = make_images(20, (3, 16, 16))
    if request.param == 'float':
        images = np.random.RandomState(1).uniform(-80, 340, images.shape).astype(np.float32)
    return write_dataset('data', images)


def path_of(level):
    return f'data/data-r{level:02d}.tfrecords'


def test_sound_data_sets_pass(checked, capsys):
    put_shape_first(path_of(4), [3, 4])
    assert printed(capsys, info, 'data', verify=True)[-1] == 'All 60 records of 3 files are sound.'


@pytest.mark.parametrize('level', [2, 3, 4])
@pytest.mark.parametrize('where', ['pixels', 'checksum'])
def test_a_flipped_byte_is_found(level, where, checked, capsys):
    stride = os.path.getsize(path_of(level)) // 20
    for number in (5, 11):
        flip(path_of(level), stride * number + (stride // 2 if where == 'pixels' else stride - 1))
    info('data')
    message = refused(info, 'data', verify=True)
    expected = (f'2 of 20 records cannot be read, namely 5 (at byte {5 * stride}), 11 (at byte '
                f'{11 * stride}).')
    assert f'data-r{level:02d}.tfrecords: {expected}' in message
    assert message.count('records') == 2 and 'sound' not in capsys.readouterr().out


@pytest.mark.parametrize('level', [2, 3])
def test_a_level_of_other_images_is_found(level, checked):
    write_dataset('other', make_images(20, (3, 16, 16), seed=6))
    shutil.copy(f'other/other-r{level:02d}.tfrecords', path_of(level))
    message = refused(info, 'data', verify=True)
    words = (rf'data-r{level:02d}.tfrecords: 20 of 20 records do not show .* '
             r'namely 0 \(at byte 0\), 1 .* and so on')
    assert re.search(words, message)


def test_a_single_image_in_the_wrong_place_is_found(checked):
    data = open(path_of(2), 'rb').read()
    stride = len(data) // 20
    with open(path_of(2), 'wb') as out:
        out.write(data[:7 * stride] + data[8 * stride:9 * stride] + data[7 * stride:8 * stride] +
                  data[9 * stride:])
    message = refused(info, 'data', verify=True)
    assert ('data-r02.tfrecords: 2 of 20 records do not show the average of the image at twice the '
            'resolution') in message
    assert f'namely 7 (at byte {7 * stride}), 8 (' in message


@pytest.mark.parametrize('by, expected', [(1, 0), (2, 1)])
def test_rounding_is_no_fault(by, expected, in_tmp):
    """Numbers that are off by one may come of rounding before the exporter, by two not."""
    write_dataset('data', np.full([4, 1, 8, 8], 100, np.uint8))
    layout = records.RecordLayout((1, 4, 4))
    images = np.full([4, 1, 4, 4], 100, np.uint8)
    images[2, 0, 1, 1] += by
    with open(path_of(2), 'wb') as out:
        out.write(layout.encode(images).tobytes())
    if not expected:
        info('data', verify=True)
    else:
        assert '1 of 4 records do not' in refused(info, 'data', verify=True)


def test_all_damage_is_reported_at_once(checked):
    # the first and last record of a file are read when it is opened
    for level, number in ((4, 0), (4, 19), (3, 4)):
        flip(path_of(level), os.path.getsize(path_of(level)) // 20 * number + 100)
    message = refused(info, 'data', verify=True)
    assert 'data-r04.tfrecords' in message and 'data-r03.tfrecords: 1 of 20 records' in message


def test_records_of_other_writers_are_checked_too(checked):
    """A file with one record of another length: all are indexed."""
    data = open(path_of(2), 'rb').read()
    stride = len(data) // 20
    payload = data[records.HEADER_BYTES:stride - 4]
    file = records.open_records(path_of(2))
    pixels = file.read([0])[0].tobytes()
    features = b''.join(
        records._field(1,
                       records._field(1, key) + records._field(2, value))
        for key, value in ((b'data', records._field(1, records._field(1, pixels))),
                           (b'file', records._field(1, records._field(1, b'xyz'))),
                           (b'shape', records._field(3, records._field(1, bytes([3, 4, 4]))))))
    payload = records._field(1, features)
    first = records.frame_header(len(payload)) + payload + struct.pack(
        '<I', records.masked_crc32c(payload))
    with open(path_of(2), 'wb') as out:
        out.write(first + data[stride:])
    assert isinstance(records.open_records(path_of(2)), records.IndexedFile)
    info('data', verify=True)
    flip(path_of(2), len(first) + 3 * stride + 60)
    assert ('1 of 20 records cannot be read, namely 4 (at byte '
            f'{len(first) + 3 * stride})') in refused(
        info, 'data', verify=True)
