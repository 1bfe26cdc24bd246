"""A headless Chromium for the pages that the program makes."""
import functools
import shutil
import subprocess

import pytest


@functools.cache
def chromium():
    """Chromium's command, or None."""
    return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
                None)


needs_chromium = pytest.mark.skipif(
    chromium() is None, reason='no Chromium on this machine (Debian: '
    'apt-get install chromium)')


def browse(profile, address, *options):
    """Let Chromium load a page. Returns (standard output, standard error).

    Args:
        profile: a folder of its own.
        address: of the page.
        options: e.g. '--dump-dom', '--screenshot=FILE'.
    """
    done = subprocess.run([
        chromium(), '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
        '--no-first-run', '--enable-logging=stderr', f'--user-data-dir={profile}', *options, address
    ], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def dom(profile, address):
    """A page as it is after its scripts have run. No script may have failed."""
    text, errors = browse(profile, address, '--dump-dom')
    assert 'Uncaught' not in errors and 'Content Security Policy' not in errors, errors
    return text
