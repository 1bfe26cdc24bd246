"""The Inception network of FID, inception score and related metrics.

Inception-2015-12-05, a frozen TensorFlow graph.

    inception = Inception.find(result_dir='results')
    features, probabilities = inception(minibatch)

The graph was built for single images: after `pool_3` its shapes are fixed. Features are therefore
taken at `pool_3`, and class probabilities are computed from the last layer's weights (without its
biases, as is usual for the inception score since Salimans et al. 2016).
"""
import glob
import hashlib
import io
import os
import re
import tarfile
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from metrics import FeatureFunction
from metrics.feeding import check_minibatch, check_mode, check_setting
from pgan.errors import ConfigError, DataError, UserError
from pgan.files import atomic_write, make_folder
from pgan.progress_bar import progress_bar

URL = 'http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz'
GRAPH_FILE = 'classify_image_graph_def.pb'
ARCHIVE = 'inception-2015-12-05.tgz'
_INPUT, _POOL, _LOGITS = 'ExpandDims:0', 'pool_3:0', 'softmax/logits/MatMul'
# Images per evaluation of the network: a minibatch of small images may not fit into memory once
# they are enlarged to 299x299.
_BATCH = 64


# --------------------------------------------------------------------------------------------------
# Finding the file.

def find_graph(path: str | os.PathLike | None = None, result_dir: str | os.PathLike = 'results',
               url: str | None = URL) -> tuple[bytes, str]:
    """Find or download the frozen graph.

    Args:
        path: classify_image_graph_def.pb, its archive, or a folder that holds either. None = look
            in folders `_inception*` of result_dir; if there are none, download it to `_inception`.
        result_dir: folder of all results.
        url: address of the download; None = do not download.

    Returns:
        (bytes of the graph, path of the file).

    Raises:
        DataError: the graph is not found or cannot be read. The message says where to put it.
    """
    if path is not None:
        places = [os.fspath(path)]
    else:
        places = sorted(glob.glob(os.path.join(glob.escape(str(result_dir)), '_inception*')))
    for place in places:
        for file in (place, os.path.join(place, GRAPH_FILE), os.path.join(place, ARCHIVE)):
            if os.path.isfile(file):
                return _read(file), file
    if path is None and url is not None:
        return _download(url, os.path.join(result_dir, '_inception'))
    nothing = f'no folder {os.path.join(result_dir, "_inception*")!r}'
    tried = ', '.join(map(repr, places)) or nothing
    raise DataError(f'The Inception network was not found. Tried: {tried}. '
                    f'{_where_to_put_it(result_dir)}')


def _where_to_put_it(result_dir):
    return (f'Put {GRAPH_FILE} (or {ARCHIVE}, which holds it, from {URL}) into '
            f'{os.path.join(result_dir, "_inception")!r}, or leave out the metrics that need it: '
            'fid, is, kid, pr.')


def _read(file):
    """Read the graph from a file or an archive."""
    try:
        if tarfile.is_tarfile(file):
            with open(file, 'rb') as stream:
                return _unpack(stream)
        with open(file, 'rb') as stream:
            return stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        if isinstance(error, UserError):
            raise
        raise DataError(f'Cannot read {file!r}: {error}. Expected {GRAPH_FILE} or {ARCHIVE}. '
                        'Delete it and download it again.') from error


def _unpack(stream):
    """Read the graph's bytes from an archive. Nothing else is read, and nothing is written."""
    with tarfile.open(fileobj=stream) as archive:
        for member in archive:
            if member.isfile() and os.path.basename(member.name) == GRAPH_FILE:
                return archive.extractfile(member).read()
    raise DataError(f'The archive holds no {GRAPH_FILE}. Expected {ARCHIVE} from {URL}. Delete it '
                    'and download it again.')


def _download(url, folder):
    """Download the archive, check the graph in it, and write the graph to a folder."""
    print(f'Downloading {url} to {folder}...')
    try:
        graph = _unpack(io.BytesIO(_fetch(url)))
        _parse(graph, url)
    except (OSError, ValueError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = str(error).rstrip('.')
        raise DataError(f'The Inception network is not in {os.path.dirname(folder)!r}, and cannot '
                        f'be downloaded from {url}: {reason}. '
                        f'{_where_to_put_it(os.path.dirname(folder))}') from error
    make_folder(folder)
    file = os.path.join(folder, GRAPH_FILE)
    with atomic_write(file) as stream:
        stream.write(graph)
    return graph, file


def _fetch(url):
    """Download a URL and return its bytes."""
    blocks = []
    with urllib.request.urlopen(url, timeout=60) as response:
        size = int(response.headers.get('Content-Length') or 0)
        with progress_bar(total=size or None, unit='B', unit_scale=True, desc='inception') as bar:
            while block := response.read(1 << 18):
                blocks.append(block)
                bar.update(len(block))
    data = b''.join(blocks)
    if size and len(data) != size:
        raise OSError(f'the connection ended after {len(data)} of {size} bytes')
    return data


def _parse(data, source):
    """Parse a GraphDef. Raise DataError unless it is the Inception network and cannot do harm."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError
    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError:
        graph_def.Clear()
    needed = {name.split(':')[0] for name in (_INPUT, _POOL, _LOGITS)}
    missing = needed - {node.name for node in graph_def.node}
    if missing:
        raise DataError(f'{source!r} is not the Inception network: it is not a frozen graph with '
                        f'{", ".join(sorted(missing))}. Expected {GRAPH_FILE} of '
                        f'Inception-2015-12-05. Delete it and download it again from {URL}.')
    parts = [graph_def.node, *(function.node_def for function in graph_def.library.function)]
    strange = sorted({node.op for nodes in parts for node in nodes
                      if _REACHING_OUT.search(node.op)})
    if strange:
        raise DataError(f'{source!r} is not the Inception network: it has operations that use '
                        f'files, other programs or Python: {", ".join(strange)}. Delete it and '
                        f'download it again from {URL}.')
    return graph_def


# Parts of operation names. A network needs none of these; a malicious graph may access files.
_REACHING_OUT = re.compile('File|Func|Save|Restore|Read|Write|Record|Dataset|Iterator|Checkpoint|'
                           'Remote|Send|Recv|Debug|Print|Summary|Sql|Xla|Custom')


# --------------------------------------------------------------------------------------------------
# Running the network.

class Inception:
    """Features and class probabilities of images.

    The outputs for the last minibatch are cached, so several metrics share one evaluation.

    Args:
        graph_def: bytes of the frozen graph, as `find_graph` returns them.
        source: name of the graph in messages.

    Raises:
        DataError: the bytes are not that graph.
    """

    def __init__(self, graph_def: bytes, source: str = GRAPH_FILE) -> None:
        import tensorflow as tf
        parsed = _parse(graph_def, source)
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._images = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
            try:
                pool, logits = tf.graph_util.import_graph_def(
                    parsed, input_map={_INPUT: self._images}, return_elements=[_POOL, _LOGITS],
                    name='')
            except ValueError as error:
                raise DataError(f'{source!r} cannot be used as the Inception network: {error} '
                                f'Delete it and download it again from {URL}.') from error
            features = tf.squeeze(pool, [1, 2])
            self._outputs = [features, tf.nn.softmax(tf.matmul(features, logits.inputs[1]))]
        # A session instead of a tf.function: functions drop the graph's version, and TensorFlow
        # then rejects its batch normalization op, which newer graphs may not use.
        self._session = tf.compat.v1.Session(graph=self._graph, config=_session_config())
        self._key: tuple | None = None  # of the last minibatch
        self._last: tuple[np.ndarray, np.ndarray]

    @classmethod
    def find(cls, path: str | os.PathLike | None = None,
             result_dir: str | os.PathLike = 'results', url: str | None = URL) -> Self:
        """Find the network with `find_graph` and load it."""
        return cls(*find_graph(path, result_dir, url))

    def __call__(self, minibatch: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate images.

        Args:
            minibatch: uint8 [N, 3, H, W].

        Returns:
            (features, probabilities), float32 [N, 2048] and [N, 1008]. Do not modify them.

        Raises:
            ConfigError: the shape or type is wrong.
        """
        minibatch = check_minibatch(minibatch, (3, *np.shape(minibatch)[2:]))
        # The cache key depends on the contents: callers may reuse an array.
        digest = hashlib.blake2b(np.ascontiguousarray(minibatch).data, digest_size=16).digest()
        key = minibatch.shape, digest
        if self._key != key:
            starts = range(0, len(minibatch), _BATCH)
            parts = [self._run(minibatch[start:start + _BATCH]) for start in starts]
            features, probabilities = map(np.concatenate, zip(*parts))
            self._last = features, probabilities
            self._key = key
        return self._last

    def _run(self, images):
        return self._session.run(self._outputs,
                                 {self._images: images.transpose(0, 2, 3, 1).astype(np.float32)})


def _session_config():
    """Configuration of a session that uses the GPUs of this process, with its memory settings.

    A session with any other configuration would start every GPU of the machine, and decide the
    memory growth of a run, because metrics are created before its networks.
    """
    import tensorflow as tf
    gpus = tf.config.get_visible_devices('GPU')
    options = tf.compat.v1.GPUOptions(
        allow_growth=any(map(tf.config.experimental.get_memory_growth, gpus)),
        visible_device_list=','.join(gpu.name.rpartition(':')[2] for gpu in gpus))
    return tf.compat.v1.ConfigProto(device_count={'GPU': len(gpus)}, gpu_options=options)


class FeatureMetric:
    """Base class of metrics that use the Inception network.

    Subclasses implement `get_metric_names()`, `_start(mode)`, `_add(features, probabilities)` and
    `_finish(mode)`.

    Args:
        num_images, image_shape, image_dtype, minibatch_size: see `metrics`.
        inception: a function from uint8 [N, 3, H, W] to (features, probabilities), or the path of
            the graph; None = look in result_dir.
        result_dir: see `find_graph`.

    Raises:
        ConfigError: see `check_setting`.
        DataError: the network is not available.
    """
    fewest = 2

    def __init__(self, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                 minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
                 result_dir: str | os.PathLike = 'results') -> None:
        check_setting(num_images, image_shape, image_dtype, minibatch_size, fewest=self.fewest)
        self.image_shape = tuple(image_shape)
        self._inception: FeatureFunction
        if callable(inception):
            self._inception = inception
        else:
            self._inception = Inception.find(inception, result_dir)

    def get_metric_names(self) -> list[str]:
        """Names of the values, in the order in which `end` returns them."""
        raise NotImplementedError

    def get_metric_formatting(self) -> list[str]:
        return ['%-10.4f'] * len(self.get_metric_names())

    def begin(self, mode: str) -> None:
        """Start a pass: 'warmup', 'reals' or 'fakes'."""
        check_mode(mode)
        self._count = 0
        self._start(mode)

    def feed(self, mode: str, minibatch: npt.ArrayLike) -> None:
        """Process a minibatch, uint8 [N, 3, H, W]."""
        minibatch = check_minibatch(minibatch, self.image_shape)
        if len(minibatch):
            self._count += len(minibatch)
            self._add(*self._inception(minibatch))

    def end(self, mode: str) -> list[float]:
        """Finish a pass; return the values, one per name."""
        if self._count < self.fewest:
            raise ConfigError(f'{self.get_metric_names()[0]} needs at least {self.fewest} images. '
                              f'Received: {self._count} in mode {mode!r}. Feed more before end().')
        return [float(value) for value in self._finish(mode)]

    def _start(self, mode: str) -> None:
        raise NotImplementedError

    def _add(self, features: np.ndarray, probabilities: np.ndarray) -> None:
        raise NotImplementedError

    def _finish(self, mode: str) -> Sequence[float]:
        raise NotImplementedError


class ComparingMetric(FeatureMetric):
    """A FeatureMetric that compares fakes with reals. Its statistics of the reals can be cached.

    Subclasses define `_state_names`, {name: number of dimensions} of the arrays in `_reals`.
    """
    _state_names: ClassVar[Mapping[str, int]]
    _reals: dict[str, np.ndarray] | None = None

    def _start(self, mode):
        if mode == 'fakes' and self._reals is None:
            raise ConfigError(f'{self.get_metric_names()[0]} has nothing to compare these images '
                              "with. Expected a pass of mode 'reals' before the first of mode "
                              "'fakes'. Feed real images first, or restore their statistics with "
                              'set_reals_state.')
        if mode != 'fakes':
            self._reals = None  # Free the memory before the pass.

    def get_reals_state(self) -> dict[str, np.ndarray]:
        """Statistics of the reals: a dict of arrays, for np.savez and `set_reals_state`.

        Raises:
            ConfigError: no reals have been fed.
        """
        if self._reals is None:
            raise ConfigError(f'{self.get_metric_names()[0]} has no statistics of the reals yet. '
                              "Expected a pass of mode 'reals' first.")
        return dict(self._reals)

    def set_reals_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore statistics from `get_reals_state`, instead of a pass of mode 'reals'.

        Args:
            state: arrays by name, or an opened .npz file, of the same images and settings. Other
                entries are ignored.

        Raises:
            DataError: entries are missing, or have the wrong number of dimensions.
        """
        wrong = [
            name for name, ndim in self._state_names.items()
            if name not in state or np.ndim(state[name]) != ndim
        ]
        if wrong:
            raise DataError(f'{self.get_metric_names()[0]} cannot use the stored statistics of the '
                            f'reals. Expected the arrays {", ".join(self._state_names)}; missing '
                            f'or of the wrong shape: {", ".join(wrong)}. Delete the file, and feed '
                            'the reals again.')
        self._reals = {name: np.asarray(state[name]) for name in self._state_names}


class CollectingMetric(ComparingMetric):
    """A ComparingMetric that needs the features of all images of a pass at once.

    Its `_finish` gets them from `_collected`.
    """

    def _start(self, mode):
        super()._start(mode)
        self._features = []

    def _add(self, features, probabilities):
        self._features.append(features)

    def _collected(self):
        """Return the features of the pass, [N, D], and release them."""
        features = np.concatenate(self._features)
        del self._features
        return features
