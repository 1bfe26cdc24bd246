"""Commands that the program prints work as printed."""
import ast
import os
import re
import shlex
import subprocess
import sys

import pytest

import dataset
import dataset_tool
import train
from benchmarks import __main__ as benchmarks_main
from benchmarks.common import Parser
from pgan import help_texts, invocation
from pgan.inspection import window
from pgan.scripts import command_line
from tests.support.golden import ROOT


@pytest.fixture
def path_without(monkeypatch, tmp_path):
    """PATH with a shell but no interpreter."""
    (tmp_path / 'bin').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))


@pytest.mark.parametrize('cwd', [invocation.ROOT, invocation.ROOT / 'docs', '/'])
def test_a_printed_command_runs_from_where_it_was_printed(monkeypatch, cwd, path_without):
    monkeypatch.chdir(cwd)
    line = invocation.command('dataset_tool.py', '-h')
    done = subprocess.run(line, shell=True, executable='/bin/sh', capture_output=True, text=True)
    assert done.returncode == 0 and 'create_mnist' in done.stdout, (line, done.stderr)


def test_python_is_called_by_name_only_where_the_name_finds_this_one(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', os.path.dirname(sys.executable))
    assert invocation.interpreter() in ('python', 'python3')
    other = tmp_path / 'python'
    other.symlink_to(os.path.realpath(sys.executable))  # the same file in another environment
    monkeypatch.setenv('PATH', str(tmp_path))
    assert os.path.samefile(invocation.interpreter(), sys.executable)
    assert os.path.basename(os.path.dirname(invocation.interpreter())) == 'bin'


def test_arguments_are_quoted(monkeypatch):
    monkeypatch.chdir(invocation.ROOT)
    assert invocation.command('train.py', '--resume', "a run's", 3).endswith(
        """train.py --resume 'a run'"'"'s' 3""")


# ---------------------------------------------------------------- all commands of the program

PROGRAMS = ['train.py', 'dataset_tool.py', 'util_scripts.py', 'dataset.py', 'networks.py',
            'loss.py', 'legacy.py']
PROGRAMS += [str(path.relative_to(ROOT))
             for folder in ('pgan', 'misc', 'metrics', 'tfutil', 'examples')
             for path in sorted((ROOT / folder).rglob('*.py'))]


def messages(tree):
    """Strings of a source file except for docstrings, and for arguments of `example` and of the
    benchmarks' `Parser`, which rewrite commands themselves.
    """
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body
                  and isinstance(node.body[0], ast.Expr)}
    examples = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Call)
                and getattr(node.func, 'id', getattr(node.func, 'attr', '')) in (
                    'example', 'Parser') for part in ast.walk(node)}
    return [node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in docstrings | examples]


@pytest.mark.parametrize('name', PROGRAMS)
def test_messages_take_their_commands_from_here(name):
    for text in messages(ast.parse((ROOT / name).read_text())):
        assert not re.search(r'python\d? [\w/]+\.py', text), text


@pytest.mark.parametrize('path', sorted((ROOT / 'benchmarks').glob('*.py')), ids=lambda p: p.name)
def test_benchmarks_take_their_commands_from_here(path):
    """Names in backquotes are not meant to be typed."""
    for text in messages(ast.parse(path.read_text())):
        assert not re.search(r'(?<!`)python\d? (-m|[\w/]+\.py)', text), text
    assert 'argparse.ArgumentParser(prog' not in path.read_text()


def test_help_of_benchmarks_names_commands_as_they_work_here(monkeypatch):
    monkeypatch.chdir(ROOT)
    python = invocation.interpreter()
    parser = Parser(prog='python -m benchmarks.x', description='Try: python -m benchmarks --quick',
                    epilog=None, allow_abbrev=False)
    assert parser.prog == f'{python} -m benchmarks.x'
    assert parser.description == f'Try: {python} -m benchmarks --quick'
    assert benchmarks_main._resume(benchmarks_main.RESULTS / 'my results.json') == (
        f"{python} -m benchmarks --resume 'my results'")
    assert benchmarks_main._resume(ROOT / 'docs' / 'x.json').endswith('--resume docs/x.json')


def parse(line):
    """Parse a command line with the parser of the program that it runs."""
    python, program, *words = shlex.split(line)
    assert os.path.exists(program) and os.path.realpath(os.path.dirname(program)) == str(ROOT)
    parsers = {'train.py': train.parse_args, 'util_scripts.py': command_line.parse_args,
               'dataset_tool.py': dataset_tool.make_parser().parse_args}
    return parsers[os.path.basename(program)](words)


@pytest.mark.parametrize('name', ['celebahq', 'lsun-car', 'mnist', 'my set', "its 'x'", 'digits'])
def test_commands_that_make_a_data_set(in_tmp, name):
    line = re.search(r'Create it with: (.*?) \(add -h', dataset.creation_hint(f'd/{name}'))[1]
    assert parse(line).tfrecord_dir == f'd/{name}'


def test_commands_that_show_images_without_a_window(in_tmp):
    text = str(window._no_window('my set', 'no screen'))
    show, extract = re.search(r'picture: (.*?); or extract all of them: (.*)$', text).groups()
    assert (parse(show).sheet, parse(extract).tfrecord_dir) == ('sheet.png', 'my set')


@pytest.mark.parametrize('text', [
    *(f'python train.py{arguments}' for arguments in train._EXAMPLES),
    *(f'python util_scripts.py {words}' for words in command_line._EXAMPLES if words[-2:] != '-h')])
def test_examples_of_help(text, monkeypatch, tmp_path):
    for folder in (ROOT, tmp_path):
        monkeypatch.chdir(folder)
        parse(help_texts.example(text).replace('\\\n', ''))


@pytest.mark.parametrize('function', dataset_tool.COMMANDS, ids=lambda f: f.__name__)
def test_examples_of_the_data_set_tool(function, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    example = re.search(r'Example:\n((?: {8}.*\n)+)', function.__doc__ + '\n')
    # as printed by commands.add_command
    assert parse(invocation.as_typed(' '.join(example[1].split()))).function is function


@pytest.mark.parametrize('cwd', [invocation.ROOT, '/'])
@pytest.mark.parametrize('short', ['python', '.venv/bin/python'])
def test_both_spellings_of_the_sources_are_replaced(monkeypatch, cwd, short):
    monkeypatch.chdir(cwd)
    assert invocation.as_typed(f'({short} train.py --list)') == (
        f'({invocation.command("train.py")} --list)')


def test_only_programs_of_this_folder_are_replaced():
    assert invocation.as_typed('python tool.py and pythonic train.py') == (
        'python tool.py and pythonic train.py')
