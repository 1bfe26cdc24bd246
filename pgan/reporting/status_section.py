"""What has become of a run, for its report."""
import html
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from misc.run_status import FAILED, FINISHED, RUNNING, RunStatus
from pgan.invocation import command, path_argument


def status_section(folder: str, status: RunStatus, rows: Sequence[Mapping[str, Any]]) -> str:
    """HTML for what has become of the run, and for the command that continues it.

    Args:
        folder: of the run.
        status: of the run.
        rows: lines of its stats.jsonl.
    """
    ticks = [(row['nimg'] / 1000, row.get('time')) for row in rows
             if isinstance(row.get('nimg'), (int, float))]
    text = status_text(status, *(ticks[-1] if ticks else (status.kimg or 0.0, status.time)))
    then = ''
    if status.state == RUNNING:
        text += (' If that is long ago, its process may have been killed. To find out, write this '
                 'page again:')
        then = command('util_scripts.py', 'write_report', '--run_id', path_argument(folder))
    elif status.state != FINISHED and status.can_continue:
        text += f' Continue{" when that is fixed" if status.state == FAILED else ""} with:'
        then = command('train.py', '--resume', path_argument(folder))
    where = f'<p class="soft">Run it in the folder {html.escape(os.getcwd())}.</p>' if then else ''
    return (f'<p class="status">{html.escape(text)}</p>'
            f'{f"<pre>{html.escape(then)}</pre>{where}" if then else ""}\n'
            f'<p class="soft">Page last updated: {_moment(time.time())}.</p>')


def status_text(status: RunStatus, kimg: float, last_heard: float | None) -> str:
    """What has become of a run, in a sentence or two.

    Args:
        status: of the run.
        kimg: how far it was at its last tick.
        last_heard: time of that tick, in seconds since 1970; None = unknown.
    """
    total = f' of {status.total_kimg:g}' if status.total_kimg is not None else ''
    since = f' on {_moment(status.time)}' if status.time is not None else ''
    if status.state == RUNNING:
        return f'In training, at {kimg:.1f}{total} kimg. This page is updated at each tick.'
    if status.state != FINISHED and not status.reason:
        heard = f' Its last tick was at {kimg:.1f}{total} kimg'
        heard += f' on {_moment(last_heard)}.' if last_heard else '.'
        return f'Stopped without a message: it was killed, or its machine went down.{heard}'
    at = f'at {kimg if status.kimg is None else status.kimg:.1f}'
    if status.state == FINISHED:
        return f'Finished{since}, {at} kimg.'
    if status.state == FAILED:
        return f'Failed{since}, {at}{total} kimg: {status.reason.rstrip(".")}.'
    return f'Stopped by {status.reason}{since}, {at}{total} kimg.'


def _moment(seconds):
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))
