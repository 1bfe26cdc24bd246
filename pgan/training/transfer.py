"""Transfer learning: starting a run from the networks of another data set, `train.init_from`.

Layers are copied by name and resolution where they fit (`pgan.nn.adapting`). Growth continues from
the resolution of the copied networks. Layers of D near the image may be frozen: FreezeD (Mo et al.
2020, arXiv:2002.10964).
"""
import itertools
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import misc
from misc import resuming, run_files
from pgan.errors import ConfigError
from pgan.files import to_json
from pgan.nn import adapting
from pgan.nn.adapting import COPIED, CUT, FRESH, RECOLOURED, Contents, Transfer
from pgan.resolutions import log2_of
from tfutil import Network
from tfutil.devices import Devices

WIDTH = 80  # columns of a terminal
FEW = 4  # maximum number of layers listed by name
ROUNDING = 1e-4  # rounding error of a lod that should be a whole number


class Start(NamedTuple):
    """Facts about the networks that a run started from; also needed when it is resumed.

    Attributes:
        lod: their lod, where 0 = this run's full resolution. None = new networks.
        copied: names of D's variables that were copied completely.
    """
    lod: float | None = None
    copied: tuple[str, ...] = ()


class Donor(NamedTuple):
    """A snapshot that a run starts from.

    Attributes:
        path: path of the file.
        networks: contents of its G, D and Gs.
        resolution: resolution of its images in pixels.
        lod: lod of its Gs.
        description: text with the shape of its images, its labels and lod.
    """
    path: str
    networks: Sequence[Contents]
    resolution: int
    lod: float
    description: str

    def start(self, resolution: int) -> Start:
        """The `Start` of a run at a resolution, before any variables have been copied."""
        lod = log2_of(resolution) - (log2_of(self.resolution) - self.lod)
        return Start(max(lod, 0.0))


def read_donor(init_from: int | str, config: ModuleType) -> Donor:
    """Read the snapshot that a run starts from.

    Args:
        init_from: a .pkl file, or the number, name or folder of a run, for its latest snapshot.
        config: the configuration.

    Raises:
        DataError: the snapshot cannot be found or read.
    """
    path = misc.locate_network_pkl(init_from, result_dir=config.result_dir)
    print(f'Loading networks from "{path}"...')
    G, D, Gs = misc.load_snapshot(path, config)
    resolution = adapting.image_size(Gs)
    lod = min(max(Gs.lod or 0.0, 0.0), log2_of(resolution) - 2.0)
    if abs(lod - round(lod)) < ROUNDING:
        lod = float(round(lod))
    description = f'{G!r}'
    if len(Gs.output_shape) == 4:
        labels = Gs.input_shapes[1][1] if len(Gs.input_shapes) > 1 else 0
        channels = Gs.output_shape[1]
        description = (f'{resolution}x{resolution}, {channels} channel{"s" * (channels != 1)}, '
                       f'{labels or "no"} label{"s" * (labels != 1)}, lod {lod:.2f}')
    contents = [adapting.contents_of(net) for net in (G, D, Gs)]
    return Donor(path, contents, resolution, lod, description)


def kept_start(options: SimpleNamespace, resume: resuming.RunToResume | None,
               devices: Devices) -> Start | None:
    """The `Start` of a run if it is known without reading the snapshot, i.e. unless a new run
    starts from one; else None.

    Args:
        options: the arguments of training.
        resume: the run to continue, or None.
        devices: devices of the run; the chief broadcasts the contents of its files to all workers.
    """
    if options.init_from is None:
        return Start()
    if resume is None:
        return None
    has_begun = resume.path is not None and run_files.has_checkpoint(resume.path)
    note = to_json(resume.start if has_begun else None).encode()
    known = json.loads(devices.broadcast_from_chief([], note))
    return None if known is None else Start(known.get('lod'), tuple(known.get('copied', ())))


def begin(donor: Donor, networks: Sequence[Network], resolution: int, freeze_D: int = 0) -> Start:
    """Copy the layers of a snapshot that fit into new networks, and print which ones.

    Args:
        donor: the snapshot.
        networks: G, D, Gs; Gs has the values of G.
        resolution: resolution of the run's images in pixels.
        freeze_D: see `frozen_variables`.

    Raises:
        ConfigError: no layer of the snapshot fits, or freeze_D is too large.
    """
    G, D, _ = taken = [adapting.transfer(old, net) for old, net in zip(donor.networks, networks)]
    if not any(one.layers(COPIED, RECOLOURED, CUT) for one in taken[:2]):
        raise ConfigError(
            f'train.init_from: the networks of {donor.path!r} ({donor.description}) share no '
            'layer with those of this run, whose build functions are '
            f'{" and ".join(_build_functions(networks[:2]))}. Choose a snapshot of similar '
            'networks, or set G.func and D.func to those of the snapshot.')
    start = donor.start(resolution)._replace(copied=tuple(sorted(D.whole)))
    frozen = frozen_variables(networks[1], start, freeze_D)
    print(f'Starting from {donor.path!r} ({donor.description}). Its layers in this run:')
    for kind, text in _table(G, D, _layers_of(networks[1], frozen)):
        print(textwrap.fill(f'  {kind:<13s}{text}', WIDTH, subsequent_indent=' ' * 15))
    return start


def _build_functions(networks: Iterable[Network]) -> list[str]:
    return [net.__getstate__()['build_func_name'] for net in networks]


# ---------------------------------------------------------------- layers that are not trained

def frozen_variables(D: Network, start: Start, freeze_D: int) -> frozenset[str]:
    """Names of D's variables that are not trained.

    These are the layers nearest to the image, including FromRGB: those of the `freeze_D` highest
    resolutions that the copied networks had reached. Layers that were not copied completely are
    still trained, because they would stay random. The 4x4 block, with the score, is always trained.

    Raises:
        ConfigError: the networks had reached fewer resolutions above 4x4.
    """
    if not freeze_D or start.lod is None:
        return frozenset()
    top = log2_of(adapting.image_size(D)) - int(start.lod)
    if freeze_D > top - 2:
        raise ConfigError('train.freeze_D: expected at most the number of resolutions above 4x4 '
                          f'that the snapshot has reached: {top - 2}, because training starts at '
                          f'{2 ** top}x{2 ** top}. Received: {freeze_D}.')
    sizes = [2 ** (top - i) for i in range(freeze_D)]
    image_size = adapting.image_size(D)
    return frozenset(name for name in start.copied if name in D.trainables
                     and adapting.size_of(adapting.key_of(name, image_size)) in sizes)


def _layers_of(net: Network, names: Iterable[str]) -> list[str]:
    keys = (adapting.key_of(name, adapting.image_size(net)) for name in net.vars if name in names)
    return list(dict.fromkeys(map(adapting.layer_of, keys)))


def needs_reals(D: Network, start: Start) -> bool:
    """Whether D has new layers that are initialized from real images.

    In a user's networks these layers are unknown, so the result is whether any layer is new.
    """
    names = [name for name in D.vars if 'MinibatchDiscrimination' in name] or list(D.trainables)
    return any(name not in start.copied for name in names)


# ---------------------------------------------------------------- what was copied

def _table(G: Transfer, D: Transfer, frozen: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(kind, layers) of each line; the entries for G apply to Gs, too."""
    for fate, kind in ((COPIED, 'copied'), (RECOLOURED, 'recoloured'), (CUT, 'cut to fit'),
                       (FRESH, 'fresh')):
        found = {}
        for name, one in (('G', G), ('D', D)):
            found[name] = _in_words(one.layers(fate))
            reasons = sorted(set().union(*(why for what, why in one.fates.values()
                                           if what == fate)))
            if found[name] and reasons:
                found[name] += f' ({", ".join(reasons)})'
        if any(found.values()):
            yield kind, _both(found)
    if G.unused or D.unused:
        yield 'not used', _both({'G': _in_words(G.unused), 'D': _in_words(D.unused)})
    if frozen:
        yield 'not trained', f'D: {_in_words(frozen)}'


def _both(found: dict[str, str]) -> str:
    return '; '.join(f'{name}: {text}' for name, text in found.items() if text)


def _in_words(layers: Sequence[str]) -> str:
    """'4x4/Conv, 8x8/Conv0', or '9 layers of 4x4 to 16x16'."""
    if len(layers) <= FEW:
        return ', '.join(layers)
    sizes = sorted({adapting.size_of(f'{layer}/') for layer in layers} - {0})
    ends = [f'{size}x{size}' for size in itertools.chain(sizes[:1], sizes[1:][-1:])]
    return f'{len(layers)} layers' + (f' of {" to ".join(ends)}' if ends else '')
