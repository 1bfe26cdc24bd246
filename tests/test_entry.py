"""train.py as a command: how it ends when it is interrupted, stopped or misused, before any training."""
import os
import subprocess
import sys

import pytest
from conftest import ROOT


def train(folder, override, **environment):
    """Run train.py in a folder with the text of an override file."""
    (folder / 'override.py').write_text(override)
    return subprocess.run([sys.executable, ROOT / 'train.py', '--config', 'override.py'], cwd=folder, capture_output=True, text=True,
                          env={**os.environ, **environment})


@pytest.mark.parametrize(('override', 'code', 'message'), [
    ('raise KeyboardInterrupt', 130, 'Interrupted. Everything'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGINT)', 130, 'Interrupted. Everything'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGTERM)', 143, 'Stopped by SIGTERM.'),
    ('import os, signal; os.kill(os.getpid(), signal.SIGHUP)', 129, 'Stopped by SIGHUP.'),
])
def test_interrupted_before_anything_began(override, code, message, tmp_path):
    done = train(tmp_path, override)
    assert (done.returncode, done.stderr) == (code, '')
    assert done.stdout.startswith(message) and done.stdout.count('\n') == 1


def test_no_unfinished_file_is_left(tmp_path):
    done = train(tmp_path, "import misc, os, signal\nwith misc.atomic_write('network.pkl') as file:\n    file.write(b'half')\n"
                           '    os.kill(os.getpid(), signal.SIGTERM)\n')
    assert done.returncode == 143
    assert [path.name for path in tmp_path.iterdir()] == ['override.py']


def test_nohup_is_respected(tmp_path):
    """What ignores SIGHUP when the program starts goes on ignoring it."""
    (tmp_path / 'override.py').write_text("import os, signal, sys\nos.kill(os.getpid(), signal.SIGHUP)\nraise KeyError('went on')\n")
    done = subprocess.run(['nohup', sys.executable, ROOT / 'train.py', '--config', 'override.py'], cwd=tmp_path, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and 'went on' in done.stderr
