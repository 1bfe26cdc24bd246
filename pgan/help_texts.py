"""Layout of help texts and lists for the width of the terminal."""
import argparse
import re
import shutil
import textwrap

from pgan.invocation import as_typed

_QUOTED = r"""(?:[^\s'"]|'[^']*'|"[^"]*")+"""  # a word of a command line
_UNIT = re.compile(rf'--[\w-]+ (?!--){_QUOTED}|{_QUOTED}')  # a word, or an option and its value
_NARROWEST = 40


def columns() -> int:
    """Width of the terminal, from the variable COLUMNS or the terminal itself; 80 if unknown."""
    return max(shutil.get_terminal_size().columns, _NARROWEST)


def filled(text: str, first: str = '', following: str | None = None) -> str:
    """Wrap a paragraph at the width of the terminal.

    Args:
        text: text to wrap.
        first, following: indents of the first line and of the others (None = as many spaces as
            `first` is wide).
    """
    following = ' ' * len(first) if following is None else following
    return textwrap.fill(text, columns() - 1, initial_indent=first, subsequent_indent=following,
                         break_on_hyphens=False, break_long_words=False)


def example(text: str, first: str = '') -> str:
    """Format a command for copying: with an interpreter that works from the current folder, and
    with backslash line breaks where the terminal is too narrow.

    Args:
        text: the command, e.g. 'python train.py --list'.
        first: prefix of the first line.
    """
    lines = ['']
    for word in _UNIT.findall(as_typed(text)):
        if lines[-1] and len(f'{first}{lines[-1]} {word} \\') >= columns():
            lines.append('')
        lines[-1] = f'{lines[-1]} {word}'.strip()
    return first + f' \\\n{" " * (len(first) - len(first.lstrip()) + 4)}'.join(lines)


class Formatter(argparse.HelpFormatter):
    """argparse formatter that wraps the paragraphs of a description separately and leaves those
    with indented lines unchanged.
    """

    def _fill_text(self, text, width, indent):
        return '\n\n'.join(
            part if re.search(r'^ ', part, re.MULTILINE)
            else textwrap.fill(' '.join(part.split()), width, initial_indent=indent,
                               subsequent_indent=indent, break_on_hyphens=False)
            for part in text.strip('\n').split('\n\n'))

    def _split_lines(self, text, width):
        return textwrap.wrap(' '.join(text.split()), width, break_on_hyphens=False)

    def _format_usage(self, *args):
        """Reindent usage lines that are too long: argparse indents by the length of the program's
        name.
        """
        text = super()._format_usage(*args)
        if max(map(len, text.splitlines())) <= self._width:
            return text
        lines, *others = text.rstrip().split('\n')
        for part in map(str.strip, others):
            fits = len(lines.rpartition('\n')[2]) + len(part) < self._width
            lines += f' {part}' if fits else f'\n    {part}'
        return f'{lines}\n\n'
