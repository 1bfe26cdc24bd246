"""Command line arguments of the entry points, and advice about those that do not exist."""
import argparse
import json
import re
import shlex
from collections.abc import Sequence

from pgan.definitions import option_annotations
from pgan.files import expanded
from pgan.parser import Parser as AdvisingParser
from pgan.parser import near_option, pairs
from pgan.settings import catalogue
from pgan.settings.checking import OWN_FUNCTIONS
from pgan.settings.loading import nearest_options

_MORE = '; may be given several times'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two options that every entry point shares to an argparse parser: --config and
    --set.
    """
    parser.add_argument('--config', metavar='FILE', action='append', default=[], type=expanded,
                        help='Python file with a few lines in the manner of config.py, run after '
                             f'it{_MORE}')
    parser.add_argument('--set', metavar='NAME=VALUE', action='append', default=[],
                        help='set one option, e.g. train.total_kimg=100 or '
                             f'"sched.minibatch_dict={{4: 128}}"{_MORE}')


def add_use_argument(parser: argparse.ArgumentParser) -> None:
    """Add --use, for programs that train."""
    parser.add_argument('--use', metavar='NAMES', action='append', default=[],
                        help="turn on lines of config.py by name, as if uncommented there, e.g. "
                             'cifar10,cond,bf16; a data set, preset or precision replaces the one '
                             f'in force; --list names all{_MORE}')


class Parser(AdvisingParser):
    """A parser that also knows config.py: for an argument that it does not have, the error says
    which option or line of config.py is likely to be meant.
    """

    def advice(self, rest: Sequence[str], parsed: argparse.Namespace) -> str:
        own = self.own_options(parsed)
        meant = [' '.join(_meant(word, value, own)) for word, value in pairs(rest)]
        found = ' '.join(filter(None, meant))
        return (f'Did you mean: {found}' if found else
                'Options of config.py are set with --set NAME=VALUE; for all arguments, see -h.')


def _meant(word: str, value: str, own: list[str]) -> list[str]:
    """The words that are likely to be meant; [] if none come near."""
    if not word.startswith('-'):
        return _meant_word(word)
    close = near_option(word, value, own)
    if close:
        return close
    line = re.sub(r'^use[_-]', '', word.lstrip('-'))  # --bf16, --use_bf16 and --use-bf16
    if line in _lines() and '--use' in own:
        return ['--use', line]
    return _set(word.lstrip('-'), value) or _shorter_option(word, value, own)


def _shorter_option(word, value, own):
    """--num 4 for --num_images 4: the option that a longer word begins with; [] if none does."""
    begun = [option for option in own if option not in ('--set', '--use') and
             word.replace('-', '_').startswith(option.replace('-', '_') + '_')]
    return [max(begun, key=len), *([shlex.quote(value)] if value else [])] if begun else []


def _meant_word(word):
    if re.fullmatch(r'[\w.]+=.*', word):
        name, _, value = word.partition('=')
        return _set(name, value)
    if word.endswith('.py'):
        return ['--config', shlex.quote(word)]
    return ['--use', word] if word in _lines() else []


def _set(name, value):
    """--set words for an option that is written as 'total_kimg', 'total-kimg' or
    'train.total_kimg', perhaps misspelt.
    """
    section, _, key = name.replace('-', '_').rpartition('.')
    found = nearest_options(key, cutoff=0.7)
    if section:
        found = [f'{section}.{option.rpartition(".")[2]}' for option in found[:1]]
    words = []
    for option in found:
        option = f'{option}.NAME' if option in OWN_FUNCTIONS else option
        words += ['--set', shlex.quote(f'{option}={_literal(option, value)}')]
    return words


def _literal(option, value):
    """A value as --set takes it: in a list where the option takes one of strings."""
    section, _, key = option.partition('.')
    taken = option_annotations(OWN_FUNCTIONS[section]) if section in OWN_FUNCTIONS else {}
    if taken.get(key) == 'list[str]' and not value.startswith('['):
        return json.dumps(value.split(',')) if value else '[VALUE]'
    return value or 'VALUE'


def _lines():
    return [option.name for section in catalogue.read() for option in section.options
            if not option.is_utility]
