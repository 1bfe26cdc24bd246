"""Draw docs/rooms.svg and docs/ways.svg from the sources: .venv/bin/python docs/draw_rooms.py

A room is above the rooms that it imports. An arrow leads from a room to one that it imports, unless
other arrows imply it. The ways are lists of steps (`docs.ways`) that are looked up in the sources.
tests/docs/test_pictures.py checks that the files are up to date.
"""
import argparse
import colorsys
import html
import itertools
import pathlib
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import pgan  # noqa: E402, F401 -- first: it reports an old Python

# isort: split
from docs import rooms, ways  # noqa: E402

_PYTHON: str = 'Python 3.11 or newer is needed'  # Python 2 fails at this line, and prints it
WIDTH = 560  # fills a phone's screen, a third of a desktop's
MARGIN = 12
STYLE = """
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; }
.name { font-size: 13px; font-weight: 600; }
.code { font-family: ui-monospace, Menlo, 'DejaVu Sans Mono', monospace; font-size: 13px; }
.small { font-size: 12px; }
.title { font-size: 18px; font-weight: 600; }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.page { fill: #ffffff; }
text, .dot { fill: #1f2328; }
.small { fill: #59636e; }
.box { stroke: #8c959f; }
.around { fill: none; stroke-dasharray: 4 3; }
.arrow { fill: none; stroke: #6e7781; stroke-width: 1.5; }
.dashed { stroke-dasharray: 4 3; }
.head { fill: #6e7781; }
"""
DARK_STYLE = """
.page { fill: #0d1117; }
text, .dot { fill: #e6edf3; }
.small { fill: #a5afba; }
.box { stroke: #6e7681; }
.arrow { stroke: #8b949e; }
.head { fill: #8b949e; }
"""


# ---------------------------------------------------------------- SVG

def element(tag, text='', **attributes):
    """An SVG element; `class_` stands for class, '_' for '-' in names."""
    words = [f' {name.rstrip("_").replace("_", "-")}="{value}"'
             for name, value in attributes.items()]
    return f'<{tag}{"".join(words)}>{html.escape(text, quote=False)}</{tag}>'


def rectangle(x, y, width, height, class_):
    return element('rect', x=x, y=y, width=width, height=height, rx=6, class_=class_)


def write(text, x, y, class_):
    return element('text', text, x=x, y=y, class_=class_)


def page(title, height, body, colors):
    """A whole SVG file, for light and dark backgrounds."""
    light = ''.join(f'.{name} {{ fill: {fill(hue, False)}; }}\n' for name, hue in colors.items())
    dark = ''.join(f'.{name} {{ fill: {fill(hue, True)}; }}\n' for name, hue in colors.items())
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img">')
    style = f'{STYLE}{light}@media (prefers-color-scheme: dark) {{{DARK_STYLE}{dark}}}\n'
    return '\n'.join([
        head, element('title', title), f'<style>{style}</style>',
        element('rect', width=WIDTH, height=height, class_='page'), *body, '</svg>', ''])


def _caption(y, lines):
    return [write(line, MARGIN, y + 18 * number, 'small') for number, line in enumerate(lines)]


def fill(hue, dark):
    red, green, blue = colorsys.hls_to_rgb(hue, 0.24 if dark else 0.88, 0.35 if dark else 0.7)
    return f'#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}'


def hues(levels):
    """A colour for each room by its floor, from earth to sky."""
    top = max(levels.values())
    return {class_of(room): 0.09 + 0.5 * level / top for room, level in levels.items()}


def class_of(room):
    return 'room-' + room.replace('.', '-')


# ---------------------------------------------------------------- the rooms

BOX = 126
LINE = 15
GAP = 8
BETWEEN = 38  # between two floors, where the arrows are


def floors(edges):
    """{room: floor}: one above the highest room that it imports; programs stand at the top."""
    levels = {}
    for room in edges:  # ROOMS has this order
        levels[room] = max((levels[other] + 1 for other in edges[room]), default=0)
    top = max(levels.values())
    return {room: top if rooms.starts(room) else level for room, level in levels.items()}


class Layout:
    """Positions of the rooms, floor by floor.

    Attributes:
        rows: lists of places from the ground up; a place is a room, or (room, imported room) where
            the arrow between two rooms of distant floors passes.
        x: {place: its centre}.
        chains: for each arrow, the places from importer to imported room, one per floor.
    """

    def __init__(self, edges, levels):
        self.rows = [[] for _ in range(max(levels.values()) + 1)]
        self.chains = []
        for room in edges:
            self.rows[levels[room]].append(room)
        for room in edges:
            for other in sorted(edges[room], key=list(edges).index):
                passing = [(room, other, level)
                           for level in range(levels[room] - 1, levels[other], -1)]
                for place in passing:
                    self.rows[place[2]].append(place)
                self.chains.append([room, *passing, other])
        self.links = [link for chain in self.chains for link in itertools.pairwise(chain)]
        self._order()
        self.x = {place: WIDTH / 2 for row in self.rows for place in row}
        for number in range(60):
            self._spread(self.rows if number % 2 else self.rows[::-1])

    def neighbours(self, place):
        """Places one floor above and one floor below that arrows connect with a place."""
        return ([upper for upper, lower in self.links if lower == place]
                + [lower for upper, lower in self.links if upper == place])

    def _order(self):
        """Move each place near the centre of its neighbours; keep the order with the fewest
        crossings.
        """
        best = None
        for number in range(24):
            rank = {place: (index + 0.5) / len(row) for row in self.rows
                    for index, place in enumerate(row)}
            for row in self.rows if number % 2 else self.rows[::-1]:
                row.sort(key=lambda place: _mean([rank[other] for other in self.neighbours(place)],
                                                 rank[place]))
                rank.update({place: (index + 0.5) / len(row) for index, place in enumerate(row)})
            crossings = self._crossings()
            if best is None or crossings < best[0]:
                best = crossings, [list(row) for row in self.rows]
        self.rows = best[1]

    def _crossings(self):
        index = {place: number for row in self.rows for number, place in enumerate(row)}
        level = {place: number for number, row in enumerate(self.rows) for place in row}
        return sum((index[a] - index[c]) * (index[b] - index[d]) < 0
                   for (a, b), (c, d) in itertools.combinations(self.links, 2)
                   if level[a] == level[c])

    def _spread(self, in_order):
        """Move the places of each row towards their neighbours, as far as there is space."""
        for row in in_order:
            wanted = [_mean([self.x[other] for other in self.neighbours(place)], WIDTH / 2)
                      for place in row]
            starts, position = [], 0
            for place in row:
                starts.append(position + width_of(place) / 2)
                position += width_of(place) + GAP
            room_left = WIDTH - 2 * MARGIN - (position - GAP)
            shifts = _increasing([x - MARGIN - start for x, start in zip(wanted, starts)])
            for place, start, shift in zip(row, starts, shifts):
                self.x[place] = MARGIN + start + min(max(shift, 0), room_left)


def width_of(place):
    return BOX if isinstance(place, str) else 10


def _mean(values, otherwise):
    return sum(values) / len(values) if values else otherwise


def _increasing(values):
    """Nearest non-decreasing numbers, by least squares."""
    groups = []  # of equal numbers: (sum, count)
    for value in values:
        groups.append((value, 1))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            (a, n), (b, m) = groups[-2:]
            groups[-2:] = [(a + b, n + m)]
    return [total / count for total, count in groups for _ in range(count)]


def drawn_rooms():
    """Rooms in the picture: {room: set of the rooms that it imports}."""
    return {room: imported for room, imported in rooms.imported_rooms().items()
            if room not in rooms.AROUND}


def draw_rooms():
    """Picture of the rooms, as SVG text."""
    edges = drawn_rooms()
    levels = floors(edges)
    layout = Layout(rooms.without_detours(edges), levels)
    lines = {room: textwrap.wrap(rooms.subject(room), 18, max_lines=5, placeholder=' ...')
             for room in edges}
    heights = [max(30 + LINE * len(lines[room]) for room in row if isinstance(room, str))
               for row in layout.rows]
    y = 56
    tops = {}
    for level in reversed(range(len(heights))):
        tops[level] = y
        y += heights[level] + BETWEEN
    height = y - BETWEEN + 56
    body = [rectangle(MARGIN, 12, WIDTH - 2 * MARGIN, 28, 'box around'),
            write(', '.join([*rooms.AROUND, 'tests']) + ': use any room', WIDTH // 2, 31,
                  'small middle')]
    body += _arrows(layout, levels, tops, heights)
    named = rooms.named_by_config()
    for room, level in levels.items():
        left = round(layout.x[room] - BOX / 2)
        body += [rectangle(left, tops[level], BOX, heights[level], f'box {class_of(room)}'),
                 write(room, left + BOX // 2, tops[level] + 20, 'name middle')]
        body += [write(line, left + BOX // 2, tops[level] + 38 + LINE * number, 'small middle')
                 for number, line in enumerate(lines[room])]
        if room in named:
            body.append(element('circle', cx=left + BOX - 8, cy=tops[level] + 8, r=3,
                                class_='dot'))
    body += _caption(y - BETWEEN + 24, [
        'An arrow leads from a room to one that it imports, unless other arrows lead there.',
        'Dot: config.py names functions of this room, and no import is needed to reach it.'])
    return page('The rooms of the program and their imports', height, body, hues(levels))


def _arrows(layout, levels, tops, heights):
    """Lines from the lower edge of a room to the upper edge of a room that it imports."""
    starts = _ports(layout, [chain[:2] for chain in layout.chains], 0)
    ends = _ports(layout, [chain[-2:] for chain in layout.chains], 1)
    drawn = []
    for chain, start, end in zip(layout.chains, starts, ends):
        level = levels[chain[0]]
        y = tops[level] + heights[level]
        path, x = [f'M {start} {y}'], start
        for place in chain[1:]:
            level -= 1
            last = place == chain[-1]
            to = end if last else round(layout.x[place])
            below = tops[level] - (7 if last else 0)
            middle = (y + below) // 2
            path.append(f'C {x} {middle} {to} {middle} {to} {below}')
            x, y = to, below
            if not last:
                y += heights[level]
                path.append(f'V {y}')
        drawn += [element('path', d=' '.join(path), class_='arrow'),
                  element('path', d=f'M {x - 5} {y - 1} h 10 l -5 8 z', class_='head')]
    return drawn


def _ports(layout, links, side):
    """Positions on the rooms' edges where arrows begin (side 0) or end (side 1).

    They are side by side, in the order of the arrows' other ends.
    """
    ports = []
    for link in links:
        room, other = link[side], link[1 - side]
        beside = sorted(layout.x[own[1 - side]] for own in links if own[side] == room)
        place = beside.index(layout.x[other]) - (len(beside) - 1) / 2
        ports.append(round(layout.x[room] + 18 * place))
    return ports


# ---------------------------------------------------------------- the ways

STEP = 40
INDENT = 16


def draw_ways():
    """Picture of the ways, as SVG text."""
    levels = floors(drawn_rooms())
    body, y = [], 0
    for way in ways.WAYS:
        ways.check(way)
        body.append(write(way.title, MARGIN, y + 34, 'title'))
        y += 48
        for number in range(len(way.steps)):
            body += _step(way.steps, number, y)
            y += STEP
    body += _caption(y + 20, [
        'Indented: called by the step above it. Colors: the rooms, as in the other picture.',
        "Dashed: found by its name in config.py or in the program, or called by Python's pickle."])
    return page('The ways of a minibatch, a snapshot, a data set and an option', y + 54, body,
                hues(levels))


def _step(steps, number, y):
    """Line of a step: a connection from its caller, its name, its note, its room."""
    step = steps[number]
    x = MARGIN + INDENT * step.depth
    module = ways.module_of(step.name)
    room = rooms.room_of(module)
    name = module.rpartition('.')[2] + step.name[len(module):]
    right = WIDTH - MARGIN
    drawn = [rectangle(x, y + 2, right - x, STEP - 6, f'box {class_of(room)}'),
             write(name, x + 8, y + 16, 'code'), write(step.note, x + 8, y + 31, 'small'),
             write(room, right - 8, y + 31, 'small end')]
    if step.depth:
        caller = max(i for i in range(number) if steps[i].depth == step.depth - 1)
        begin = y - (number - caller) * STEP + STEP - 4
        dashed = ' dashed' if step.by.endswith('pickle') or ': ' in step.by else ''
        drawn.append(element('path', d=f'M {x - INDENT + 7} {begin} V {y + 21} H {x}',
                             class_='arrow' + dashed))
    return drawn


# ---------------------------------------------------------------- the files

PICTURES = {'rooms.svg': draw_rooms, 'ways.svg': draw_ways}


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, draw in PICTURES.items():
        path = rooms.ROOT / 'docs' / name
        path.write_text(draw())
        print(f'{path.relative_to(rooms.ROOT)} is drawn.')


if __name__ == '__main__':
    main()
