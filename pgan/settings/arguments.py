"""Command line arguments of the entry points, and suggestions for unrecognized ones."""
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
    """Add the two options shared by all entry points, --config and --set, to an argparse parser."""
    parser.add_argument('--config', metavar='FILE', action='append', default=[], type=expanded,
                        help='Python file with a few lines like those of config.py, run after '
                             f'it{_MORE}')
    parser.add_argument('--set', metavar='NAME=VALUE', action='append', default=[],
                        help='set one option, e.g. train.total_kimg=100 or '
                             f'"sched.minibatch_dict={{4: 128}}"{_MORE}')


def add_use_argument(parser: argparse.ArgumentParser) -> None:
    """Add --use, for programs that train."""
    parser.add_argument('--use', metavar='NAMES', action='append', default=[],
                        help="turn on lines of config.py by name, as if uncommented there, e.g. "
                             'cifar10,cond,bf16; a data set, preset or precision replaces the '
                             f'active one; --list shows all{_MORE}')


class Parser(AdvisingParser):
    """Parser that also knows config.py: errors for unrecognized arguments suggest the option or
    line of config.py that was probably meant.
    """

    def advice(self, rest: Sequence[str], parsed: argparse.Namespace) -> str:
        own = self.own_options(parsed)
        meant = [' '.join(_meant(word, value, own)) for word, value in pairs(rest)]
        found = ' '.join(filter(None, meant))
        return (f'Did you mean: {found}' if found else
                'Options of config.py are set with --set NAME=VALUE; for all arguments, see -h.')


def _meant(word: str, value: str, own: list[str]) -> list[str]:
    """The words that were probably meant; [] without a suggestion."""
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
    """Suggest `--num 4` for `--num_images 4`: an option that is a prefix of the word; or []."""
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
    """--set words for a possibly misspelt option, written as 'total_kimg', 'total-kimg' or
    'train.total_kimg'.
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
    """A value as --set takes it: inside a list if the option takes a list of strings."""
    section, _, key = option.partition('.')
    taken = option_annotations(OWN_FUNCTIONS[section]) if section in OWN_FUNCTIONS else {}
    if taken.get(key) == 'list[str]' and not value.startswith('['):
        return json.dumps(value.split(',')) if value else '[VALUE]'
    return value or 'VALUE'


def _lines():
    return [option.name for section in catalogue.read() for option in section.options
            if not option.is_utility]
