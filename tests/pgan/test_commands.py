"""commands: functions as subcommands of a program."""
import argparse
from typing import Literal

import pytest

from pgan.commands import add_command, summary_of


def shrink(folder: str, factor: int = 2, method: Literal['box', 'lanczos'] | None = None,
           sorted: Literal[0, 1] = 0, only: list[int] | None = None, quiet: bool = False):
    """Shrink the images
    of a folder.

    The others are left as they are.

    Args:
        folder: folder of the images
        factor (N): size of the old images divided by that of the new ones, e.g. 4 for a 4th of
            them, 25 %
        method: how to resize them
        sorted: order
        only (IDX): some
        quiet: print nothing

    Example:
        python tool.py shrink pictures
        --factor 4
    """


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser(prog='tool.py')
    add_command(parser.add_subparsers(), shrink)
    return parser


def test_defaults_are_those_of_the_function(parser):
    assert vars(parser.parse_args(['shrink', 'a'])) == dict(
        function=shrink, folder='a', factor=2, method=None, sorted=0, only=None, quiet=False)


def test_values_are_of_the_annotated_types(parser):
    words = 'shrink 7 --factor 4 --method box --sorted 1 --only 3 5 --quiet'.split()
    assert vars(parser.parse_args(words)) == dict(
        function=shrink, folder='7', factor=4, method='box', sorted=1, only=[3, 5], quiet=True)


@pytest.mark.parametrize('words, complaint', [
    ('--factor x', "argument --factor: invalid int value: 'x'"),
    ('--method best', "argument --method: invalid choice: 'best'"),
    ('--sorted 2', 'argument --sorted: invalid choice: 2')])
def test_others_are_refused(parser, capsys, words, complaint):
    with pytest.raises(SystemExit):
        parser.parse_args(['shrink', 'a', *words.split()])
    assert complaint in capsys.readouterr().err


def test_the_docstring_is_the_help(parser, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    with pytest.raises(SystemExit):
        parser.parse_args(['shrink', '-h'])
    text = capsys.readouterr().out
    assert summary_of(shrink) == 'Shrink the images of a folder.'
    for words in ('\nShrink the images of a folder.\n', '--factor N',
                  'e.g. 4 for a 4th of them, 25 % (default: 2)\n', '--method {box,lanczos}',
                  'how to resize them\n', 'order (default: 0)\n', '--only IDX [IDX ...]',
                  'print nothing\n', '\nexample: python tool.py shrink pictures --factor 4\n'):
        assert words in text, words
