"""Rooms of the program, read from its sources: their order, imports and subjects.

Nothing is imported, so this is fast and needs no package.
"""
import ast
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[1]

# From the ground up: a room may import those before it, and its own modules.
ROOMS = [
    'pgan', 'tfutil', 'pgan.nn', 'networks', 'loss', 'pgan.data', 'dataset', 'pgan.importers',
    'legacy', 'misc', 'pgan.inspection', 'metrics', 'pgan.settings', 'pgan.reporting',
    'pgan.training', 'pgan.scripts', 'pgan.explorer', 'util_scripts', 'train', 'dataset_tool',
    'examples', 'benchmarks', 'docs'
]
AROUND = ['examples', 'benchmarks', 'docs']  # they import rooms, and no room imports them
SKIPPED = ('.venv', 'tests', 'configs')


def sources():
    """The Python files of the rooms, and config.py."""
    return [
        path for path in sorted(ROOT.rglob('*.py'))
        if not path.relative_to(ROOT).parts[0].startswith(SKIPPED)
    ]


def room_of(module):
    """Room of a dotted name; modules of `pgan` itself are the ground floor."""
    first, second, *_ = [*module.split('.'), '', '']
    return f'{first}.{second}' if f'{first}.{second}' in ROOMS else first


def name_of(path):
    """'pgan.nn.layers' of a source file."""
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def path_of(module):
    """The source file of a module or package."""
    path = ROOT.joinpath(*module.split('.'))
    return path / '__init__.py' if path.is_dir() else path.with_suffix('.py')


def imports_of(path):
    """Dotted names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def imported_rooms():
    """{room: set of the rooms that it imports}."""
    found = {room: set() for room in ROOMS}
    for path in sources():
        own = room_of(name_of(path))
        if own in found:
            found[own] |= {room_of(name) for name in imports_of(path)} & set(ROOMS) - {own}
    return found


def without_detours(edges):
    """Transitive reduction of a graph: without the edges that follow from others.

    Args:
        edges: {node: set of nodes}, without cycles.
    """
    below = {}  # all nodes that a node reaches

    def reached(node):
        if node not in below:
            below[node] = edges[node].union(*map(reached, edges[node]))
        return below[node]

    return {node: direct - set().union(*map(reached, direct)) for node, direct in edges.items()}


def subject(room):
    """Subject of a room: the start of its docstring; for the ground floor, its modules."""
    if room == 'pgan':
        modules = sorted(path.stem for path in (ROOT / 'pgan').glob('[a-z]*.py'))
        return f'ground floor: {", ".join(modules)}'
    text = ' '.join(ast.get_docstring(ast.parse(path_of(room).read_text())).split())
    start = re.split(r'[:;(`]|\. ', text)[0]
    first, _, _ = start.partition(',')
    return (first if len(first) > 12 else start).strip(' .')


def starts(room):
    """Whether a room is a program, run as `python ROOM.py`."""
    return "if __name__ == '__main__'" in path_of(room).read_text()


def named_by_config():
    """Rooms whose functions config.py names as strings, such as 'networks.G_paper'."""
    return {room_of(name) for name in re.findall(r"'([\w.]+\.\w+)'",
                                                 (ROOT / 'config.py').read_text())} & set(ROOMS)
