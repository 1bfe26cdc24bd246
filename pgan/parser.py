"""Parsing command lines: what argparse refuses is answered with what is likely to be meant."""
import argparse
import difflib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from pgan.errors import did_you_mean
from pgan.files import expanded
from pgan.help_texts import Formatter

PLACES = ('', 'results', 'datasets')  # where names of runs and data sets lead to
_MOST_WORDS = 8  # of a path with blanks in it


class Parser(argparse.ArgumentParser):
    """An argparse parser with this program's help layout. Errors name the nearest command, choice
    or option, and paths that need quotes.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{'formatter_class': Formatter, **kwargs})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            argv = sys.argv[1:] if args is None else list(args)
            self.refuse(rest, parsed, argv)
        return parsed

    def refuse(self, rest: Sequence[str], parsed: argparse.Namespace,
               argv: Sequence[str]) -> NoReturn:
        """End with an error for the arguments that the parser does not have.

        Args:
            rest: these arguments.
            parsed: the others.
            argv: all of them, as they were typed.
        """
        self.error(f'unrecognized arguments: {shlex.join(rest)}. '
                   f'{quotes_needed(argv) or self.advice(rest, parsed)}')

    def advice(self, rest: Sequence[str], parsed: argparse.Namespace) -> str:
        """What to type in place of arguments that the parser does not have."""
        own = self.own_options(parsed)
        meant = [word for option, value in pairs(rest)
                 for word in near_option(option, value, own)]
        return f'Did you mean: {" ".join(meant)}' if meant else 'For all arguments, see -h.'

    def own_options(self, parsed: argparse.Namespace) -> list[str]:
        """The options of the parser, and of the command that was given: '--name'."""
        parsers: list[argparse.ArgumentParser] = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += [action.choices[given] for given in vars(parsed).values()
                            if isinstance(given, str) and given in action.choices]
        return [option for parser in parsers for option in parser._option_string_actions
                if option.startswith('--')]

    def _check_value(self, action, value):
        """argparse's check of `choices`, the names of commands among them."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f'invalid choice: {value!r}.{did_you_mean(value, action.choices)} Choose '
                f'from {", ".join(map(str, action.choices))}')


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
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


def near_option(word: str, value: str, own: Sequence[str]) -> list[str]:
    """The words of the option that is near to a misspelt one; [] if none is.

    Args:
        word: the misspelt option.
        value: its value, or ''.
        own: options that there are.
    """
    spelt = {option.replace('-', '_'): option for option in own}
    close = difflib.get_close_matches(word.replace('-', '_'), spelt, n=1, cutoff=0.85)
    if not word.startswith('-') or not close:
        return []
    return [spelt[close[0]], *([shlex.quote(value)] if value else [])]


def quotes_needed(argv: Sequence[str]) -> str:
    """A sentence about the paths with blanks among a command line's words that a shell has taken
    apart; '' if there are none.
    """
    quoted = [shlex.quote(path) for path in _taken_apart(argv)]
    return f'Put what has blanks in it into quotes: {" ".join(quoted)}' if quoted else ''


def _taken_apart(argv: Sequence[str]) -> Iterator[str]:
    """Words that make an existing path if joined by blanks, the longest such one from each word."""
    start = 0
    while start < len(argv):
        for end in range(min(len(argv), start + _MOST_WORDS), start + 1, -1):
            if any(word.startswith('--') for word in argv[start + 1:end]):
                continue
            joined = ' '.join(argv[start:end])
            path = joined.partition('=')[2] if '=' in argv[start] else joined
            if any(os.path.exists(os.path.join(place, expanded(path))) for place in PLACES):
                yield joined
                start = end - 1
                break
        start += 1
