"""Write docs/options.md and docs/options-networks.md: .venv/bin/python docs/list_options.py

Names, defaults, ranges and meanings are those that the functions declare in their signatures and
docstrings (`pgan.options`), which also check what a user sets. tests/docs/test_options.py compares
the pages with what is written now.
"""
import argparse
import itertools
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import pgan  # noqa: E402, F401 -- first: it reports an old Python

# isort: split
from pgan import settings  # noqa: E402
from pgan.options import REQUIRED, user_options  # noqa: E402
from pgan.settings.checking import OWN_FUNCTIONS, import_function  # noqa: E402

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 stops at this line, and shows it
DOCS = pathlib.Path(__file__).resolve().parent

# Pages with their titles and sections: (heading, names in config.py that share the options).
PAGES = {
    'options.md': ('Options of a run', (
        ('Training', ('train',)),
        ('Schedule: resolution, minibatch and learning rate over time', ('sched',)),
        ('Image grids', ('grid',)),
    )),
    'options-networks.md': ('Options of data set, networks and losses', (
        ('Data set', ('dataset',)),
        ('Generator', ('G',)),
        ('Discriminator', ('D',)),
        ('Losses', ('G_loss', 'D_loss')),
        ('Optimizers', ('G_opt', 'D_opt')),
    )),
}
INTRODUCTION = """
<!-- Written by docs/list_options.py; edit the docstrings of the functions instead. -->

Set an option with `--set {example}`, or in `config.py` or a file of your own
([training.md](training.md)). The value shown applies unless you set another: the one in
`config.py`, where it sets one, else the function's default. Every value is checked before training
starts. {other}
"""
EXAMPLES = {
    'options.md': ('train.total_kimg=5000',
                   'Continued in [options-networks.md](options-networks.md).\n\nThe level of '
                   'detail, lod, is 0 at the full resolution, 1 at half of it, and so on; a '
                   'fraction is a fade between two.'),
    'options-networks.md': ('G.fmap_max=256', 'The options of training: [options.md](options.md).'),
}


def entry(prefix, options, values, seen):
    """A line of a list: names, values, range and meaning of options that share a meaning.

    Args:
        prefix: name in config.py, e.g. 'train'.
        options: list of `Option`; neighbours with the same words.
        values: what applies unless set, a list.
        seen: meanings so far on the page by name of the option; extended.
    """
    same = len({option.kind.words for option in options}) == 1
    parts = []
    for option, value in zip(options, values):
        shown = 'required' if value is REQUIRED else f'`{value!r}`'
        words = '' if same and option is not options[-1] else f' ({option.kind.words})'
        parts.append(f'**`{prefix}.{option.name}`** = {shown}{words}')
    known = all(option.name in seen for option in options)
    meaning = options[0].meaning or ('as above.' if known else '')
    seen.update({option.name: option.meaning for option in options})
    return f'* {", ".join(parts)}{": " + " ".join(meaning.split()) if meaning else ""}'


def neighbours(options):
    """Lists of successive options with one meaning; one without a meaning stands alone."""
    return [list(group) for _, group in itertools.groupby(
        options, key=lambda option: option.meaning or option.name)]


def section(config, heading, names, seen):
    lines = [f'## {heading}', '']
    options = {name: user_options(import_function(OWN_FUNCTIONS[name])) for name in names}
    shared = len({tuple(taken) for taken in options.values()}) == 1
    for group in [names] if shared else [(name,) for name in names]:
        own = getattr(config, group[0])
        title = ' and '.join(f'`{name}`' for name in group)
        lines += [f'{title}, passed to `{own.get("func", OWN_FUNCTIONS[group[0]])}`:', '']
        for together in neighbours(options[group[0]].values()):
            values = [own.get(option.name, option.default) for option in together]
            lines.append(entry(group[0], together, values, seen))
        lines.append('')
    return lines


def write_page(name):
    """Text of one of the pages."""
    config = settings.load()
    title, sections = PAGES[name]
    example, other = EXAMPLES[name]
    lines = [f'# {title}', INTRODUCTION.format(example=example, other=other)]
    seen = {}
    for heading, names in sections:
        lines += section(config, heading, names, seen)
    return '\n'.join(lines).rstrip('\n') + '\n'


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name in PAGES:
        (DOCS / name).write_text(write_page(name))
        print(f'docs/{name} is written.')


if __name__ == '__main__':
    main()
