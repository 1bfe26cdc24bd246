"""help_texts: help and lists are never wider than the terminal."""
import shlex

import pytest

import dataset_tool
import train
from pgan import help_texts, settings
from pgan.invocation import command
from pgan.scripts import command_line

PROGRAMS = {
    'train.py': (train.parse_args, ['']),
    'dataset_tool.py': (lambda argv: dataset_tool.make_parser().parse_args(argv),
                        ['', *(function.__name__ for function in dataset_tool.COMMANDS)]),
    'util_scripts.py': (command_line.parse_args, ['', *command_line.find_scripts()]),
}
HELPS = [(program, name) for program, (_, names) in PROGRAMS.items() for name in names]


def help_of(program, name, capsys):
    with pytest.raises(SystemExit) as end:
        PROGRAMS[program][0]([*name.split(), '-h'])
    assert end.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(('program', 'name'), HELPS)
@pytest.mark.parametrize('columns', [60, 80, 160])
def test_helps_fit_the_terminal(program, name, columns, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', str(columns))
    lines = help_of(program, name, capsys)
    assert [line for line in lines if len(line) > columns] == []
    assert columns < 160 or max(map(len, lines)) > 80 or len(lines) < 20


@pytest.mark.parametrize('columns', [60, 80, 160])
def test_the_list_fits_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', str(columns))
    settings.print_catalogue()
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > max(columns, 75)] == []
    assert columns < 160 or max(map(len, lines)) > 100


@pytest.mark.parametrize('columns', [40, 60, 80, 200])
@pytest.mark.parametrize('text', [
    'tool a_long_command --first 12 --second "two words" --third \'[1, 2]\' ~/and/a/path/to/it',
    'tool one', 'tool ' + 'x' * 100 + ' y'])
def test_an_example_is_one_command_at_every_width(text, columns, monkeypatch):
    monkeypatch.setenv('COLUMNS', str(columns))
    shown = help_texts.example(text, 'example: ').removeprefix('example: ')
    assert shlex.split(shown.replace('\\\n', '')) == shlex.split(text)
    assert all(len(line) <= columns for line in shown.split('\n') if 'xxx' not in line)


def test_an_example_of_the_program_names_the_interpreter_in_use(monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    assert help_texts.example('python train.py --list') == command('train.py', '--list')
    assert help_texts.example('python elsewhere.py -x') == 'python elsewhere.py -x'
