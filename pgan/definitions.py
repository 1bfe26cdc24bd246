"""Functions of this program parsed from source instead of imported: `--help` and hints must not
wait for TensorFlow.
"""
import ast
import contextlib
import copy
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]


def find_definition(dotted_name: str) -> tuple[ast.FunctionDef | ast.ClassDef, ast.Module]:
    """Syntax trees of a function or class and of the module that defines it.

    Args:
        dotted_name: 'module.function'. Re-exports (`from ... import`) are followed.

    Raises:
        LookupError: the module does not define it.
    """
    module, _, name = dotted_name.rpartition('.')
    tree = _parse(module)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return node, tree
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return find_definition(f'{node.module}.{name}')
    raise LookupError(f'{module} does not define {name!r}.')


def _parse(module):
    path = ROOT.joinpath(*module.split('.')).with_suffix('.py')
    return _tree(path.read_text(encoding='utf-8'))


@functools.cache
def _tree(source):
    """The syntax tree of a source text, not to be changed."""
    return ast.parse(source)


def declaration(dotted_name: str, vocabulary: Mapping[str, Any]) -> Callable[..., Any]:
    """A function with the same signature, annotations and docstring, but without the body.

    Args:
        dotted_name: see `find_definition`.
        vocabulary: {name: value} of the names used in the annotations.
    """
    node, tree = find_definition(dotted_name)
    node = copy.copy(node)
    node.body, node.decorator_list = node.body[:1], []
    namespace = {**vocabulary, **_constants_in(tree)}
    exec(compile(ast.Module([node], []), dotted_name, 'exec'), namespace)
    return namespace[node.name]


def plain_constants(module: str) -> dict[str, Any]:
    """Constants of a module that are literals: {name: value}."""
    return _constants_in(_parse(module))


def _constants_in(tree):
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def option_annotations(dotted_name: str) -> dict[str, str]:
    """Annotations, as source text, of the parameters that a user may set: {name: text or ''}.

    See `pgan.options.user_options`.
    """
    found = {
        arg.arg: ast.unparse(arg.annotation) if arg.annotation else ''
        for arg in _arguments(dotted_name).args if arg.arg != 'self'
    }
    return {name: text for name, text in found.items() if not text.startswith('Supplied')}


def _arguments(dotted_name):
    """Syntax tree of the parameters of a function or of a class's constructor."""
    node, _ = find_definition(dotted_name)
    name = '__init__' if isinstance(node, ast.ClassDef) else node.name
    return next(part for part in [node, *node.body]
                if isinstance(part, ast.FunctionDef) and part.name == name).args


def passes_on(rest: str | None) -> bool:
    """Whether `**rest` forwards unknown names; `**ignored` and `**_name` discard them."""
    return rest is not None and rest != 'ignored' and not rest.startswith('_')


def parameter_names(dotted_name: str) -> tuple[list[str], str | None]:
    """Names of all parameters of a function or class, and of its `**rest` (None without one)."""
    arguments = _arguments(dotted_name)
    return ([arg.arg for arg in (*arguments.args, *arguments.kwonlyargs)],
            arguments.kwarg.arg if arguments.kwarg else None)


def option_annotation(dotted_name: str, option: str, vocabulary: Mapping[str, Any]) -> Any:
    """Evaluate the annotation of one of the parameters in `option_annotations`.

    `Annotated` metadata that needs more than the vocabulary is dropped. `Annotated[Any, ...]`
    cannot be evaluated without its metadata.

    Args:
        dotted_name, vocabulary: as for `declaration`.
        option: name of the parameter.

    Raises:
        LookupError: there is no such parameter, or its annotation cannot be evaluated from the
            source.
    """
    text = option_annotations(dotted_name)[option]
    _, tree = find_definition(dotted_name)
    if not text:
        raise LookupError(f'{dotted_name} does not annotate {option!r}.')
    return _meaning(ast.parse(text, mode='eval').body, tree, vocabulary)


def plain_defaults(dotted_name: str) -> dict[str, Any]:
    """{name: value} of a function's or class's parameters whose defaults are literals."""
    arguments, found = _arguments(dotted_name), {}
    positional = arguments.args[len(arguments.args) - len(arguments.defaults):]
    for arg, default in (*zip(positional, arguments.defaults),
                         *zip(arguments.kwonlyargs, arguments.kw_defaults)):
        with contextlib.suppress(ValueError, TypeError):  # the latter: None, without a default
            found[arg.arg] = ast.literal_eval(default)
    return found


def _meaning(node, tree, vocabulary):
    """Evaluate an annotation found in a module."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == 'Annotated':
        if ast.unparse(node.slice.elts[0]) == 'Any':
            raise LookupError(f'{ast.unparse(node)} cannot be evaluated without its metadata.')
        if not any(isinstance(part, ast.Lambda) for part in ast.walk(node)):
            with contextlib.suppress(NameError):
                return _evaluated(node, vocabulary)
        return _meaning(node.slice.elts[0], tree, vocabulary)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _meaning(node.left, tree, vocabulary) | _meaning(node.right, tree, vocabulary)
    with contextlib.suppress(NameError):
        return _evaluated(node, vocabulary)
    if isinstance(node, ast.Name):
        return _meaning(*_assigned(node.id, tree), vocabulary)
    raise LookupError(f'{ast.unparse(node)} cannot be evaluated from the source.')


def _evaluated(node, vocabulary):
    return eval(compile(ast.Expression(node), '<annotation>', 'eval'), dict(vocabulary))


def _assigned(name, tree):
    """Expression assigned to a module's name, and the syntax tree of the assigning module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value, tree
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _assigned(name, _parse(node.module))
    raise LookupError(f'{name!r} is not assigned.')


def option_names(dotted_name: str) -> list[str]:
    """Names of the parameters in `option_annotations`."""
    return list(option_annotations(dotted_name))
