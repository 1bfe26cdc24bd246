"""Transfer of one network's variables to a network with other options.

Layers are matched by name and resolution. The networks' layer lists tell what the axes of a weight
mean (`Part`), so labels match labels, feature maps match feature maps, and colours match colours.
With the equalized learning rate, a layer multiplies by the stored value times a scale that depends
on its width. Where widths differ, stored values are rescaled so that the layer's output, or at
least its variance, stays the same.
"""
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pgan.nn.specs import Kind, LayerSpec, block_name, with_variables
from pgan.resolutions import log2_of
from tfutil import Network

COPIED, RECOLOURED, CUT, FRESH = 'copied', 'recoloured', 'cut', 'fresh'

LATENTS, LABELS, MAPS, COLOURS = 'latents', 'labels', 'feature maps', 'colours'


class Part(NamedTuple):
    """Section of an axis.

    Attributes:
        name: what it holds. Sections of the same name are matched from their first component on.
        size: number of components.
    """
    name: str
    size: int


Axis: TypeAlias = tuple[Part, ...]


class Values(NamedTuple):
    """Values of a variable, with the meaning of its axes.

    Attributes:
        array: the values; for a weight in the order of a convolution: kernel, inputs, outputs.
        axes: parts of each axis; empty = unknown.
        scale: the layer multiplies by array * scale.
        inputs, outputs: indices of the input and output axes; -1 = no such axis.
        is_unit: whether the input vector has the same length for any number of components.
    """
    array: np.ndarray
    axes: tuple[Axis, ...] = ()
    scale: float = 1.0
    inputs: int = -1
    outputs: int = -1
    is_unit: bool = False


class Adapted(NamedTuple):
    """Result of adapting a variable.

    Attributes:
        array: its new values, in the order of `Values.array`.
        fate: COPIED, RECOLOURED (colours averaged or repeated), CUT (partly copied) or FRESH.
        reasons: names of the parts that are not copied in full.
    """
    array: np.ndarray
    fate: str
    reasons: frozenset[str] = frozenset()


# ---------------------------------------------------------------- names

def key_of(name: str, resolution: int) -> str:
    """Name of a variable that is independent of the full resolution and of fused layers.

    'ToRGB_lod2/weight' of a 16x16 network becomes '4x4/ToRGB/weight'. '8x8/Conv0_up/bias' becomes
    '8x8/Conv0/bias'.

    Args:
        name: the variable's local name.
        resolution: the network's full resolution in pixels.
    """
    match = re.match(r'(ToRGB|FromRGB)_lod(\d+)/', name)
    if match:
        block = block_name(log2_of(resolution) - int(match[2]))
        return f'{block}/{match[1]}/{name[match.end():]}'
    return re.sub(r'/(Conv\d*)_(up|down)/', r'/\1/', name)


def layer_of(key: str) -> str:
    """Layer of a key: '4x4/ToRGB' for '4x4/ToRGB/weight'."""
    return '/'.join(key.split('/')[:2])


def size_of(key: str) -> int:
    """Resolution of a key in pixels; 0 if it has none."""
    match = re.match(r'(\d+)x\d+/', key)
    return int(match[1]) if match else 0


# ---------------------------------------------------------------- contents of a network

class Contents(NamedTuple):
    """A network's variables by `key_of`.

    Attributes:
        names: {key: local name}, without `lod`, which belongs to no layer.
        values: {key: Values}.
    """
    names: dict[str, str]
    values: dict[str, Values]


def contents_of(net: Network) -> Contents:
    """Return the variables of a network, with copies of their values."""
    resolution = image_size(net)
    keys = {name: key_of(name, resolution) for name in net.vars if name != 'lod'}
    described = dict(_described(net))
    return Contents({key: name for name, key in keys.items()},
                    {key: _in_order(net.get_var(name), described.get(name))
                     for name, key in keys.items()})


def image_size(net: Network) -> int:
    """Full resolution of a network's images, in pixels; 4 if it has no images."""
    shapes = [shape for shape in (*net.output_shapes, *net.input_shapes) if len(shape) == 4]
    return int(shapes[0][-1]) if shapes else 4


class _Layout(NamedTuple):
    """How to read a variable's values as `Values`; `shape` is the shape of `Values.array`."""
    values: Values
    shape: tuple[int, ...]
    is_transposed: bool = False


def _described(net: Network) -> Iterator[tuple[str, _Layout]]:
    """Yield (local name, layout) of the variables of all layers in `layer_specs`."""
    describe = getattr(net.model, 'layer_specs', None)
    if describe is None:
        return
    specs = list(describe())
    before: list[LayerSpec] = []
    for spec in specs:
        if any(with_variables([spec])) and spec.kind is not Kind.MINIBATCH_DISCRIMINATION:
            inputs, outputs = _inputs_of(spec, before, net.model.options), _outputs_of(spec)
            yield f'{spec.name}/weight', _weight_layout(spec, inputs, outputs, net.model.options)
            axes = Values(np.empty(0), (outputs,), outputs=0)
            for name in ('bias', f'{spec.norm}/bias', *(f'{spec.norm}/{part}' for part in (
                    'beta', 'gamma', 'mean', 'inv_std'))):
                yield f'{spec.name}/{name}', _Layout(axes, (-1,))
        before.append(spec)


def _inputs_of(spec: LayerSpec, before: Sequence[LayerSpec], options: Any) -> Axis:
    taps = 16 if _is_flattened(spec, before) else 1
    if spec.kind is Kind.DENSE_TO_IMAGE:
        return Part(LATENTS, options.latent_size), Part(LABELS, options.label_size)
    if spec.name.startswith('FromRGB'):
        return (Part(COLOURS, spec.inputs),)
    last = before[-1] if before else None
    more = None
    if last is not None and last.name == '4x4/MinibatchStddev':
        more = Part('minibatch statistic', last.fmaps)
    elif last is not None and last.kind is Kind.MINIBATCH_DISCRIMINATION:
        more = Part('minibatch discrimination', last.fmaps - last.inputs)
    rest = spec.inputs // taps - (more.size if more else 0)
    return (Part(MAPS, rest), more) if more else (Part(MAPS, rest),)


def _outputs_of(spec: LayerSpec) -> Axis:
    if spec.kind is Kind.SCORES:
        return Part('score', 1), Part(LABELS, spec.fmaps - 1)
    return (Part(COLOURS if spec.name.startswith('ToRGB') else MAPS, spec.fmaps),)


def _is_flattened(spec: LayerSpec, before: Sequence[LayerSpec]) -> bool:
    """Whether a layer's input is a flattened 4x4 image, in C, H, W order."""
    dense = (Kind.DENSE_OF_IMAGE, Kind.MINIBATCH_DISCRIMINATION)
    return spec.kind is Kind.DENSE_OF_IMAGE or (
        spec.kind is Kind.SCORES and not any(one.kind in dense for one in before))


def _weight_layout(spec: LayerSpec, inputs: Axis, outputs: Axis, options: Any) -> _Layout:
    ins, outs = (sum(part.size for part in axis) for axis in (inputs, outputs))
    fan_in = spec.weight_size // spec.fmaps
    kernel: tuple[int, ...] = ()
    axes: tuple[Axis, ...] = (inputs, outputs)
    shape: tuple[int, ...] = (ins, outs)
    place = 0
    if spec.kind is Kind.DENSE_TO_IMAGE:
        fan_in = spec.inputs
        axes, shape = (inputs, outputs, (Part('pixels', 16),)), (ins, outs, 16)
    elif ins * 16 == spec.inputs:
        axes, shape = (inputs, (Part('pixels', 16),), outputs), (ins, 16, outs)
    elif spec.kind is not Kind.SCORES:
        size = math.isqrt(fan_in // spec.inputs)
        kernel, place = (size, size), 2
    axes = (*((Part('kernel', size),) for size in kernel), *axes)
    is_unit = spec.kind is Kind.DENSE_TO_IMAGE and options.normalize_latents
    scale = spec.gain / math.sqrt(fan_in) if options.use_wscale else 1.0
    last = len(axes) - 2 if spec.kind is Kind.DENSE_TO_IMAGE else len(axes) - 1
    values = Values(np.empty(0), axes, float(scale), place, last, is_unit)
    return _Layout(values, (*kernel, *shape), spec.kind is Kind.UP)


def _in_order(array: np.ndarray, layout: _Layout | None) -> Values:
    if layout is None or array.ndim == 0:
        return Values(array)
    if layout.is_transposed:  # see `fused_convolutions.UpConv2D`
        array = array[::-1, ::-1].swapaxes(2, 3)
    return layout.values._replace(array=array.reshape(layout.shape))


def set_values(net: Network, arrays: Mapping[str, np.ndarray]) -> None:
    """Set variables of a network.

    Args:
        net: the network.
        arrays: {local name: values in the order of `Values.array`}.
    """
    described = dict(_described(net))
    for name, array in arrays.items():
        layout = described.get(name)
        if layout is not None and layout.is_transposed:
            array = array[::-1, ::-1].swapaxes(2, 3)
        net.set_var(name, array.reshape(net.find_var(name).shape.as_list()))


# ---------------------------------------------------------------- adapting one variable

def adapt(old: Values, new: Values) -> Adapted:
    """Values for a variable, from another network's variable of the same key.

    Variables of the same shape are copied. Otherwise the parts that both have are adapted:
      * Colours are averaged or repeated, so gray images do not change.
      * Of feature maps and latents, the first ones are copied. New inputs of a copied output get
        weights of zero, so the output does not change; these weights still learn from the first
        update on, because the inputs themselves are not zero. Where inputs are dropped, the
        remaining weights are scaled up so that the sum keeps its variance.
      * Labels are fresh if their number differs, as they then stand for other classes.

    Args:
        old: values to adapt.
        new: values of the target variable; kept where nothing matches.
    """
    if not (old.axes and new.axes):
        if old.array.shape == new.array.shape:
            return Adapted(old.array, COPIED)
        return Adapted(new.array, FRESH)
    recoloured = _recoloured(old, new)
    pairs = _matched(recoloured, new)
    if pairs is None:
        return Adapted(new.array, FRESH)
    result = new.array.copy()
    places = [np.concatenate([one for _, one in pair]) for pair in pairs]
    sources = [np.concatenate([one for one, _ in pair]) for pair in pairs]
    if new.inputs >= 0:
        _silence(result, new, places)
    result[np.ix_(*places)] = recoloured.array[np.ix_(*sources)] * np.float32(
        _factor(recoloured, new))
    reasons = _reasons(recoloured, new)
    fate = CUT if reasons else RECOLOURED if recoloured is not old else COPIED
    return Adapted(result, fate, reasons)


def _recoloured(old: Values, new: Values) -> Values:
    """Return `old` with the number of colours of `new`; `old` itself if they agree."""
    for number, (before, after) in enumerate(zip(old.axes, new.axes)):
        if before == after or [before[0].name, after[0].name] != [COLOURS] * 2:
            continue
        have, want = before[0].size, after[0].size
        array = old.array.mean(axis=number, keepdims=True).repeat(want, axis=number)
        if number == old.inputs:  # the layer sums over these equal colours
            array *= have / want
        axes = (*old.axes[:number], after, *old.axes[number + 1:])
        return old._replace(array=array, axes=axes)
    return old


def _matched(old: Values, new: Values) -> list[list[tuple[np.ndarray, np.ndarray]]] | None:
    """Return the pairs (indices in old, indices in new) per axis; None if an axis has no match."""
    if len(old.axes) != len(new.axes):
        return None
    found = [list(_matched_parts(*axes)) for axes in zip(old.axes, new.axes)]
    return found if all(found) else None


def _matched_parts(old: Axis, new: Axis) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    starts = dict(zip((part.name for part in old), _starts(old)))
    sizes = dict(old)
    for start, part in zip(_starts(new), new):
        have = sizes.get(part.name, 0)
        is_whole = part.name in (LABELS, 'kernel', 'pixels')  # all or nothing
        size = 0 if is_whole and have != part.size else min(have, part.size)
        if size:
            yield (np.arange(size) + starts[part.name], np.arange(size) + start)


def _starts(axis: Axis) -> list[int]:
    return [sum(part.size for part in axis[:number]) for number in range(len(axis))]


def _silence(result: np.ndarray, new: Values, places: Sequence[np.ndarray]) -> None:
    """Zero the weights from new inputs to copied outputs; those of labels keep their values."""
    axis = new.axes[new.inputs]
    known = {*places[new.inputs]}
    added = [start + i for start, part in zip(_starts(axis), axis) if part.name != LABELS
             for i in range(part.size) if start + i not in known]
    if added:
        where = [np.arange(size) for size in result.shape]
        where[new.inputs] = np.array(added)
        where[new.outputs] = places[new.outputs]
        result[np.ix_(*where)] = 0.0


def _factor(old: Values, new: Values) -> float:
    """Factor for stored values, see `adapt`."""
    factor = old.scale / new.scale
    if old.inputs < 0:
        return factor
    before, after = old.axes[old.inputs], new.axes[new.inputs]
    if old.is_unit and new.is_unit:  # more components are smaller each
        return factor * math.sqrt(sum(dict(before).values()) / sum(dict(after).values()))
    have = {name: size for name, size in before if name != LABELS}
    kept = sum(min(size, dict(after).get(name, 0)) for name, size in have.items())
    return factor * math.sqrt(sum(have.values()) / kept)


def _reasons(old: Values, new: Values) -> frozenset[str]:
    """Return the names of the parts in which two variables differ."""
    return frozenset(part.name for axes in zip(old.axes, new.axes)
                     for part in {*axes[0]} ^ {*axes[1]} if part.size)


# ---------------------------------------------------------------- networks

class Transfer(NamedTuple):
    """What one network has taken over from another.

    Attributes:
        fates: {layer: (COPIED, RECOLOURED, CUT or FRESH, names of the parts that were cut)}.
        unused: layers of the other network that this one lacks.
        whole: local names of the variables of layers that are COPIED or RECOLOURED.
    """
    fates: dict[str, tuple[str, frozenset[str]]]
    unused: list[str]
    whole: frozenset[str]

    def layers(self, *fates: str) -> list[str]:
        """Return the layers with one of these fates."""
        return [layer for layer, (fate, _) in self.fates.items() if fate in fates]


def transfer(old: Contents, net: Network) -> Transfer:
    """Set the variables of a network from those of another, as far as they fit. See `adapt`.

    Args:
        old: contents of the other network.
        net: the network to set; variables without a match keep their values.
    """
    new = contents_of(net)
    adapted = {key: adapt(old.values[key], values) for key, values in new.values.items()
               if key in old.values}
    set_values(net, {new.names[key]: one.array for key, one in adapted.items()
                     if one.fate != FRESH})
    layers: dict[str, list[str]] = {}
    for key in new.values:
        layers.setdefault(layer_of(key), []).append(key)
    fates = {layer: _together([adapted.get(key) for key in keys])
             for layer, keys in layers.items()}
    whole = frozenset(new.names[key] for layer, keys in layers.items()
                      if fates[layer][0] in (COPIED, RECOLOURED) for key in keys)
    unused = dict.fromkeys(map(layer_of, old.values))
    return Transfer(fates, [layer for layer in unused if layer not in layers], whole)


def _together(adapted: Iterable[Adapted | None]) -> tuple[str, frozenset[str]]:
    """Return the fate of a layer, given those of its variables."""
    known = [one or Adapted(np.empty(0), FRESH, frozenset(['normalization'])) for one in adapted]
    fates = {one.fate for one in known}
    reasons = frozenset[str]().union(*(one.reasons for one in known))
    if fates <= {COPIED, RECOLOURED}:
        return (RECOLOURED if RECOLOURED in fates else COPIED), reasons
    return (FRESH, frozenset()) if fates == {FRESH} else (CUT, reasons)
