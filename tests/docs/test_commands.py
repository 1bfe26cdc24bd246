"""Every command and every Python block in README.md and docs/.

All are parsed by the program's own parsers, and their options checked as the program does
(`HANDLERS`). Those in `RUN` are also carried out, in that order and word for word, on a small data
set and small networks; `RUN_PYTHON` likewise. Commands that are separate programs are carried out
in tests/docs/test_programs.py, which also checks that none is left out.
"""
import ast
import glob
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import dataset_tool
import misc
import train
from pgan import settings
from pgan.scripts import command_line
from tests.support.document_blocks import DOCUMENTS, blocks, commands, normalised
from tests.support.documented_runs import LONGER, RUN, RUN_WITH_LABELS
from tests.support.golden import ROOT
from tests.support.inception_standin import GRAPH_FILE, graph_bytes
from tests.support.toy_runs import TINY
from tests.support.videos import read_video

# ------------------------------------------------------------ parsed


def parse_train(words):
    args = train.parse_args(words)
    config = settings.load(
        [path if os.path.exists(path) else str(ROOT / path) for path in args.config], args.set)
    settings.check_config(config)


def parse_script(words):
    args = command_line.parse_args(words)
    settings.check_config(settings.load(args.config, [*command_line.assignments(args), *args.set]))


def parse_dataset_tool(words):
    assert dataset_tool.make_parser().parse_args(words).function


def parse_tensorboard(words):
    from tensorboard import program
    board = program.TensorBoard()
    board.configure(argv=['tensorboard', *words])
    assert board.flags.logdir == words[words.index('--logdir') + 1]


def parse_module(words):
    if words[0] == 'pip':
        return parse_pip(words[1:])
    done = subprocess.run([sys.executable, '-m', *words, '--help'], capture_output=True, text=True,
                          cwd=ROOT)
    assert done.returncode == 0 and 'usage' in done.stdout, done.stderr


def parse_pip(words):
    """Packages are those of the requirements files; '-e .' needs a pyproject.toml."""
    assert words[0] == 'install'
    known = (ROOT / 'requirements-pip.txt').read_text() + (ROOT /
                                                           'requirements-dev.txt').read_text()
    if words[1] == '-r':
        assert all((ROOT / name).exists() for name in words[2:])
    elif words[1:] == ['-e', '.']:
        assert '[project]' in (ROOT / 'pyproject.toml').read_text()
    else:
        assert all(
            re.search(rf'^(# .*)?"?{re.escape(word)}\b', known, re.MULTILINE) or word in known
            for word in words[1:]), words


def parse_bash(words):
    assert subprocess.run(['bash', '-n', ROOT / words[0]]).returncode == 0


def parse_git(words):
    if words[0] == 'config':
        assert words[1] == 'blame.ignoreRevsFile' and (ROOT / words[2]).exists()
    else:
        assert words[0] == 'worktree' and words[1] in ('add', 'remove') and words[2] == '../before'


def parse_export(words):
    # tests/test_documents.py and test_devices.py read such values
    assert re.fullmatch(r'TF_CONFIG=\{.*\}', words[0], re.DOTALL)


def parse_program(words):
    """A program of the repository with its own parser: its --help lists the options."""
    done = subprocess.run([sys.executable, ROOT / words[0], '--help'], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in words[1:] if word.startswith('--'))


def parse_mkdocs(words):
    """Carried out in test_site.py, into another folder."""
    from mkdocs.__main__ import cli
    assert cli.commands[words[0]].make_context('mkdocs', words[1:])


HANDLERS = {
    'python train.py': parse_train, 'python util_scripts.py': parse_script,
    'python dataset_tool.py': parse_dataset_tool, 'python -m': parse_module,
    'tensorboard': parse_tensorboard, 'pip': parse_pip, 'bash': parse_bash, 'export': parse_export,
    'git': parse_git, 'mkdocs': parse_mkdocs, 'python': parse_program,
}


def handler_of(words):
    for start in HANDLERS:
        if words[:len(start.split())] == start.split():
            return HANDLERS[start], words[len(start.split()):]
    raise AssertionError(f'a command that no test knows: {" ".join(words)}')


@pytest.mark.parametrize('where, words', commands(), ids=lambda value: value
                         if isinstance(value, str) else '')
def test_each_command_is_understood(in_tmp, where, words):
    handle, arguments = handler_of(normalised(words))
    (in_tmp / 'results').mkdir()
    handle(arguments)


@pytest.mark.parametrize('words', [
    'python train.py --rezume', 'python train.py --set train.total_kimgs=3',
    'python util_scripts.py '
    'generate_fake_image --run_id 3',
    'python util_scripts.py generate_fake_images --run_id 3 --num_png 0',
    'python dataset_tool.py create_from_image '
    'a b', 'pip install nonesuch', 'python -m benchmarks.nonesuch', 'frobnicate'
])
def test_a_wrong_command_is_noticed(in_tmp, words, capsys):
    """The checks of this file detect errors."""
    from pgan.errors import ConfigError
    with pytest.raises((SystemExit, ConfigError, AssertionError)):
        handle, arguments = handler_of(words.split())
        handle(arguments)


def test_inline_commands_are_understood(in_tmp):
    """`python ...` inside a sentence."""
    inline = [
        match for path in DOCUMENTS
        for match in re.findall(r'`((?:\.venv/bin/)?python [\w./-]+\.py[^`]*)`', path.read_text())
    ]
    assert len(inline) >= 5
    for text in inline:
        words = normalised(text.split())
        if '...' in text or words[1] in ('examples/import_example.py', ) or any(word.isupper()
                                                                                for word in words):
            assert (ROOT / words[1]).exists()
        elif words[1] != 'train.py' or '--config' not in words or os.path.exists(
                words[words.index('--config') + 1]):
            if len(words) > 2 or words[1] == 'train.py':
                handle, arguments = handler_of(words)
                handle(arguments)


# ------------------------------------------------------------ carried out

# A data set of 12 images, networks of a few weights, a few hundred images of training; the commands
# are the documents' own.
SMALLER = TINY.replace("dataset = EasyDict(tfrecord_dir='toy')\n", '').replace(
    "desc = 'tiny'\n", '') + '''
dataset.resolution = 16
train.update(total_kimg=0.2)
'''
# Sizes, and a folder that is not here.
REPLACED = {
    'train.total_kimg=15000': 'train.total_kimg=0.25',
    'train.total_kimg=60': 'train.total_kimg=0.2', '256': '16', '~/my_images': 'my_images',
    '60': '1', '10': '2', '1000': '10', '16384': '12', '50000': '12'
}


def test_what_is_run_stands_in_the_documents():
    written = {' '.join(words) for _, words in commands()}
    unwritten = [command for command in RUN + RUN_WITH_LABELS if command not in written]
    assert unwritten == [RUN_WITH_LABELS[1]]


@pytest.fixture(scope='module')
def session(tmp_path_factory):
    """A folder in which the commands of RUN were carried out, and the output of each."""
    folder = tmp_path_factory.mktemp('documents')
    (folder / 'my_images').mkdir()
    write_pictures(folder / 'my_images', 12)
    (folder / 'smaller.py').write_text(SMALLER)
    (folder / 'results' / '011-before').mkdir(parents=True)
    (folder / 'results' / '_inception').mkdir()
    # in place of the true one, which is large
    (folder / 'results' / '_inception' / GRAPH_FILE).write_bytes(graph_bytes(16))
    words = {' '.join(words): words for _, words in commands()}
    before, output = os.getcwd(), {}
    os.chdir(folder)
    try:
        for command in RUN:
            if re.search(r'--resume( 12)?$', command):
                for mark in glob.glob('results/012-mine/_training-done.txt'):
                    os.unlink(mark)  # as if it had been stopped right before its end
            output[command] = carry_out(
                [REPLACED.get(word, word) for word in normalised(words[command])])
    finally:
        os.chdir(before)
    return folder, output


def write_pictures(folder, count):
    for i in range(count):
        pixels = np.random.RandomState(i).randint(0, 256, [20, 24, 3], dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{i}.png')


def carry_out(words):
    """Run one of the repository's programs in this process. Returns its output."""
    import contextlib
    import io
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            if words[1] == 'dataset_tool.py':
                code = dataset_tool.main(words[2:])
            elif words[1] == 'util_scripts.py':
                code = command_line.main(words[2:])
            else:
                smaller = [] if '--resume' in words or '--list' in words else [
                    '--config', 'smaller.py'
                ]
                smaller += ['--set', 'dataset.tfrecord_dir=mine'] if '--dry-run' in words else []
                code = train.main([*smaller, *words[2:]])
        except SystemExit as end:
            code = end.code
        finally:
            misc.restore_output()
    assert not code, (words, said.getvalue())
    return said.getvalue()


@pytest.mark.slow
def test_data_set(session):
    folder, said = session
    assert len(list((folder / 'datasets/mine').glob('*.tfrecords'))) == 3 and '12' in said[RUN[1]]


@pytest.mark.slow
def test_training(session):
    folder, said = session
    run = folder / 'results/012-mine'
    assert {
        'report.html', 'stats.jsonl', 'environment.json', 'network-final.pkl', '_training-done.txt'
    } <= set(os.listdir(run))
    text = said['.venv/bin/python train.py --set dataset.tfrecord_dir=mine --set desc=mine --set '
                'train.mirror_augment=False']
    for line in ('This run:', '  Data set      mine: 12 images of 3x16x16, not mirrored',
                 '  Devices       1 x CPU', '  Result folder results/012-mine'):
        assert line in text.splitlines(), text
    # no trial step was made, so there is no time
    assert text.index('This run:') < text.index('\nTraining...') and 'In all ' not in text
    assert 'train.total_kimg: 0.2 -> 0.25' in said[LONGER] and 'of which 0.2 are done' in said[
        LONGER], said[LONGER]


@pytest.mark.slow
def test_scripts(session):
    folder, _ = session
    assert len(glob.glob(str(folder / 'results/014-fake-images-12/*.png'))) == 2
    assert glob.glob(str(folder / 'results/013-training-video-12/*.mp4'))
    assert len(glob.glob(str(folder / 'results/*/seed00*.png'))) == 21
    for number, size in ((15, (256, 384)), (17, (256, 256))):
        video, = glob.glob(str(folder / f'results/0{number}-interpolation-video-12*/*.mp4'))
        assert read_video(video)[0].shape[1:3] == size


@pytest.mark.slow
def test_metrics(session):
    folder, _ = session
    for name, column in (('swd-16k', 'SWDx1e3_16'), ('fid-50k', 'FID')):
        text = next(folder.glob(f'results/*/metric-{name}.txt')).read_text()
        assert re.search(rf'^Snapshot .* {column} .*\n---.*\nReals .*\nReals2 .*\n\d+ ', text,
                         re.MULTILINE), text


@pytest.mark.slow
def test_resuming(session):
    _, said = session
    assert 'Everything fits' in said['.venv/bin/python train.py --dry-run']
    for command in ('.venv/bin/python train.py --resume', '.venv/bin/python train.py --resume 12'):
        assert 'Resuming results/012-mine at kimg 0.2' in said[command] and 'Exiting...' in said[
            command]


@pytest.mark.slow
def test_commands_for_labels(in_tmp):
    for name in 'abcd':
        (in_tmp / 'my_images' / name).mkdir(parents=True)
        write_pictures(in_tmp / 'my_images' / name, 3)
    (in_tmp / 'my_images' / 'a' / 'broken.png').write_bytes(b'nothing')
    (in_tmp / 'smaller.py').write_text(SMALLER + 'dataset.max_label_size = '
                                                 "'full'\ntrain.total_kimg = 0.05\ngrid.size = "
                                                 "'1080p'\n")
    for command in RUN_WITH_LABELS:
        words = [REPLACED.get(word, word) for word in normalised(command.split())]
        carry_out(['0' if word == '12' else word for word in words])
    run, *_ = glob.glob('results/000-*')
    assert misc.load_network_pkl(run)[2].input_shapes[1] == [None, 4]
    assert [
        len(glob.glob(f'{folder}/*.png')) for folder in sorted(glob.glob('results/*fake-images*'))
    ] == [5, 10]
    with open(f'{run}/log.txt') as file:
        assert 'train.total_kimg: 0.05 -> 0.2' in file.read()


# ------------------------------------------------------------ Python

PYTHON = [block for block in blocks() if block.language == 'python']
# Of these, in order, in one namespace for each document.
RUN_PYTHON = ['README.md', 'notebooks.md', 'watching.md']
PATHS = {'results/000-pgan-mine': 'results/012-mine'}
# ONNX has separate tests; there are no labels here
NOT_RUN = ('generator.onnx', 'max_label_size', '[[3] * len(latents)]', 'EasyDict')


@pytest.mark.parametrize('block', PYTHON, ids=lambda block: f'{block.document}:{block.line}')
def test_python_compiles(block):
    ast.parse(block.text)


@pytest.mark.slow
@pytest.mark.parametrize('document', RUN_PYTHON)
def test_python_runs(session, document, monkeypatch, capsys):
    monkeypatch.chdir(session[0])
    namespace, count = {}, 0
    for block in PYTHON:
        if block.document == document and not any(part in block.text for part in NOT_RUN):
            text = block.text
            for old, new in PATHS.items():
                text = text.replace(old, new)
            exec(compile(text, f'{document}:{block.line}', 'exec'),
                 namespace)  # noqa: S102 -- the document under test
            count += 1
    assert count
    if document == 'README.md':
        assert namespace['images'].shape == (4, 3, 16, 16) and namespace['images'].dtype == np.uint8
    if document == 'notebooks.md':
        assert Image.open('eight.png').size == (64, 32) and Image.open('first.png').size == (16, 16)


def test_the_override_file_of_the_documents(in_tmp):
    block, = [block for block in PYTHON if 'EasyDict' in block.text]
    (in_tmp / 'mine.py').write_text(block.text)
    config = settings.load(['mine.py'])
    settings.check_config(config)
    assert config.dataset.resolution == 64 and config.sched.lod_training_kimg == 200


# ------------------------------------------------------------ links

def headings(text):
    """The anchors that a page's headings get: lower case, spaces as dashes, without other marks."""
    text = re.sub(r'^ *```.*?^ *```$', '', text, flags=re.DOTALL | re.MULTILINE)
    return {
        re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
        for heading in re.findall(r'^#+ +(.*)$', text, re.MULTILINE)
    }


@pytest.mark.parametrize('path', [*DOCUMENTS, ROOT / 'benchmarks' / 'LOG.md'],
                         ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Files, folders and headings exist; addresses on the web are not requested."""
    for target in re.findall(r'\]\((?!https?:)([^)\s]+)\)', path.read_text()):
        name, _, anchor = target.partition('#')
        other = path.parent / name if name else path
        assert other.exists(), f'{path.name} links to {target}'
        assert not anchor or anchor in headings(other.read_text()), f'{path.name} links to {target}'


def test_each_page_is_linked_from_the_readme():
    readme = (ROOT / 'README.md').read_text()
    pages = [path.relative_to(ROOT) for path in DOCUMENTS[1:]]
    assert not [page for page in pages if f'({page})' not in readme]


def test_the_readme_is_short():
    """A screen or two; longer texts have their own page."""
    assert len((ROOT / 'README.md').read_text().split()) <= 1000


def test_the_index_has_each_page_once():
    index = ROOT / 'docs' / 'README.md'
    targets = re.findall(r'^\* \[.*?\]\((\S+)\)', index.read_text(), re.MULTILINE)
    assert len(targets) == len(set(targets))
    assert {path.name for path in ROOT.glob('docs/*.md')} - set(targets) == {index.name}


def test_pictures_are_small():
    pictures = [path for path in ROOT.glob('docs/*') if path.suffix in ('.png', '.jpg', '.gif')]
    assert pictures and all(path.stat().st_size < (400_000 if path.suffix == '.gif' else 150_000)
                            for path in pictures)
