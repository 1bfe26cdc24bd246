"""misc.startup: which lines appear on stderr while TensorFlow starts."""
import os
import subprocess
import sys

import pytest

from misc import startup
from tests.support.golden import ROOT

NOISE = [
    'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
    'I0000 00:00:1795322973.573738   25233 port.cc:153] oneDNN custom operations are on.',
    'I0000 00:00:1795322973.574660   25233 cudart_stub.cc:31] Could not find cuda drivers on your '
    'machine, GPU will not be used.',
    'E0000 00:00:1795322984.139865   25875 cuda_platform.cc:52] failed call to cuInit: INTERNAL: '
    'CUDA error: UNKNOWN ERROR (303)']
NEWS = ['Traceback (most recent call last):', 'W0000 00:00:1795322984.139865   25875 memory.cc:5] '
                                              '90% of the memory is used.']


def python(code, **environment):
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=100,
                          env={**os.environ, 'PYTHONPATH': str(ROOT), **environment})


@pytest.mark.parametrize('end', ['pass', 'raise ValueError', 'os.abort()'])
def test_only_the_noise_is_left_out(end):
    """stderr is restored however the import ends."""
    done = python(f"""
import os
from misc import startup
with startup.filtered_stderr():
    os.write(2, {chr(10).join(NOISE + NEWS + [''])!r}.encode())
    {end}
os.write(2, b'I0000 afterwards\\n')
""")
    assert done.stderr.split('\n')[:2] == NEWS
    assert ('ValueError' in done.stderr, 'I0000 afterwards'
            in done.stderr) == (end.startswith('raise'), end == 'pass')
    assert not any(line in done.stderr for line in NOISE)


@pytest.mark.slow
@pytest.mark.skipif(startup.has_gpu(), reason='this machine has a GPU: what TensorFlow says about '
                                              'it is of interest')
def test_tensorflow_starts_quietly():
    done = python('import misc; misc.import_tensorflow()', TF_CPP_MIN_LOG_LEVEL='1')
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize(('gpu', 'level', 'quiet'), [(False, '1', True), (False, '0', False),
                                                     (True, '1', False)])
def test_who_asks_for_every_line_gets_it(gpu, level, quiet, monkeypatch):
    monkeypatch.setattr(startup, 'has_gpu', lambda: gpu)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', level)
    assert startup.quiet_is_wanted() is quiet
