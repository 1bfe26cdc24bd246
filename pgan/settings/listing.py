"""What config.py offers, for people: `python train.py --list`, and the names in `--help`."""
import re
from collections.abc import Iterable

from pgan.errors import ConfigError
from pgan.help_texts import columns, filled
from pgan.settings import catalogue
from pgan.settings.catalogue import Option, sections
from pgan.settings.loading import switched_text
from pgan.settings.source_files import read_source
from pgan.settings.switches import check_contradictions

_DATA_SET = re.compile(r"dataset = EasyDict\(tfrecord_dir='(?P<folder>[^']+)'\)"
                       r'(?P<mirrored>; train\.mirror_augment = True)?')


def print_catalogue(use: Iterable[str] = ()) -> None:
    """Print all of it for `--list`.

    Args:
        use: names of lines that are switched on besides those that are active in config.py.
    """
    text = switched_text(read_source(catalogue.CONFIG_PY), use)
    print(filled("What config.py offers; * = in force now. Turn lines on with '--use NAME,NAME', "
                 'or uncomment them in config.py (and comment out what they replace), or set '
                 "their values from outside with --config and --set. Each adds '-name' to the "
                 "result folder's name."))
    for section in sections(text):
        print(f'\n{filled(section.title)}')
        in_force = section.in_force
        _print_rows([('*' if option in in_force else ' ', option.name, _meaning(option))
                     for option in section.options])
    print('\nReady-made override files, for --config:')
    _print_rows([(' ', path, meaning) for path, meaning in catalogue.ready_made().items()])
    try:
        check_contradictions(text)
    except ConfigError as error:
        print(f'\n{filled(f"Not usable as it is: {error}")}')


def _print_rows(rows):
    """Print (mark, name, meaning) in columns; a name that is too long stands on its own line."""
    room = columns() // 2
    width = max((len(name) for _, name, _ in rows if len(name) <= room), default=0)
    for mark, name, meaning in rows:
        first = f' {mark} {name:<{width}s}  '
        if len(name) > width:
            print(first.rstrip())
            first = ' ' * (width + 5)
        print(filled(meaning, first, ' ' * (width + 5)).rstrip())


def _meaning(option: Option) -> str:
    """What an option means; what a data set's line says is more than its comment."""
    found = _DATA_SET.fullmatch(option.code)
    if found:
        mirrored = ', mirrored' if found['mirrored'] else ''
        return f'{option.meaning}  Folder {found["folder"]}{mirrored}.'.strip()
    is_data_set = option.code.startswith('dataset = ')
    return f'{option.meaning}  [{option.code}]' if is_data_set else option.meaning


def names() -> str:
    """The names of all options as text for `--help`: a paragraph for each section."""
    paragraphs = []
    for section in catalogue.read():
        title = re.split(r'[.:,] ', section.title + ' ')[0]
        text = f'{title}: {", ".join(option.name for option in section.options)}'
        paragraphs.append(filled(text, '  ', '    '))
    return '\n'.join(paragraphs)
