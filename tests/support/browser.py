"""Headless Chromium for the pages that the program makes."""
import functools
import html
import json
import shutil
import subprocess

import pytest


@functools.cache
def chromium():
    """Path of Chromium, or None."""
    return next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))),
                None)


needs_chromium = pytest.mark.skipif(
    chromium() is None, reason='no Chromium on this machine (Debian: '
    'apt-get install chromium)')


def browse(profile, address, *options):
    """Load a page in Chromium. Returns (stdout, stderr).

    Args:
        profile: a separate folder for Chromium's profile.
        address: URL of the page.
        options: e.g. '--dump-dom', '--screenshot=FILE'.
    """
    done = subprocess.run([
        chromium(), '--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars',
        '--no-first-run', '--enable-logging=stderr', f'--user-data-dir={profile}', *options, address
    ], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def in_frames(folder, pages, script, *options, widths=(400, 1400)):
    """Run a script in pages shown in frames of several widths, with a single start of Chromium.

    Args:
        folder: folder for the page of the frames and Chromium's profile.
        pages: paths of the pages.
        script: body of an async function of a frame's (window, document) that returns a
            JSON-compatible value.
        options: see `browse`.
        widths: widths of the frames in pixels.

    Returns:
        {(name of the page, width): return value of the script}.
    """
    frames = [(page, width) for page in pages for width in widths]
    elements = ''.join(f'<iframe src="{page.as_uri()}" style="border:0;height:900px;'
                       f'width:{width}px"></iframe>' for page, width in frames)
    (folder / 'frames.html').write_text(
        f'<!DOCTYPE html><meta name="color-scheme" content="light dark">{elements}'
        f'<pre id="found"></pre><script>const look = async (window, document) => {{{script}}};'
        'onload = async () => { document.querySelector("#found").textContent = JSON.stringify('
        'await Promise.all([...document.querySelectorAll("iframe")].map(frame => look('
        'frame.contentWindow, frame.contentDocument).catch(error => String(error.stack))))) }'
        '</script>')
    text, errors = browse(folder / 'profile', (folder / 'frames.html').as_uri(),
                          '--allow-file-access-from-files', '--dump-dom',
                          '--virtual-time-budget=4000', *options)
    assert 'Uncaught' not in errors and 'Content Security Policy' not in errors, errors
    found = json.loads(html.unescape(text.partition('<pre id="found">')[2].partition('</pre>')[0]))
    return {(page.name, width): value for (page, width), value in zip(frames, found, strict=True)}
