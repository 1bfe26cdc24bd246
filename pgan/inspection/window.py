"""Window that shows the images of a data set one by one."""
import os
import signal
import sys
from collections.abc import Sequence

import numpy as np

from dataset import TFRecordDataset
from pgan.errors import DataError
from pgan.inspection.class_names import class_texts, full_label, short_label
from pgan.inspection.contact_sheet import check_sheet, write_sheet
from pgan.inspection.reading import in_order, open_in_order, to_hwc
from pgan.invocation import command

# Size of a new window. On high-DPI screens it has proportionally more pixels.
WINDOW_INCHES, TITLE_INCHES, DPI = 7.68, 0.32, 100
TITLE_LENGTH = 90  # characters
WATCH_MILLISECONDS = 200


def display(tfrecord_dir: str, sheet: str | None = None, force: bool = False) -> None:
    """Display images in dataset.

    Args:
        tfrecord_dir: folder of the data set
        sheet (FILE): write the first images to one .png or .jpg file instead of opening a window
        force: overwrite that file

    Example:
        python dataset_tool.py display datasets/mnist
    """
    if sheet is not None:
        check_sheet(sheet, force)
    dset = open_in_order(tfrecord_dir, labels=True)
    classes = class_texts(tfrecord_dir, dset.labels)
    if sheet is not None:
        count = write_sheet(dset, classes, sheet)
        print(f'Wrote {count} of {dset.num_images} images to "{sheet}"')
        return
    window = Window(dset, classes)
    print('Keys: SPACE or ENTER for the next image, ESC to quit', flush=True)
    window.run()


def _make_figure(tfrecord_dir):
    """Create a matplotlib figure in a new window.

    Raises:
        DataError: there is no screen or no window toolkit.
    """
    try:
        import matplotlib
        # None = matplotlib chooses by installed toolkits and available screens.
        chosen = matplotlib.get_backend(auto_select=False)
        from matplotlib import pyplot
        with matplotlib.rc_context({'toolbar': 'None'}):
            figure = pyplot.figure(figsize=(WINDOW_INCHES, WINDOW_INCHES + TITLE_INCHES), dpi=DPI,
                                   facecolor='black')
    except Exception as error:  # Each window toolkit has different exceptions.
        reason = f'matplotlib cannot open one: {str(error).rstrip(".")}'
        raise _no_window(tfrecord_dir, _no_screen() or reason) from error
    if figure.canvas.required_interactive_framework is None:
        pyplot.close(figure)
        reason = _no_toolkit(chosen, matplotlib.get_backend(), matplotlib.matplotlib_fname())
        raise _no_window(tfrecord_dir, _no_screen() or reason)
    return figure


def _no_screen():
    """Message if there is no screen; None if there may be one."""
    has_display = os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    if sys.platform in ('darwin', 'win32') or has_display:
        return None
    return 'there is no screen ($DISPLAY and $WAYLAND_DISPLAY are unset)'


def _no_toolkit(chosen, backend, settings_file):
    """Message if matplotlib uses a backend without windows.

    Args:
        chosen: backend configured by the user; None = matplotlib found no other.
        backend: the backend in use.
        settings_file: path of matplotlib's settings.
    """
    if chosen is not None and chosen.lower() == backend.lower():
        place = 'unset $MPLBACKEND' if os.environ.get('MPLBACKEND') else f'edit {settings_file!r}'
        return f'matplotlib is set to the backend {chosen!r}, which has no windows ({place})'
    return ('matplotlib finds no toolkit that opens windows on this screen. Check that the screen '
            "can be reached, and install a toolkit: your system's python3-tk, or pip install "
            'PySide6')


def _no_window(tfrecord_dir, reason):
    """DataError for a window that cannot be opened."""
    sheet = command('dataset_tool.py', 'display', tfrecord_dir, '--sheet', 'sheet.png')
    extract = command('dataset_tool.py', 'extract', tfrecord_dir, 'extracted-images')
    return DataError(f'cannot open a window: {reason}. To see the images without one, write the '
                     f'first ones to one picture: {sheet}; or extract all of them: {extract}')


class Window:
    """Window that shows the images of a data set one by one and prints their labels.

    SPACE or ENTER shows the next image.

    Attributes:
        num_shown: number of images shown so far.
    """

    def __init__(self, dset: TFRecordDataset, classes: Sequence[str] | None) -> None:
        self.num_shown = 0
        self._dset = dset
        self._classes = classes
        self._images = in_order(dset)
        self._image: np.ndarray | None = None
        self._picture = None
        self._error: BaseException | None = None
        self._figure = _make_figure(dset.tfrecord_dir)
        self._figure.canvas.manager.set_window_title(f'dataset_tool - {dset.tfrecord_dir}')
        self._title = self._figure.text(0.5, 1, '', color='white', fontsize=10, ha='center',
                                        va='center', parse_math=False)

    def run(self) -> None:
        """Show the window until the user closes it or advances past the last image.

        Raises:
            DataError: an image is damaged.
            KeyboardInterrupt: Ctrl-C was pressed in the terminal.
        """
        from matplotlib import pyplot
        canvas = self._figure.canvas
        # Disable matplotlib's own keys: s saves, f toggles full screen, ...
        canvas.mpl_disconnect(canvas.manager.key_press_handler_id)
        canvas.mpl_connect('key_press_event', self._on_key)
        canvas.mpl_connect('resize_event', lambda event: self._draw())
        # Toolkits wait for events in C code and notice Ctrl-C only when something wakes them.
        timer = canvas.new_timer(WATCH_MILLISECONDS, [(self._watch, (), {})])
        canvas.mpl_connect('close_event', lambda event: timer.stop())
        previous = signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            self._advance()
            timer.start()
            pyplot.show(block=True)
        finally:
            signal.signal(signal.SIGINT, previous)
            self._close()
        if self._error is not None:
            raise self._error

    def _on_key(self, event):
        if event.key in (' ', 'enter'):
            self._advance()
        elif event.key in ('escape', 'q'):
            self._close()

    def _draw(self):
        """Draw the image as large as the window allows.

        It is enlarged by an integer factor (nearest neighbour), or reduced.
        """
        import PIL.Image
        width, height = self._figure.bbox.size  # pixels
        title = TITLE_INCHES * self._figure.dpi
        room, resolution = max(1, int(min(width, height - title))), self._dset.resolution
        size = room // resolution * resolution or room
        resampling = PIL.Image.Resampling
        filter_ = resampling.NEAREST if size >= resolution else resampling.LANCZOS
        # As RGB: matplotlib's grey colour map is off by one for some values.
        image = PIL.Image.fromarray(to_hwc(self._image)).resize((size, size), filter_)
        pixels = np.asarray(image.convert('RGB'))
        left, below = int(width - size) // 2, max(0, int(height - title - size) // 2)
        if self._picture is not None:
            self._picture.remove()
        # Not imshow, which would resample the pixels.
        self._picture = self._figure.figimage(pixels, left, below)
        self._title.set_y((below + size + title / 2) / height)
        self._figure.canvas.draw_idle()

    def _on_interrupt(self, signum, frame):
        self._error = KeyboardInterrupt()

    def _watch(self):
        if self._error is not None:
            self._close()

    def _close(self):
        from matplotlib import pyplot
        pyplot.close(self._figure)

    def _advance(self):
        """Show the next image; close the window after the last one."""
        try:
            self._show(*next(self._images))
        except StopIteration:
            self._close()
        except Exception as error:  # matplotlib would print it and continue.
            self._error = error
            self._close()

    def _show(self, image, label):
        number = self.num_shown
        print(f'Image {number}{full_label(label, self._classes)}', flush=True)
        title = f'image {number} of {self._dset.num_images}{self._title_label(label)}'
        self._title.set_text(_shorten(title, TITLE_LENGTH))
        self._image = image
        self._draw()
        self.num_shown += 1

    def _title_label(self, label):
        text = short_label(label, self._classes)
        return text and f'   {"label" if self._classes is None else "class"} {text}'


def _shorten(text, length):
    return text if len(text) <= length else text[:length - 3] + '...'
