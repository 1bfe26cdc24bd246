"""The end of a run's log for its report, without the tables of layers."""
import os
import re

LINES = 60
_MOST_BYTES = 60_000
# The format of `tfutil.Network.print_layers`.
_TABLE = re.compile(r'\n*^(\S+) +Params +OutputShape +WeightShape *\n(?:.*\n)*?Total +\d+ *\n+',
                    re.MULTILINE)


def log_tail(folder: str, lines: int = LINES) -> str:
    """Return the last lines of a run's log.txt; '' if there is no log.

    Each table of a network's layers is replaced by one line, to leave room for tick lines.
    """
    try:
        with open(os.path.join(folder, 'log.txt'), 'rb') as file:
            file.seek(max(os.path.getsize(file.name) - _MOST_BYTES, 0))
            text = file.read().decode('utf-8', 'replace')
    except OSError:
        return ''
    text = _TABLE.sub(r'\n(layers of \1: see log.txt)\n', text)
    return '\n'.join(text.splitlines()[-lines:])
