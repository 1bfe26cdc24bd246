"""What config.py offers, read from its own lines and comments: `python train.py --list`, and the
names in `--help`.

An option is a line `desc += '-name'; ...`, commented out or not; what it means stands behind it, or
in the comment above its section as `#   name   Meaning.` A utility is a line `#train =
EasyDict(func='util_scripts...)`, likewise.
"""
import ast
import os
import pathlib
import re
import textwrap
from typing import NamedTuple

from pgan.settings.loading import CONFIG_PY, read_source

_OPTION = re.compile(r"(?P<off>#?)desc \+= '-(?P<name>[^']+)';(?P<code>.*)")
_UTILITY = re.compile(
    r"(?P<off>#)train = EasyDict\(func='util_scripts\.(?P<code>.*?)\); "
    r".*desc = f'(?P<name>[\w-]+?)-\{"
)
_MEANING = re.compile(r'#   (?P<names>[\w-]+(?:, [\w-]+)*)  +(?P<text>.+)')


class Option(NamedTuple):
    """A line of config.py. Attributes: its name, what it means (may be ''), the code that it runs,
    whether it is active.
    """
    name: str
    meaning: str
    code: str
    is_active: bool


class Section(NamedTuple):
    """A section of config.py. Attributes: its first comment's first sentence, and its options."""
    title: str
    options: list[Option]


def sections(text: str) -> list[Section]:
    """The sections of config.py's text that hold options, in order: list of `Section`."""
    found = []
    for part in re.split(r'^# -{20,}$', text, flags=re.MULTILINE)[1:]:
        lines = part.strip('\n').split('\n')
        meanings = {
            name: match['text']
            for match in map(_MEANING.match, lines) if match for name in match['names'].split(', ')
        }
        options = [
            _option(match, meanings)
            for match in (_OPTION.match(line) or _UTILITY.match(line) for line in lines) if match
        ]
        if options:
            found.append(Section(lines[0].removeprefix('# '), options))
    return found


def _option(match, meanings):
    code, behind = _split_comment(match['code'])
    return Option(match['name'], meanings.get(match['name'], behind), code, not match['off'])


def _split_comment(code):
    """('sched.x = 1', 'Meaning.') of ' sched.x = 1   # Meaning.'; no value of config.py's holds a
    '#'.
    """
    code, _, comment = code.partition('#')
    return code.strip(), comment.strip()


def read() -> list[Section]:
    """The sections of this program's config.py."""
    return sections(read_source(CONFIG_PY))


def ready_made(folder: str | os.PathLike = CONFIG_PY.parent / 'configs') -> dict[str, str]:
    """Override files that come with the program: {path from config.py's folder: first sentence of
    its docstring}.
    """
    found = {}
    for path in sorted(pathlib.Path(folder).glob('*.py')):
        text = ast.get_docstring(ast.parse(read_source(path))) or ''
        found[path.relative_to(CONFIG_PY.parent).as_posix()] = ' '.join(
            re.split(r'(?<=\.)\s|\n\n', text)[0].split())
    return found


def print_catalogue() -> None:
    """Print all of it for `--list`."""
    print('What config.py offers; * = active now. Uncomment a line there (and comment out the one '
          'it replaces), or set its values from\noutside with --config and --set. Each adds '
          "'-name' to the result folder's name.")
    for section in read():
        print(f'\n{section.title}')
        width = max(len(option.name) for option in section.options)
        for option in section.options:
            print(f' {"*" if option.is_active else " "} {option.name:<{width}s}  '
                  f'{_meaning(option)}'.rstrip())
    print('\nReady-made override files, for --config:')
    for path, meaning in ready_made().items():
        print(f'   {path}  {meaning}')


def _meaning(option):
    """What an option means; what a data set's line says is more than its comment."""
    return f'{option.meaning}  [{option.code}]' if option.code.startswith(
        'dataset = ') else option.meaning


def names() -> str:
    """The names of all options as text for `--help`: a paragraph for each section."""
    paragraphs = []
    for section in read():
        title = re.split(r'[.:,] ', section.title + ' ')[0]
        text = f'{title}: {", ".join(option.name for option in section.options)}'
        paragraphs.append(
            textwrap.fill(text, 110, initial_indent='  ', subsequent_indent='    ',
                          break_on_hyphens=False))
    return '\n'.join(paragraphs)
