"""docs/rooms.svg and docs/ways.svg: up to date, sound, and drawn from what is in the code."""
import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from docs import draw_rooms, rooms, ways
from docs.ways import Step, Way
from tests.support.golden import ROOT

SVG = '{http://www.w3.org/2000/svg}'


@pytest.mark.parametrize('name', sorted(draw_rooms.PICTURES))
def test_pictures_are_up_to_date(name):
    drawn = draw_rooms.PICTURES[name]()
    assert (ROOT / 'docs' / name).read_text() == drawn, 'run: python docs/draw_rooms.py'


@pytest.mark.parametrize('name', sorted(draw_rooms.PICTURES))
def test_pictures_are_well_laid_out(name):
    """Everything is inside the page, and no box covers another one."""
    root = ET.fromstring((ROOT / 'docs' / name).read_text())
    width, height = (int(root.get(side)) for side in ('width', 'height'))
    boxes = [[float(box.get(side)) for side in ('x', 'y', 'width', 'height')]
             for box in root.iter(f'{SVG}rect') if box.get('x')]
    assert len(boxes) > 15
    for x, y, w, h in boxes:
        assert 0 < x and x + w < width and 0 < y and y + h < height
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    for text in root.iter(f'{SVG}text'):
        wide = 8 if 'code' in text.get('class') else 6.2
        room = (2 * min(float(text.get('x')), width - float(text.get('x')))
                if 'middle' in text.get('class') else width - float(text.get('x')))
        assert 'end' in text.get('class') or wide * len(text.text or '') < room, text.text


def test_every_room_is_drawn_with_its_imports():
    text = (ROOT / 'docs/rooms.svg').read_text()
    for room in rooms.ROOMS:
        assert f'>{room}</text>' in text or room in rooms.AROUND
    reduced = rooms.without_detours(rooms.imported_rooms())
    arrows = sum(len(reduced[room]) for room in rooms.ROOMS if room not in rooms.AROUND)
    assert text.count('class="arrow"') == arrows


def test_arrows_that_follow_from_others_are_left_out():
    edges = {'a': set(), 'b': {'a'}, 'c': {'a', 'b'}, 'd': {'a', 'b', 'c'}, 'e': {'a', 'd'}}
    assert rooms.without_detours(edges) == {'a': set(), 'b': {'a'}, 'c': {'b'}, 'd': {'c'},
                                            'e': {'d'}}


def test_no_arrow_leads_upward():
    levels = draw_rooms.floors(draw_rooms.drawn_rooms())
    for room, imported in draw_rooms.drawn_rooms().items():
        assert all(levels[other] < levels[room] for other in imported), room


def test_a_step_that_is_not_in_the_code_is_noticed():
    """The checks of this file detect errors."""
    loop = 'pgan.training.loop.TrainingRun.train'
    wrong = [[Step(0, 'train.nonesuch', '')], [Step(0, 'nonesuch.main', '')],
             [Step(1, 'train.main', '')],
             [Step(0, loop, ''), Step(1, 'misc.images.save_image', '')],
             [Step(0, loop, ''), Step(1, 'loss.G_wgan_acgan', '', 'config.py: loss.nonesuch')],
             [Step(0, loop, ''), Step(1, 'tfutil.network.Network', '', 'pickle')]]
    for steps in wrong:
        with pytest.raises(LookupError):
            ways.check(Way('wrong', steps))
    ways.check(Way('right', [Step(0, loop, ''), Step(1, 'misc.pickles.save_pkl', '', 'self._tick'),
                             Step(0, loop, '')]))


def test_both_pictures_know_dark_backgrounds():
    for name in draw_rooms.PICTURES:
        text = (ROOT / 'docs' / name).read_text()
        assert re.search(r'@media \(prefers-color-scheme: dark\)', text)
