"""Command line parser whose errors suggest what was probably meant."""
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

PLACES = ('', 'results', 'datasets')  # folders in which names of runs and data sets are looked up
_MOST_WORDS = 8  # of a path that contains spaces


class Parser(argparse.ArgumentParser):
    """argparse parser with this program's help layout. Errors name the most similar command, choice
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
        """Exit with an error for unrecognized arguments.

        Args:
            rest: the unrecognized arguments.
            parsed: the others.
            argv: all of them, as typed.
        """
        self.error(f'unrecognized arguments: {shlex.join(rest)}. '
                   f'{quotes_needed(argv) or self.advice(rest, parsed)}')

    def advice(self, rest: Sequence[str], parsed: argparse.Namespace) -> str:
        """Suggest what to type instead of unrecognized arguments."""
        own = self.own_options(parsed)
        meant = [word for option, value in pairs(rest)
                 for word in near_option(option, value, own)]
        return f'Did you mean: {" ".join(meant)}' if meant else 'For all arguments, see -h.'

    def own_options(self, parsed: argparse.Namespace) -> list[str]:
        """Options of the parser and of the given command: '--name'."""
        parsers: list[argparse.ArgumentParser] = [self]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += [action.choices[given] for given in vars(parsed).values()
                            if isinstance(given, str) and given in action.choices]
        return [option for parser in parsers for option in parser._option_string_actions
                if option.startswith('--')]

    def _check_value(self, action, value):
        """Check `choices`, including the names of commands, as argparse does."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f'invalid choice: {value!r}.{did_you_mean(value, action.choices)} Choose '
                f'from {", ".join(map(str, action.choices))}')


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Pair each option with its value ('' if it has none), and each other word with ''."""
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
    """Words of the existing option most similar to a misspelt one; [] if none is similar.

    Args:
        word: the misspelt option.
        value: its value, or ''.
        own: the existing options.
    """
    spelt = {option.replace('-', '_'): option for option in own}
    close = difflib.get_close_matches(word.replace('-', '_'), spelt, n=1, cutoff=0.85)
    if not word.startswith('-') or not close:
        return []
    return [spelt[close[0]], *([shlex.quote(value)] if value else [])]


def quotes_needed(argv: Sequence[str]) -> str:
    """Advice to quote the paths with spaces that the shell has split; '' if there are none."""
    quoted = [shlex.quote(path) for path in _taken_apart(argv)]
    return f'Put arguments that contain spaces in quotes: {" ".join(quoted)}' if quoted else ''


def _taken_apart(argv: Sequence[str]) -> Iterator[str]:
    """Runs of words that form an existing path when joined by spaces, the longest at each word."""
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
