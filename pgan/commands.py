"""Subcommands defined by functions: parameters become arguments, annotations the accepted values,
and docstrings the help.

    def shrink(folder: str, factor: int = 2, method: Literal['box', 'lanczos'] | None = None):
        '''Shrink the images of a folder.

        Args:
            folder: folder of the images
            factor (N): old size divided by new size
            method: how to resize them

        Example:
            python tool.py shrink pictures --factor 4
        '''

Parameters without a default are positional, a default of False makes a flag, and `N` is argparse's
metavar.
"""
import argparse
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pgan.help_texts import Formatter, example


def summary_of(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a function's docstring as one line."""
    return ' '.join((inspect.getdoc(function) or '').partition('\n\n')[0].split())


def add_command(commands: 'argparse._SubParsersAction', function: Callable[..., Any]) -> None:
    """Add a subcommand named after a function.

    The parsed arguments are named after the function's parameters; `function` holds the function
    itself.
    """
    words = ' '.join(_section(function, 'Example').split())
    command = commands.add_parser(function.__name__, description=summary_of(function),
                                  epilog=example(words, 'example: '), formatter_class=Formatter)
    command.set_defaults(function=function)
    annotations, entries = typing.get_type_hints(function), _argument_entries(function)
    for name, parameter in inspect.signature(function).parameters.items():
        is_positional = parameter.default is parameter.empty
        command.add_argument(name if is_positional else f'--{name}',
                             **_accepted(name, annotations[name], parameter.default),
                             **_help(entries[name], parameter.default))


def invocation_of(function: Callable[..., Any], positional: Sequence[str],
                  options: Mapping[str, Any]) -> list[str]:
    """Command line words that call a command with these arguments; defaults are omitted.

    Args:
        function: the function passed to `add_command`.
        positional: its positional arguments.
        options: its other arguments, by name.
    """
    words = [function.__name__, *positional]
    parameters = inspect.signature(function).parameters
    for name, value in options.items():
        if value is True:
            words.append(f'--{name}')
        elif value != parameters[name].default:
            words += [f'--{name}', str(value)]
    return words


def _accepted(name, annotation, default):
    """Keyword arguments of `add_argument` for the values that an annotation accepts."""
    if default is False:
        return dict(action='store_true')
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation, = (each for each in typing.get_args(annotation) if each is not type(None))
    options = {} if default is inspect.Parameter.empty else dict(default=default)
    if typing.get_origin(annotation) is list:
        options['nargs'], (annotation,) = '+', typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        options['choices'] = typing.get_args(annotation)
        annotation = type(options['choices'][0])
    return dict(options, type=_side if name == 'resolution' else annotation)


def _side(text):
    """Parse a resolution typed as '64' or '64x64'."""
    match = re.fullmatch(r'\s*(-?\d{1,9})(?:\s*[xX\u00d7]\s*\1)?\s*', text)
    if match is None:
        raise argparse.ArgumentTypeError('expected a side length in pixels, e.g. 64 for 64x64. '
                                         f'Received: {text!r}')
    return int(match[1])


def _help(entry, default):
    """Keyword arguments of `add_argument` for a docstring entry (metavar or None, text)."""
    metavar, text = entry
    if default not in (None, inspect.Parameter.empty) and default is not False:
        text += f' (default: {default})'
    options = dict(help=text.replace('%', '%%'))
    return dict(options, metavar=metavar) if metavar else options


def _argument_entries(function):
    """Parse a docstring's 'Args:' section into {name: (metavar or None, text)}."""
    entries = re.split(r'\n(?=\S)', _section(function, 'Args'))
    found = (re.fullmatch(r'(\w+)(?: \((\w+)\))?: (.*)', entry, re.DOTALL) for entry in entries)
    return {match[1]: (match[2], ' '.join(match[3].split())) for match in found}


def _section(function, name):
    """Return the text of a docstring section, e.g. 'Args'."""
    match = re.search(rf'^{name}:\n((?:    .*\n|\n)*)', inspect.getdoc(function) + '\n',
                      re.MULTILINE)
    return textwrap.dedent(match[1]).strip()
