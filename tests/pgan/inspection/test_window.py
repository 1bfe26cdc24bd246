"""The window on a virtual screen, with simulated key presses."""
import contextlib
import ctypes
import ctypes.util
import functools
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
import pytest

from tests.support.data_inputs import write_dataset
from tests.support.golden import ROOT
from tests.support.inspection_inputs import NUM, flip, make_images

RUN = '''
from pgan import errors
import sys
from pgan.inspection.window import display
with errors.exit_on_user_error():
    display(sys.argv[1])
'''
SCREEN = (1024, 900)
DOTS_PER_INCH = 103  # An odd size: the window does not have exactly the requested size,
ROOM = 816  # but fits an image of at least this many pixels, and fewer than 8 more.
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
    """Virtual screen that can be captured and receives key presses."""

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
        """Capture the screen: uint8 [H, W, 3]."""
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
    """Process that displays a data set."""

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
        """Read the output until it contains a string."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            ready, _, _ = select.select([self.process.stdout], [], [],
                                        max(0, deadline - time.monotonic()))
            assert ready, f'no {text!r} after {self.text!r}'
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f'no {text!r} in {self.text!r}; {self.process.stderr.read().decode()}'
            self.text += data.decode()

    def finish(self):
        """Wait for the process to end: (exit code, stdout, stderr)."""
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
    """Whether an image [C, R, R] is on the screen below the title, as large as the window allows,
    with exact pixels.
    """
    resolution, pixels = image.shape[-1], screen.pixels()
    factor = ROOM // resolution
    size = factor * resolution
    expected = np.broadcast_to(image, (3, resolution, resolution)).transpose(1, 2, 0).repeat(
        factor, axis=0).repeat(factor, axis=1)
    corners = [(y, x) for y in range(20, 60) for x in range(40)
               if np.array_equal(pixels[y, x:x + size], expected[0])]
    return any(np.array_equal(pixels[y:y + size, x:x + size], expected) for y, x in corners)


@pytest.mark.slow
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
            screen.press('ctrl', 'w')  # matplotlib's own keys: save, close
            assert f'Image {number + 1}' not in run.text
            screen.press('enter' if number % 2 else 'space')
        code, out, err = run.finish()
    assert (code, err) == (0, '')
    assert out.startswith('Loading dataset "mixed"\nKeys: SPACE or ENTER for the next image, ESC '
                          'to quit\nImage 0: ')
    assert out.count('Image ') == NUM


@pytest.mark.first(1, rest='exhaustive')
@needs_screen
@pytest.mark.parametrize('key', ['escape', 'q'])
def test_escape_closes_the_window_and_grey_is_grey(key, in_tmp, screen):
    images = make_images(3, (1, 32, 32))
    images[0, 0].flat[:256] = np.arange(256)  # all possible values
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
    assert f'dataset_tool.py display {quoted} --sheet sheet.png' in err
    assert f'dataset_tool.py extract {quoted} extracted-images' in err


def test_a_screen_that_cannot_be_used_is_not_called_missing(mixed):
    with viewer('mixed', DISPLAY=':9876') as run:
        code, _, err = run.finish()
    assert code == 1 and ("install a toolkit: your system's python3-tk, or pip install "
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
