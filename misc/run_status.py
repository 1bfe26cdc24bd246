"""Status of a run: running, stopped, failed or finished.

The run writes it to RUN/checkpoints/status.json at its start, at each tick and at its end. A
process that is killed cannot do so; its released lock shows that it has ended.
"""
import json
import math
import os
import time
from typing import Any, NamedTuple

from misc.resuming import is_in_use
from misc.run_files import DONE_MARK, checkpoint_folder, run_json
from pgan.errors import memory_error
from pgan.files import atomic_write, make_folder, to_json
from pgan.signals import Stopped

FILE = 'status.json'
RUNNING, STOPPED, FAILED, FINISHED = 'running', 'stopped', 'failed', 'finished'


class RunStatus(NamedTuple):
    """Status of a run.

    Attributes:
        state: RUNNING, STOPPED, FAILED or FINISHED.
        time: when the status was written, in seconds since 1970; None = unknown.
        kimg, total_kimg: thousands of images shown, and the run's length; None = unknown.
        reason: name of the signal, or the error message. A STOPPED run without a reason was killed,
            or its machine went down.
        can_continue: whether `train.py --resume` can resume the run.
        seconds_left: estimated training time left at `time`; None = unknown.
    """
    state: str
    time: float | None = None
    kimg: float | None = None
    total_kimg: float | None = None
    reason: str = ''
    can_continue: bool = False
    seconds_left: float | None = None


def write_status(result_subdir: str | os.PathLike, state: str, kimg: float, total_kimg: float,
                 reason: str = '', seconds_left: float | None = None) -> None:
    """Write the status of a run; see `RunStatus` for the arguments.

    Raises:
        DataError: the file cannot be written.
    """
    make_folder(checkpoint_folder(result_subdir))
    with atomic_write(_path(result_subdir), 'w') as file:
        file.write(to_json(dict(state=state, time=time.time(), kimg=kimg, total_kimg=total_kimg,
                                reason=reason, seconds_left=seconds_left), indent=1))


def end_of(error: BaseException) -> tuple[str, str]:
    """(state, reason) of a run that ends with this exception."""
    if isinstance(error, Stopped):
        return STOPPED, error.signal_name
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, 'SIGINT'
    error = memory_error(error) or error
    text = ' '.join(str(error).split())
    is_plain = type(error).__module__.startswith('pgan.')
    return FAILED, text if is_plain else f'{type(error).__name__}: {text}'


def read_status(result_subdir: str | os.PathLike) -> RunStatus:
    """Read the status of a run. Runs of older versions and killed processes are recognised, too."""
    noted = _noted(result_subdir)
    found = RunStatus(noted.get('state') or RUNNING, _number(noted, 'time'),
                      _number(noted, 'kimg'), _number(noted, 'total_kimg'),
                      str(noted.get('reason') or ''), os.path.exists(run_json(result_subdir)),
                      _number(noted, 'seconds_left'))
    mark = os.path.join(result_subdir, DONE_MARK)
    if os.path.exists(mark):
        when = found.time if found.state == FINISHED else None
        return found._replace(state=FINISHED, time=when or os.path.getmtime(mark), reason='')
    if found.state in (RUNNING, FINISHED):  # The done mark is written after the status.
        is_running = is_in_use(result_subdir)
        return found._replace(state=STOPPED if is_running is False else RUNNING, reason='')
    return found


def _path(result_subdir):
    return os.path.join(checkpoint_folder(result_subdir), FILE)


def _noted(result_subdir) -> dict[str, Any]:
    try:
        with open(_path(result_subdir), encoding='utf-8') as file:
            noted = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    known = (RUNNING, STOPPED, FAILED, FINISHED)
    return noted if isinstance(noted, dict) and noted.get('state') in known else {}


def _number(noted, name):
    value = noted.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None
