"""parser.py: errors suggest what was probably meant."""
import os
import shlex

import pytest

import dataset_tool
import train
import util_scripts
from pgan.scripts import command_line

PROGRAMS = {'train.py': train.parse_args, 'util_scripts.py': command_line.parse_args,
            'dataset_tool.py': dataset_tool.main}


def said(program, words, capsys):
    """Return the error of a command line that cannot be parsed."""
    with pytest.raises(SystemExit) as end:
        PROGRAMS[program](words)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert 'error: ' in message and 'Traceback' not in message
    return message


COMMANDS = [('dataset_tool.py', function.__name__) for function in dataset_tool.COMMANDS] + [
    ('util_scripts.py', name) for name in util_scripts.__all__]


@pytest.mark.parametrize(('program', 'name'), COMMANDS)
def test_the_nearest_command_is_named(program, name, capsys):
    for typo in (name[1:], name.replace('_', '-') + 'e', name.upper()):
        assert f"Did you mean {name!r}?" in said(program, [typo], capsys)
    assert name in said(program, ['xyzzy'], capsys)


@pytest.mark.parametrize(('words', 'text'), [
    ('create_from_images a b --lables folders', '--labels folders'),
    ('create_from_images a b --resolutoin=64', '--resolution 64'),
    ('create_from_images a b --skip-bad', '--skip_bad'),
    ('extract a b --forc3', '--force'),
    ('create_from_images a b --labels folder', "Did you mean 'folders'?"),
    ('create_from_images a b --xyzzy', 'see -h'),
    ('--xyzzy', 'see -h'),
])
def test_the_nearest_option_and_choice_of_dataset_tool(words, text, capsys):
    assert text in said('dataset_tool.py', words.split(), capsys)


@pytest.mark.parametrize(('program', 'typed', 'quoted'), [
    ('dataset_tool.py', 'create_from_images out My Pictures --resolution 64', "'My Pictures'"),
    ('dataset_tool.py', 'create_from_images My Sets/new one My Pictures', "'My Pictures'"),
    ('dataset_tool.py', 'extract My Pictures out', "'My Pictures'"),
    ('dataset_tool.py', 'compare My Pictures of two cats', "'My Pictures' 'of two cats'"),
    ('util_scripts.py', 'project_image --run_id 1 --image My Pictures/a cat.png',
     "'My Pictures/a cat.png'"),
    ('util_scripts.py', 'project_image --run_id 1 --image=My Pictures/a cat.png',
     "'--image=My Pictures/a cat.png'"),
    ('util_scripts.py', 'nearest --run_id 001-My Cats', "'001-My Cats'"),
    ('train.py', '--config my file.py --dry-run', "'my file.py'"),
    ('train.py', '--set dataset.tfrecord_dir=My Cats', "'dataset.tfrecord_dir=My Cats'"),
    ('train.py', '--images My Pictures', "'My Pictures'"),
    ('train.py', '--resume 001-My Cats', "'001-My Cats'"),
])
def test_a_path_with_blanks_needs_quotes(program, typed, quoted, in_tmp, capsys):
    for folder in ('My Pictures', 'of two cats', 'results/001-My Cats', 'datasets/My Cats'):
        os.makedirs(folder)
    for name in ('My Pictures/a cat.png', 'my file.py'):
        open(name, 'w').close()
    message = said(program, typed.split(), capsys)
    assert message.strip().endswith(f'in quotes: {quoted}')
    assert all(' ' in word for word in shlex.split(quoted))


def test_words_that_make_no_path_are_no_reason_for_quotes(in_tmp, capsys):
    os.makedirs('a')
    for program, typed in (('dataset_tool.py', 'extract a b c'), ('train.py', 'a b c')):
        assert 'quotes' not in said(program, typed.split(), capsys)
