"""pgan/reporting/status_section.py: the status of a run on its page."""
import html
import os
import re
import shlex
import time
import types

import pytest

from misc import resuming, run_files, run_status
from pgan.errors import DataError
from pgan.invocation import command, path_argument
from pgan.scripts.write_report import write_report
from pgan.signals import Stopped


def status_of(folder):
    """Status line of a page made by write_report, and the command below it, if any."""
    write_report(str(folder), config=types.SimpleNamespace(result_dir='results'))
    text = html.unescape((folder / 'report.html').read_text())
    assert 'Page last updated: ' in text
    said = re.search(r'<p class="status">(.*?)</p>(?:<pre tabindex=0>(.*?)</pre>)?', text,
                     re.DOTALL)
    return said[1], said[2]


def test_what_has_become_of_a_run(run_folder):
    """The status is correct regardless of who writes the page, and when."""
    folder = str(run_folder)
    resume = command('train.py', '--resume', path_argument(folder))
    assert os.path.samefile(shlex.split(resume)[-1], folder)
    assert status_of(run_folder)[1] is None  # Older versions left no record to resume from.
    resuming.write_run(folder, [], [], {})
    with resuming.only_process(folder):
        run_status.write_status(folder, run_status.RUNNING, 0, 99)
        said, then = status_of(run_folder)
        assert said.startswith('In training, at 40.0 of 99 kimg')
        assert then == command('util_scripts.py', 'write_report', '--run_id',
                               path_argument(folder))
    said, then = status_of(run_folder)  # SIGKILL
    assert said.startswith('Stopped without a message') and '40.0 of 99 kimg' in said
    assert then == resume
    for error, expected in (
            (Stopped(143), 'Stopped by SIGTERM on '), (KeyboardInterrupt(), 'Stopped by SIGINT on'),
            (DataError('<the> disk is full.'), ': <the> disk is full. Continue when this is fixed'),
            (ValueError('bad\nvalue'), ': ValueError: bad value. Continue')):
        run_status.write_status(folder, *flat(run_status.end_of(error), 41.25, 99))
        said, then = status_of(run_folder)
        assert expected in said and 'at 41.2 of 99 kimg' in said and then == resume


def flat(state_and_reason, kimg, total_kimg):
    state, reason = state_and_reason
    return state, kimg, total_kimg, reason


def test_a_run_is_finished_when_it_was_finished(run_folder):
    """The time is that of the run's end: from its record if possible, as copying changes file
    times.
    """
    mark = run_folder / run_files.DONE_MARK
    mark.touch()
    os.utime(mark, (10**9, 10**9))
    expected = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(10**9))
    said, then = status_of(run_folder)
    assert (said, then) == (f'Finished on {expected}, at 40.0 kimg.', None)
    run_status.write_status(run_folder, run_status.FINISHED, 40, 40)
    assert f'Finished on {time.strftime("%Y-")}' in status_of(run_folder)[0]
    mark.unlink()  # killed while writing the last files
    assert 'Stopped without a message' in status_of(run_folder)[0]


@pytest.mark.parametrize('content', ['', '[]', '{"state": 3}', '{"state": "stopped", "kimg": "x"}',
                                     '{"state": "failed", "time": null, "reason": null}'])
def test_a_damaged_note_of_the_status(run_folder, content):
    path = run_folder / 'checkpoints' / run_status.FILE
    path.parent.mkdir()
    path.write_text(content)
    assert status_of(run_folder)[0].startswith('Stopped without a message')
