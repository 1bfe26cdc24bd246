"""explorer/explore.py: the script as its user starts and stops it."""
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from pgan.explorer import explore as script
from tests.support.golden import ROOT
from util_scripts import explore


def test_mistakes_are_told_before_anything_is_loaded(toy_run):
    with script.bound_socket('127.0.0.1', None, 43000) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f'port {port} cannot be used'):
            explore(3, port=port, no_browser=True, config=toy_run)
    with pytest.raises(OSError, match='run 77'):
        explore(77, no_browser=True, config=toy_run)
    with pytest.raises(ValueError, match='train.port'):
        explore(3, port=0, config=toy_run)
    with pytest.raises(ValueError, match='train.host'):
        explore(3, host='no.such.host.invalid', config=toy_run)


def test_a_browser_is_opened_where_there_is_one(monkeypatch):
    opened = []
    monkeypatch.setattr(script.webbrowser, 'open', opened.append)
    monkeypatch.setattr(script.sys, 'platform', 'linux')
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    script.open_browser('http://a/')
    monkeypatch.setenv('DISPLAY', ':0')
    script.open_browser('http://b/')
    assert opened == ['http://b/']


@pytest.mark.slow
@pytest.mark.parametrize('number, code, last', [
    (signal.SIGINT, 0, 'Exiting...'),
    pytest.param(signal.SIGTERM, 143, 'Stopped by SIGTERM. The explorer has ended.',
                 marks=pytest.mark.exhaustive)])
def test_from_its_start_to_its_end(toy_run, number, code, last):
    """Run as a program; Ctrl-C ends it with one line."""
    program = subprocess.Popen([
        sys.executable, ROOT / 'util_scripts.py', 'explore', '--run_id', '3', '--no_browser',
        '--set', f'result_dir={toy_run.result_dir}', '--set', f'data_dir={toy_run.data_dir}'
    ], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={
        **os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'})
    with program:
        line = next(line for line in program.stdout if line.startswith('Explore it'))
        address = re.search(r'http://127\.0\.0\.1:\d+/', line)[0]
        with urllib.request.urlopen(address) as page:
            assert b'<title>Explorer</title>' in page.read()
        program.send_signal(number)
        rest, errors = program.communicate(timeout=20)
    assert program.returncode == code and rest.splitlines() == [last]
    assert 'Traceback' not in errors
    assert sorted(os.listdir(toy_run.result_dir)) == ['003-toy']
