"""Command line arguments of the entry points, and advice about those that do not exist."""
import argparse
import difflib
import json
import re
import shlex
from typing import Any, NoReturn

from pgan.definitions import option_annotations
from pgan.files import expanded
from pgan.help_texts import Formatter
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


class Parser(argparse.ArgumentParser):
    """An argparse parser with this program's help layout. For an argument that it does not have,
    the error says which option of config.py, or line of it, is likely to be meant.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{'formatter_class': Formatter, **kwargs})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            self._refuse(rest, parsed)
        return parsed

    def _refuse(self, rest, parsed) -> NoReturn:
        own = self._own_options(parsed)
        meant = [' '.join(_meant(word, value, own)) for word, value in _pairs(rest)]
        advice = list(filter(None, meant))
        hint = (f'Did you mean: {" ".join(advice)}' if advice else
                'Options of config.py are set with --set NAME=VALUE; for all arguments, see -h.')
        self.error(f'unrecognized arguments: {shlex.join(rest)}. {hint}')

    def _own_options(self, parsed):
        """Options of the parser, and of the command that was given."""
        parsers = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += [action.choices[given] for given in vars(parsed).values()
                            if isinstance(given, str) and given in action.choices]
        return [option for parser in parsers for option in parser._option_string_actions
                if option.startswith('--')]


def _pairs(words):
    """(option, value) of each option among words, with value '' for none; and (word, '') of each
    other word.
    """
    found: list[tuple[str, str]] = []
    for word in words:
        if word.startswith('--'):
            name, _, value = word.partition('=')
            found.append((name, value))
        elif found and found[-1][0].startswith('--') and not found[-1][1]:
            found[-1] = (found[-1][0], word)
        else:
            found.append((word, ''))
    return found


def _meant(word: str, value: str, own: list[str]) -> list[str]:
    """The words that are likely to be meant; [] if none come near."""
    if not word.startswith('-'):
        return _meant_word(word)
    close = difflib.get_close_matches(word.replace('-', '_'), [o.replace('-', '_') for o in own],
                                      n=1, cutoff=0.85)
    if close:
        option = next(o for o in own if o.replace('-', '_') == close[0])
        return [option, *([shlex.quote(value)] if value else [])]
    if word.lstrip('-') in _lines() and '--use' in own:
        return ['--use', word.lstrip('-')]
    return _set(word.lstrip('-'), value)


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
