"""Recipes: short strings that define the latents of an image.

The page's URL contains them, so that it can be bookmarked.

    42              latents of seed 42, as in the scripts
    42:3            the same, drawn as class 3
    p1, p1.20       final result of projection 1, and its result after 20 steps
    mix(A,B,0.3)    0.3 of the way from A to B, by spherical interpolation
    sum(A,B,C)      A - B + C
    move(A,0=1.5)   A moved by 1.5 along direction 0; more directions may follow after commas
"""
import re
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from pgan.errors import ConfigError
from pgan.scripts.seeds import MAX_SEED, lerp, slerp

MOST_CHARACTERS = 1000
DEEPEST = 8  # nesting levels
FARTHEST = 10.0  # largest amount along a direction

_TOKEN = re.compile(r'(?P<call>mix|sum|move)\(|p(?P<found>\d{1,6})(?:\.(?P<step>\d{1,6}))?'
                    r'|(?P<seed>\d{1,10})(?::(?P<label>\d{1,5}))?', re.ASCII)
_NUMBER = re.compile(r'-?\d{1,3}(?:\.\d{1,6})?', re.ASCII)
_AMOUNT = re.compile(r'(\d{1,3})=(-?\d{1,3}(?:\.\d{1,6})?)', re.ASCII)


class Point(NamedTuple):
    """Inputs of one image. Attributes: latents float32 [1, ...], labels float32 [1, label size]."""
    latents: np.ndarray
    labels: np.ndarray


class Recipe(NamedTuple):
    """A parsed recipe.

    Attributes:
        kind: 'seed', 'found', 'mix', 'sum' or 'move'.
        parts: nested recipes.
        values: numbers of the kind: (seed, class or None), (projection, step or None), (share, ),
            () or pairs (direction, amount).
    """
    kind: str
    parts: tuple['Recipe', ...]
    values: tuple[Any, ...]


class Sources(Protocol):
    """Sources of latents."""

    def of_seed(self, seed: int, label: int | None) -> Point:
        """Point of a seed; if `label` is None, the seed also determines the class."""

    def of_projection(self, number: int, step: int | None) -> Point:
        """Point of a projection after a step; None = the final one."""

    def direction(self, number: int) -> np.ndarray:
        """Step along a direction, float32 [1, ...]."""


def read_recipe(text: str) -> Recipe:
    """Parse a recipe.

    Raises:
        ConfigError: the string is not a valid recipe.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f'A recipe has at most {MOST_CHARACTERS} characters. Received: '
                          f'{len(text)}.')
    recipe, end = _read(text, 0, 0)
    if end != len(text):
        _refuse(text, end)
    return recipe


def point_of(recipe: Recipe, sources: Sources) -> Point:
    """Compute the latents and labels of a recipe."""
    parts = [point_of(part, sources) for part in recipe.parts]
    if recipe.kind == 'seed':
        return sources.of_seed(*recipe.values)
    if recipe.kind == 'found':
        return sources.of_projection(*recipe.values)
    if recipe.kind == 'mix':
        return mixed(parts[0], parts[1], *recipe.values)
    if recipe.kind == 'sum':
        a, b, c = (part.latents for part in parts)
        return Point(a - b + c, parts[0].labels)
    moved = parts[0].latents.copy()
    for number, amount in recipe.values:
        moved += np.float32(amount) * sources.direction(number)
    return Point(moved, parts[0].labels)


def mixed(a: Point, b: Point, share: float) -> Point:
    """Interpolate from a (`share` = 0) to b (1): latents spherically, labels linearly."""
    if share in (0, 1):
        return b if share else a
    latents = slerp(a.latents, b.latents, share)
    return Point(latents.astype(np.float32), lerp(a.labels, b.labels, share).astype(np.float32))


# ---------------------------------------------------------------- parsing

def _read(text, start, depth):
    """(recipe, index of the character after it)."""
    found = _TOKEN.match(text, start)
    if found is None or depth > DEEPEST:
        _refuse(text, start)
    if found['call']:
        return _read_call(text, found['call'], found.end(), depth)
    if found['found']:
        step = None if found['step'] is None else int(found['step'])
        return Recipe('found', (), (int(found['found']), step)), found.end()
    seed, label = int(found['seed']), found['label']
    if seed > MAX_SEED:
        _refuse(text, start)
    return Recipe('seed', (), (seed, None if label is None else int(label))), found.end()


def _read_call(text, kind, end, depth):
    parts = []
    for number in range(dict(mix=2, sum=3, move=1)[kind]):
        end = _expect(text, ',', end) if number else end
        part, end = _read(text, end, depth + 1)
        parts.append(part)
    values: list[Any] = []
    if kind == 'mix':
        share, end = _read_number(text, _expect(text, ',', end))
        values.append(share)
    while kind == 'move' and text[end:end + 1] == ',':
        amount, end = _read_amount(text, end + 1)
        values.append(amount)
    return Recipe(kind, tuple(parts), tuple(values)), _expect(text, ')', end)


def _read_number(text, start):
    found = _NUMBER.match(text, start)
    if found is None or not 0 <= float(found[0]) <= 1:
        _refuse(text, start)
    return float(found[0]), found.end()


def _read_amount(text, start):
    found = _AMOUNT.match(text, start)
    if found is None or abs(float(found[2])) > FARTHEST:
        _refuse(text, start)
    return (int(found[1]), float(found[2])), found.end()


def _expect(text, character, at):
    if text[at:at + 1] != character:
        _refuse(text, at)
    return at + 1


def _refuse(text, at) -> NoReturn:
    raise ConfigError("Expected a recipe like '42', '42:3', 'mix(3,7,0.5)', 'sum(3,7,42)' or "
                      f"'move(42,0=1.5)'. Received: {text!r}, which is invalid from character "
                      f'{at + 1} on.')
