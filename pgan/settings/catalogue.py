"""Catalogue of config.py's options, parsed from its lines and comments.

An option is a line `desc += '-name'; ...`, commented out or not. Its meaning is the comment at the
end of the line, or a line `#   name   Meaning.` in the comment above the section. A utility is a
line `#train = EasyDict(func='util_scripts...)`, documented in the same way.
"""
import ast
import itertools
import os
import pathlib
import re
from typing import NamedTuple

from pgan.settings.source_files import read_source

CONFIG_PY = pathlib.Path(__file__).resolve().parents[2] / 'config.py'

_RULE = re.compile(r'# -{20,}$')
_OPTION = re.compile(
    r"""(?P<off>#\s?)?desc\s*\+=\s*(?P<quote>['"])-(?P<name>[^'"]+)(?P=quote)\s*;(?P<code>.*)"""
)
_UTILITY = re.compile(
    r"(?P<off>#\s?)?train = EasyDict\(func='util_scripts\.(?P<code>.*?)\); "
    r".*desc = f'(?P<name>[\w-]+?)-\{"
)
_MEANING = re.compile(r'#   (?P<names>[\w-]+(?:, [\w-]+)*)  +(?P<text>.+)')
_CHOICE = re.compile(r'\b(choose|uncomment) one\b', re.IGNORECASE)


class Option(NamedTuple):
    """A line of config.py.

    Attributes:
        name: as in `--use NAME`.
        meaning: description; may be ''.
        code: the code that it runs.
        is_active: whether it is uncommented.
        line: its index in the file's lines, from 0.
        is_utility: whether it runs a script instead of training.
    """
    name: str
    meaning: str
    code: str
    is_active: bool
    line: int
    is_utility: bool


class Section(NamedTuple):
    """A section of config.py.

    Attributes:
        title: first sentence of its first comment.
        options: list of `Option`.
        is_choice: whether only one of them may be active.
    """
    title: str
    options: list[Option]
    is_choice: bool

    @property
    def in_force(self) -> list[Option]:
        """Options in effect: the active ones; in a 'choose one' section only the last of them."""
        active = [option for option in self.options if option.is_active]
        return active[-1:] if self.is_choice else active


def sections(text: str) -> list[Section]:
    """Sections of config.py's text that contain options, in order."""
    lines = text.split('\n')
    starts = [n + 1 for n, line in enumerate(lines) if _RULE.match(line)]
    found = []
    for start, end in itertools.pairwise([*starts, len(lines)]):
        options = _options(lines, start, end)
        if options:
            title = lines[start].removeprefix('# ')
            found.append(Section(title, options, bool(_CHOICE.search(title))))
    return found


def _options(lines, start, end):
    meanings = {
        name: match['text'] for match in map(_MEANING.match, lines[start:end]) if match
        for name in match['names'].split(', ')
    }
    found = []
    for n in range(start, end):
        match = _OPTION.match(lines[n]) or _UTILITY.match(lines[n])
        if match:
            code, behind = _split_comment(match['code'])
            meaning = meanings.get(match['name'], behind)
            found.append(Option(match['name'], meaning, code, not match['off'], n,
                                is_utility=match.re is _UTILITY))
    return found


def _split_comment(code):
    """Split ' sched.x = 1   # Meaning.' into ('sched.x = 1', 'Meaning.'). No value in config.py
    contains a '#'.
    """
    code, _, comment = code.partition('#')
    return code.strip(), comment.strip()


def read() -> list[Section]:
    """Sections of this program's config.py."""
    return sections(read_source(CONFIG_PY))


def ready_made(folder: str | os.PathLike = CONFIG_PY.parent / 'configs') -> dict[str, str]:
    """Override files shipped with the program: {path relative to config.py's folder: first sentence
    of its docstring}.
    """
    found = {}
    for path in sorted(pathlib.Path(folder).glob('*.py')):
        text = ast.get_docstring(ast.parse(read_source(path))) or ''
        found[path.relative_to(pathlib.Path(folder).parent).as_posix()] = ' '.join(
            re.split(r'(?<=\.)\s|\n\n', text)[0].split())
    return found
