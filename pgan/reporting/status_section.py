"""Status of a run, for its report and for the page of all runs."""
import html
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from misc.run_status import FAILED, FINISHED, RUNNING, RunStatus
from pgan.invocation import command, path_argument
from pgan.reporting.timetable import rough_time

LEAST_REFRESH, MOST_REFRESH = 5, 60  # seconds between two reloads of a running run's page


def status_section(folder: str, status: RunStatus, rows: Sequence[Mapping[str, Any]]) -> str:
    """HTML of a run's status and progress, and of the command that resumes it.

    Args:
        folder: the run's folder.
        status: the run's status.
        rows: the lines of its stats.jsonl, parsed.
    """
    ticks = [(row['nimg'] / 1000, row.get('time')) for row in rows
             if isinstance(row.get('nimg'), (int, float))]
    kimg, last_heard = ticks[-1] if ticks else (status.kimg or 0.0, status.time)
    if status.state != RUNNING and status.kimg is not None and status.reason:
        kimg = status.kimg
    text = status_text(status, kimg, last_heard)
    then = continuing_command(folder, status)
    if status.state == RUNNING:
        text += (' If the last update is long ago, its process may have been killed. To find out, '
                 'write this page again:')
        then = command('util_scripts.py', 'write_report', '--run_id', path_argument(folder))
    elif then:
        text += f' Continue{" when this is fixed" if status.state == FAILED else ""} with:'
    where = f'<p class="soft">Run it in the folder {html.escape(os.getcwd())}.</p>' if then else ''
    return (f'<section class="state {status.state}" aria-label="status of the run">\n'
            f'{progress_line(status, kimg)}{_facts(status, kimg, rows)}'
            f'<p class="status">{html.escape(text)}</p>'
            f'{f"<pre tabindex=0>{html.escape(then)}</pre>{where}" if then else ""}\n'
            f'<p class="soft"><span>Page last updated: {moment(time.time())}.</span>'
            f'{_refresh_control(status, rows)}</p></section>')


def continuing_command(folder: str, status: RunStatus) -> str:
    """Command that resumes a run, from the current folder; '' if it need not or cannot be resumed.
    """
    if status.state in (RUNNING, FINISHED) or not status.can_continue:
        return ''
    return command('train.py', '--resume', path_argument(folder))


def progress_line(status: RunStatus, kimg: float) -> str:
    """HTML of the state as a badge, and of a progress bar if the run's length is known."""
    bar, total = '', status.total_kimg
    if total:
        percent = percent_of(kimg, total)
        bar = (f'<progress value="{min(kimg, total):.6g}" max="{total:.6g}" aria-label="kimg of '
               f'{total:g}">{percent} %</progress><b>{percent} %</b>')
    badge = f'<span class="badge {status.state}">{status.state}</span>'
    return f'<p class="progress">{badge}{bar}</p>\n'


def percent_of(kimg: float, total_kimg: float) -> int:
    """Progress in percent, rounded down; 0 if the length is unknown."""
    return min(int(100 * kimg / total_kimg), 100) if total_kimg else 0


def _facts(status, kimg, rows):
    """HTML of kimg, speed and times, as far as known."""
    last = rows[-1] if rows else {}
    number = lambda tag: last[tag] if isinstance(last.get(tag), (int, float)) else None
    total = f' of {status.total_kimg:g}' if status.total_kimg is not None else ''
    speed, so_far = number('Timing/sec_per_kimg'), number('Timing/total_sec')
    left = status.seconds_left
    if left is None and speed is not None and status.total_kimg is not None:
        left = speed * max(status.total_kimg - kimg, 0.0)
    facts = {'kimg': f'{kimg:.1f}{total}'}
    if number('Progress/lod') is not None:
        facts['lod'] = f'{number("Progress/lod"):.2f}'
    if speed:
        facts['speed'] = f'{speed:.3g} sec/kimg'
    if so_far is not None:
        facts['so far'] = rough_time(so_far)
    if left is not None and status.state != FINISHED:
        facts['left'] = f'about {rough_time(left)}'
    items = ''.join(f'<div><dt>{name}</dt><dd>{html.escape(text)}</dd></div>'
                    for name, text in facts.items())
    return f'<dl class="facts">{items}</dl>\n'


def _refresh_control(status, rows):
    """Checkbox of a page that reloads itself, several times per tick."""
    if status.state != RUNNING:
        return ''
    tick = rows[-1].get('Timing/sec_per_tick') if rows else None
    seconds = tick / 4 if isinstance(tick, (int, float)) else LEAST_REFRESH
    every = int(min(max(seconds, LEAST_REFRESH), MOST_REFRESH))
    return (f'<label><input id="refresh" type="checkbox" checked data-seconds="{every}"> '
            f'reload every {every} s</label>')


def status_text(status: RunStatus, kimg: float, last_heard: float | None) -> str:
    """Status of a run in one or two sentences.

    Args:
        status: the run's status.
        kimg: thousands of images shown at its last tick.
        last_heard: time of that tick, in seconds since 1970; None = unknown.
    """
    total = f' of {status.total_kimg:g}' if status.total_kimg is not None else ''
    since = f' on {moment(status.time)}' if status.time is not None else ''
    if status.state == RUNNING:
        return f'In training, at {kimg:.1f}{total} kimg. This page is updated at each tick.'
    if status.state != FINISHED and not status.reason:
        heard = f' Its last tick was at {kimg:.1f}{total} kimg'
        heard += f' on {moment(last_heard)}.' if last_heard else '.'
        return f'Stopped without a message: it was killed, or its machine went down.{heard}'
    at = f'at {kimg if status.kimg is None else status.kimg:.1f}'
    if status.state == FINISHED:
        return f'Finished{since}, {at} kimg.'
    if status.state == FAILED:
        return f'Failed{since}, {at}{total} kimg: {status.reason.rstrip(".")}.'
    return f'Stopped by {status.reason}{since}, {at}{total} kimg.'


def moment(seconds: float) -> str:
    """Format a time in seconds since 1970 as local date and time."""
    try:
        return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # from a damaged file
        return 'an unknown day'
