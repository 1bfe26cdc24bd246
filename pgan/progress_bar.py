"""Progress bars for terminals: one line that shows the time left at any width."""
import contextlib
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tqdm import tqdm
from tqdm.utils import disp_len, disp_trim

# From the longest to the shortest; the first one that fits the terminal is shown.
_FORMS = ('{l_bar}{bar}{r_bar}',
          '{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]',
          '{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{remaining} left]',
          '{desc}: {percentage:3.0f}% [{remaining} left]')
_FORMS_WITHOUT_TOTAL = ('{desc}: {n_fmt}{unit} [{elapsed}, {rate_fmt}{postfix}]',
                        '{desc}: {n_fmt}{unit} [{elapsed}]')


class ProgressBar(tqdm):
    """tqdm bar that drops its less important parts on a narrow terminal.

    Attributes:
        forms: formats as in tqdm's `bar_format`, longest first; None = the default ones.
    """
    forms: Sequence[str] | None = None
    # ((width, number of forms), index of the longest form that has fitted so far)
    _fits: tuple[object, int] = (None, 0)

    def __str__(self) -> str:
        values = self.format_dict
        width = values['ncols'] or shutil.get_terminal_size().columns
        desc = (values['prefix'] or '').removesuffix(': ')
        is_known = values['total'] and values['n'] < values['total'] + 0.5
        forms = self.forms or (_FORMS if is_known else _FORMS_WITHOUT_TOTAL)

        def drawn(form: str, desc: str, ncols: int | None = None) -> str:
            form = form if desc else form.replace('{desc}: ', '')
            return str(self.format_meter(**{**values, 'prefix': desc, 'ncols': ncols,
                                            'bar_format': form}))
        # Never return to a longer form: the line would flip whenever a number gains or loses a
        # digit.
        kept, first = self._fits
        for number in range(first if kept == (width, len(forms)) else 0, len(forms)):
            if disp_len(drawn(forms[number], desc)) <= width:  # with a bar of 10 columns
                self._fits = (width, len(forms)), number
                return drawn(forms[number], desc, width)
        room = width - disp_len(drawn(forms[-1], '')) - len('...: ')
        shorter = f'{disp_trim(desc, room)}...' if desc and room > 0 else ''
        return drawn(forms[-1], shorter, width)


def progress_bar(iterable: Iterable[Any] | None = None, *, silent: bool = False,
                 **kwargs: Any) -> ProgressBar:
    """Progress bar on stderr, shown only if that is a terminal.

    While it is shown, print with tqdm.write or in a `printing` block.

    Args:
        iterable: the iterable to track, or None with `total=`.
        silent: never show the bar.
        kwargs: arguments of tqdm: total, unit, desc, delay (seconds before it appears)...
    """
    # A program may run without stderr.
    silent = silent or sys.stderr is None or sys.stderr.closed
    return ProgressBar(iterable, leave=False, disable=True if silent else None, dynamic_ncols=True,
                       **kwargs)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Hide the bars while the block prints to stdout or stderr."""
    with tqdm.external_write_mode(file=sys.stdout):
        yield
