"""Lists of config.py's lines: `python train.py --list`, and the names in `--help`."""
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
    """Print the whole catalogue for `--list`.

    Args:
        use: names of lines to switch on in addition to those active in config.py.
    """
    text = switched_text(read_source(catalogue.CONFIG_PY), use)
    print(filled("Lines of config.py; * = active now. Turn lines on with '--use NAME,NAME', "
                 'or uncomment them in config.py (and comment out what they replace), or set '
                 "their values with --config and --set. Each adds '-name' to the name of the "
                 "result folder."))
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
        print(f'\n{filled(f"This selection cannot be used: {error}")}')


def _print_rows(rows):
    """Print (mark, name, meaning) in columns; a name that is too long gets its own line."""
    room = columns() // 2
    width = max((len(name) for _, name, _ in rows if len(name) <= room), default=0)
    for mark, name, meaning in rows:
        first = f' {mark} {name:<{width}s}  '
        if len(name) > width:
            print(first.rstrip())
            first = ' ' * (width + 5)
        print(filled(meaning, first, ' ' * (width + 5)).rstrip())


def _meaning(option: Option) -> str:
    """Meaning of an option; for a data set, also what its code sets."""
    found = _DATA_SET.fullmatch(option.code)
    if found:
        mirrored = ', mirrored' if found['mirrored'] else ''
        return f'{option.meaning}  Folder {found["folder"]}{mirrored}.'.strip()
    is_data_set = option.code.startswith('dataset = ')
    return f'{option.meaning}  [{option.code}]' if is_data_set else option.meaning


def names() -> str:
    """Names of all options for `--help`, one paragraph per section."""
    paragraphs = []
    for section in catalogue.read():
        title = re.split(r'[.:,] ', section.title + ' ')[0]
        text = f'{title}: {", ".join(option.name for option in section.options)}'
        paragraphs.append(filled(text, '  ', '    '))
    return '\n'.join(paragraphs)
