"""Options described by the signatures of the functions that take them.

    def add_noise(images: Supplied[Any], strength: Fraction = 0.5, kind: Literal['a', 'b'] = 'a'):
        '''Add noise to images.

        Args:
            strength: fraction of the pixels that change.
        '''

The annotation defines type, range and choices, and whether the program or the user supplies the
value. The signature defines the default, and the docstring the meaning. `options_of` reads all of
them and is the only source for checks and lists of options. A parameter without an annotation, as
in a user's function, takes values of the type of its default.
"""
import contextlib
import dataclasses
import functools
import inspect
import math
import numbers
import re
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pgan.errors import expect
from pgan.resolutions import is_resolution

REQUIRED = inspect.Parameter.empty  # in place of the default of an option without one
T = TypeVar('T')
Checked = TypeVar('Checked', bound=Callable[..., Any])


def is_integer(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number, neither infinite nor NaN."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_real and abs(value) < math.inf  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------
# The vocabulary of annotations.

class Interval(NamedTuple):
    """Interval of numbers from `low` to `high`; an open end is excluded."""
    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        above = self.low < value if self.open_low else self.low <= value
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f'above {self.low}' if self.open_low else f'of at least {self.low}'
        return f'from {self.low} to {self.high}' + (f' (excluding {self.high})'
                                                    if self.open_high else '')


class Such(NamedTuple):
    """Values of the annotated type that satisfy a predicate.

    Attributes:
        words: description of these values, as in 'expected <words>'.
        holds: the predicate.
        read: function: command line string -> its value, or None.
        meant: function: invalid value -> the valid value probably meant, or None.
    """
    words: str
    holds: Callable[[Any], bool]
    read: Callable[[str], Any] | None = None
    meant: Callable[[Any], Any] | None = None


class _Supplied(NamedTuple):
    is_needed: bool


# The program passes the value, so a user cannot set it. Keyword-only arguments count as such, too.
Supplied = Annotated[T, _Supplied(is_needed=True)]  # a replacement function must take it
SuppliedIfTaken = Annotated[T, _Supplied(is_needed=False)]

Count = Annotated[int, Interval(1)]
Size = Annotated[int, Interval(0)]
Seed = Annotated[int, Interval(0, 2**32 - 1)]
Snapshot = Literal['best'] | Size | None  # best or latest (None) snapshot of a run, or its kimg
Positive = Annotated[float, Interval(0, open_low=True)]
NonNegative = Annotated[float, Interval(0)]
Fraction = Annotated[float, Interval(0, 1)]
Decay = Annotated[float, Interval(0, 1, open_high=True)]
Resolution = Annotated[int, Such('a resolution (a power of two from 4 up)', is_resolution)]
ByResolution = dict[Resolution, T]
ValueRange = Annotated[list[float], Such(
    'two numbers, black level and white level, in ascending order, e.g. [-1, 1]',
    lambda value: len(value) == 2 and value[0] < value[1])]
DottedName = Annotated[str, Such("a dotted name like 'module.name'", lambda value: '.' in value)]


# --------------------------------------------------------------------------------------------------
# The values that an annotation accepts.

class Kind(NamedTuple):
    """The values that an annotation accepts.

    Attributes:
        words: description, as in 'expected <words>'.
        holds: function: value -> whether it is accepted.
        keys, values: kinds of a dict's keys and values, which are checked individually.
        is_list: whether the values are lists.
        read, meant: see `Such`.
    """
    words: str
    holds: Callable[[Any], bool]
    keys: 'Kind | None' = None
    values: 'Kind | None' = None
    is_list: bool = False
    read: Callable[[str], Any] | None = None
    meant: Callable[[Any], Any] | None = None


def _instances(words, *classes, is_list=False):
    return Kind(words, lambda value: isinstance(value, classes), is_list=is_list)


ANYTHING = Kind('anything', lambda value: True)
_LIST = _instances('a list', list, tuple, is_list=True)
_PLAIN = {
    Any: ANYTHING,
    bool: _instances('True or False', bool),
    int: Kind('an integer', is_integer),
    float: Kind('a number', is_number),
    str: _instances('a string', str),
    list: _LIST,
    tuple: _LIST,
    dict: _instances('a dict', dict),
}


def kind_of(annotation: Any) -> Kind | None:
    """The `Kind` of an annotation, or None for an unknown annotation."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return functools.reduce(_narrowed, args[1:], kind_of(args[0]))
    if origin is Literal:
        return _one_of(args)
    if origin in (typing.Union, types.UnionType):
        return _any_of(args)
    if origin is list and kind_of(args[0]):
        return _list_of(kind_of(args[0]))
    if origin is dict:
        keys, values = map(kind_of, args)
        if keys and values:
            words = f'a dict {{{keys.words}: {values.words}}}'
            return Kind(words, _PLAIN[dict].holds, keys, values)
    plain = origin or annotation
    return _PLAIN.get(plain) if isinstance(plain, type) else None


def _narrowed(kind, mark):
    """Restrict a kind by one item of `Annotated` metadata."""
    if kind is None or not isinstance(mark, (Interval, Such)):
        return kind

    def holds(value):
        return bool(kind.holds(value) and mark.holds(value))

    if isinstance(mark, Interval):
        return kind._replace(words=f'{kind.words} {mark}', holds=holds)
    return kind._replace(words=mark.words, holds=holds, read=mark.read, meant=mark.meant)


def _one_of(choices):
    return Kind(f'one of {", ".join(map(repr, choices))}',
                lambda value: any(_is_same(value, choice) for choice in choices))


def _is_same(value, choice):
    # Comparing an array yields an array, and True must not equal 1.
    comparable = isinstance(value, (str, numbers.Number)) and not isinstance(value, bool)
    return value is choice or (comparable and value == choice)


def _list_of(item):
    return Kind(f'a list, each item {item.words}',
                lambda value: _LIST.holds(value) and all(map(item.holds, value)), is_list=True)


def _any_of(args):
    """The kind of a union. Its description lists None first, then choices, then types."""
    choices, kinds = [], []
    for arg in args:
        if arg is type(None):
            choices.insert(0, None)
        elif typing.get_origin(arg) is Literal:
            choices += typing.get_args(arg)
        else:
            kinds.append(kind_of(arg))
    if not kinds or None in kinds:
        return None if kinds else _one_of(choices)
    words = [*map(repr, choices), *(kind.words for kind in kinds)]
    return kinds[0]._replace(
        words=f'{", ".join(words[:-1])} or {words[-1]}',
        holds=lambda value: any(kind.holds(value) for kind in [_one_of(choices), *kinds]))


def _kind_of_default(default):
    """The kind of a parameter without an annotation: values of its default's type."""
    if isinstance(default, (list, tuple)):
        return _LIST._replace(words=f'a list like {default!r}') if default else _LIST
    if isinstance(default, str):
        return _any_of([str, type(None)])
    for plain in (bool, int, float, dict):
        if _PLAIN[plain].holds(default):
            return _PLAIN[plain]
    return ANYTHING


# --------------------------------------------------------------------------------------------------
# The options of a function.

@dataclasses.dataclass(frozen=True)
class Option:
    """A parameter that is passed by name.

    Attributes:
        name, default: name and default of the parameter; REQUIRED if it has no default.
        kind: `Kind` of the values that it takes.
        meaning: its description in the docstring; may be ''.
        is_supplied: whether the program passes it, so that a user cannot set it.
        is_needed: whether a replacement function must take it.
    """
    name: str
    default: Any
    kind: Kind
    meaning: str = ''
    is_supplied: bool = False
    is_needed: bool = False


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """Parameters that a function or class takes by name, in order: {name: Option}.

    Raises:
        TypeError, ValueError: the function has no signature.
    """
    hints, meanings = _hints(function), argument_helps(inspect.getdoc(function) or '')
    return {
        parameter.name: _option(parameter, hints.get(parameter.name),
                                meanings.get(parameter.name, ''))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def user_options(function: Callable[..., Any]) -> dict[str, Option]:
    """Options of a function that a user may set: {name: Option}."""
    return {name: option for name, option in options_of(function).items() if not option.is_supplied}


def rest_of(function: Callable[..., Any]) -> str | None:
    """Name of the `**` parameter, e.g. 'kwargs' for `**kwargs`; None without one."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return parameter.name
    return None


def with_defaults(function: Callable[..., Any], given: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Given options of a function together with the defaults of the others: {name: value}."""
    defaults = {
        name: option.default
        for name, option in user_options(function).items() if option.default is not REQUIRED
    }
    return {**defaults, **given}


def _hints(function):
    try:
        return typing.get_type_hints(
            function.__init__ if inspect.isclass(function) else function, include_extras=True)
    except Exception:  # the annotations of a user's function may be anything
        return {}


def _option(parameter, hint, meaning):
    marks = [mark for mark in getattr(hint, '__metadata__', ()) if isinstance(mark, _Supplied)]
    return Option(parameter.name, parameter.default,
                  kind_of(hint) or _kind_of_default(parameter.default), meaning,
                  is_supplied=bool(marks) or parameter.kind is parameter.KEYWORD_ONLY,
                  is_needed=any(mark.is_needed for mark in marks))


def argument_helps(doc: str) -> dict[str, str]:
    """Parse a docstring's 'Args:' section into {name: text}; 'a, b: text' describes both."""
    match = re.search(r'^Args:\n((?:    .*\n|\n)*)', doc + '\n', re.MULTILINE)
    helps = {}
    for entry in re.split(r'\n(?=\S)', textwrap.dedent(match[1]).strip()) if match else []:
        names, _, text = entry.partition(': ')
        helps.update({name.strip(): ' '.join(text.split()) for name in names.split(',')})
    return helps


# --------------------------------------------------------------------------------------------------
# Checks.

def check_kind(where: str, value: object, kind: Kind | None) -> None:
    """Raise ConfigError unless a kind accepts a value; `where` names the option in the message.

    None, which `kind_of` returns for unknown annotations, accepts everything.
    """
    if kind is None:
        return
    if not kind.holds(value):
        expect(False, where, _as_list(value, kind) or kind.words, value,
               _meant_value(where, value, kind))
    if kind.keys is not None and isinstance(value, dict):
        for key, item in value.items():
            place = f'{where}[{key!r}]'
            expect(kind.keys.holds(key), place, f'{kind.keys.words} as the key', key)
            check_kind(place, item, kind.values)


def _meant_value(where, value, kind):
    """' Did you mean option=value?', or '' without a suggestion."""
    meant = kind.meant(value) if kind.meant is not None else None
    return f' Did you mean {where}={meant!r}?' if meant is not None and kind.holds(meant) else ''


def _as_list(value, kind):
    """'a list like [value]' if a list is expected and `value` is a valid item; else ''."""
    is_item = kind.is_list and (isinstance(value, str) or is_number(value))
    return f'a list like {[value]!r}' if is_item and kind.holds([value]) else ''


def check_value(where: str, value: object, option: Option) -> None:
    """Raise ConfigError unless an option accepts a value; its default is always accepted."""
    if value is not option.default:
        check_kind(where, value, option.kind)


def checked(section: str) -> Callable[[Checked], Checked]:
    """Decorator that raises ConfigError for arguments that their annotations do not accept.

    Args:
        section: name in config.py that holds the options; messages name 'section.option'.
    """
    def decorate(function):
        @functools.wraps(function)
        def checking(*args, **kwargs):
            options, given = options_of(function), {}
            with contextlib.suppress(TypeError):  # the call below raises a clearer error
                given = inspect.signature(function).bind(*args, **kwargs).arguments
            for name in filter(options.get, given):
                check_value(f'{section}.{name}', given[name], options[name])
            return function(*args, **kwargs)
        return checking
    return decorate
