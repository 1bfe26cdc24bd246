"""Commands that the program prints, each typed into a shell unchanged.

`tests/pgan/test_invocation.py` parses those of all messages; here they are run.
"""
import html
import os
import re
import shlex
import signal
import subprocess

import pytest

from dataset import creation_hint
from pgan import invocation
from tests.support.data_inputs import write_images
from tests.support.toy_runs import TINY

WORD = r"""(?:'[^']*'|"[^"]*"|[^\s'"])+"""


def printed(text):
    """Return the commands in a string, each up to the end of its line, clause or sentence."""
    start = re.escape(shlex.quote(invocation.interpreter()))
    found = []
    for begin in re.finditer(rf'(?<!\S){start} ', text):
        words = re.findall(WORD, text[begin.start():].partition('\n')[0].partition(' (')[0])
        last = next((i for i, word in enumerate(words) if word[-1] in ',.;'), len(words) - 1)
        found.append(' '.join(words[:last + 1]).rstrip(',.;'))
    return found


def typed(line):
    """Type a command into bash, in the current folder. Return its output."""
    done = subprocess.run(['bash', '-c', line], capture_output=True, text=True,
                          env={**os.environ, 'DISPLAY': ''})
    assert done.returncode == 0 and 'Traceback' not in done.stderr, (line, done.stderr[-3000:])
    return done.stdout


def in_page(path):
    """Return the commands of a report, which must be typed in the folder that it names."""
    text = html.unescape(path.read_text())
    folders = re.findall(r'Run it in the folder (.*)\.</p>', text)
    assert folders == [os.getcwd()] * len(folders)
    return printed('\n'.join(re.findall(r'<pre[^>]*>(.*?)</pre>', text)))


def stopped_at_the_first_tick(line, page):
    """Type a command that trains, and interrupt it after a tick.

    Returns:
        Its output, and the commands of its report before the interrupt.
    """
    with subprocess.Popen(['bash', '-c', f'exec {line}'], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, bufsize=1) as run:
        said = ''
        for text in run.stdout:
            said += text
            if text.startswith('tick 1 '):
                break
        while not page().exists():
            assert run.poll() is None, said
        commands = in_page(page())
        run.send_signal(signal.SIGINT)
        said += run.stdout.read()
    assert run.returncode == 130, said
    return said, commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Current folder, with a space in its name; it has pictures in 'src', and tiny.py."""
    folder = tmp_path / 'my folder'
    for name in ('cat', 'dog'):
        (folder / 'src' / name).mkdir(parents=True)
        write_images(folder / 'src' / name, 'rgb')
    (folder / 'tiny.py').write_text(TINY)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
@pytest.mark.exhaustive
def test_from_pictures_to_images(folder):
    """Each step is the command printed by the one before."""
    made = typed(invocation.command('dataset_tool.py', 'create_from_images', 'datasets/my set',
                                    'src', '--labels', 'folders'))
    look, train = printed(made)
    typed(look)
    run = folder / 'results' / '000-tiny'
    said, [write_report] = stopped_at_the_first_tick(f'{train} --config tiny.py',
                                                     lambda: run / 'report.html')
    typed(write_report)  # of a run that no longer trains
    resume, = in_page(run / 'report.html')
    assert printed(said) == [resume]
    said = typed(resume)
    assert (run / '_training-done.txt').exists() and in_page(run / 'report.html') == []
    images, video = printed(said)
    assert printed((run / 'log.txt').read_text())[-2:] == [images, video]
    for line, product in ((images, '*-fake-images-*/*.png'),
                          (f'{video} --duration_sec 1', '*-video-*/*.*')):
        typed(line)
        assert list(folder.glob(f'results/{product}')), os.listdir(folder / 'results')


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_finished_run_is_extended(folder):
    typed(invocation.command('dataset_tool.py', 'create_from_images', 'datasets/toy', 'src'))
    train = invocation.command('train.py', '--config', 'tiny.py')
    typed(f'{train} --set train.total_kimg=0.1')
    done = subprocess.run(['bash', '-c', f'{train} --resume'], capture_output=True, text=True)
    extend, _ = printed(done.stderr)
    assert done.returncode == 1 and extend.endswith(' train.total_kimg=KIMG')
    typed(extend.replace('KIMG', '0.2'))
    log = (folder / 'results' / '000-tiny' / 'log.txt').read_text()
    assert 'kimg 0.2 ' in log and len(list(folder.glob('results/*/'))) == 1


def test_a_missing_data_set_is_made(folder):
    hint = creation_hint('datasets/digits')
    make, = printed(hint)
    typed(make)
    assert 'digits-r02.tfrecords' in os.listdir('datasets/digits')
    bash, script = shlex.split(re.search(r'without any data: (.*)', hint)[1])
    assert bash == 'bash' and os.path.samefile(script, invocation.ROOT / 'quickstart.sh')


@pytest.mark.slow
def test_images_are_seen_without_a_window(folder):
    typed(invocation.command('dataset_tool.py', 'create_from_images', "its 'x'", 'src'))
    done = subprocess.run(['bash', '-c', invocation.command('dataset_tool.py', 'display',
                                                            "its 'x'")],
                          capture_output=True, text=True, env={**os.environ, 'DISPLAY': ''})
    sheet, extract = printed(done.stderr)
    typed(sheet)
    typed(extract)
    assert os.path.exists('sheet.png') and len(os.listdir('extracted-images')) >= 46
