"""metrics.inception on a small stand-in graph: where it is found, what it computes, and the message
if it is not available.
"""
import functools
import http.server
import threading

import numpy as np
import pytest
import tensorflow as tf

from metrics import inception
from metrics.inception import Inception, find_graph
from pgan.errors import ConfigError, DataError
from tests.support.inception_standin import (
    CLASSES,
    FEATURES,
    GRAPH_FILE,
    archive_bytes,
    expected,
    graph_bytes,
)


@pytest.fixture(scope='module')
def graph():
    return graph_bytes()


@pytest.fixture(scope='module')
def network(graph):
    return Inception(graph)


def some_images(n=5, size=8, seed=0):
    return np.random.RandomState(seed).randint(0, 256, size=(n, 3, size, size), dtype=np.uint8)


# --------------------------------------------------------------------------------------------------
# What it computes.

@pytest.mark.parametrize('n', [1, 5, 130])
def test_features_and_probabilities(network, n):
    images = some_images(n)
    features, probabilities = network(images)
    assert features.shape == (n, FEATURES) and probabilities.shape == (n, CLASSES)
    assert features.dtype == probabilities.dtype == np.float32
    for actual, wanted in zip((features, probabilities), expected(images)):
        np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-5)


def test_last_minibatch_is_remembered(graph, monkeypatch):
    network = Inception(graph)
    runs = []
    run = network._run
    monkeypatch.setattr(network, '_run', lambda images: runs.append(len(images)) or run(images))
    images = some_images()
    first = network(images)
    assert all(a is b for a, b in zip(network(images.copy()), first)) and runs == [5]
    images[2, 1, 3, 4] ^= 255  # the same array with new content
    features, _ = network(images)
    np.testing.assert_allclose(features, expected(images)[0], rtol=0, atol=1e-5)
    assert runs == [5, 5]


def test_the_session_starts_only_the_gpus_of_this_process(graph, monkeypatch):
    """`num_gpus` hides the machine's other GPUs, whose memory must stay free."""
    configs, session = [], tf.compat.v1.Session
    monkeypatch.setattr(tf.config, 'get_visible_devices', lambda kind: [
        tf.config.PhysicalDevice(f'/physical_device:GPU:{number}', kind) for number in (0, 2)])
    monkeypatch.setattr(tf.config.experimental, 'get_memory_growth', lambda gpu: False)
    monkeypatch.setattr(tf.compat.v1, 'Session', lambda graph, config: (
        configs.append(config), session(graph=graph))[1])
    Inception(graph)
    (config,) = configs
    assert config.gpu_options.visible_device_list == '0,2' and config.device_count['GPU'] == 2
    assert not config.gpu_options.allow_growth  # decided by tf_config, as for the networks


def test_images_of_another_type(network):
    with pytest.raises(ConfigError, match='Expected a minibatch of uint8'):
        network(some_images().astype(np.float32))


@pytest.mark.parametrize('without', ['ExpandDims', 'pool_3', 'softmax/logits/MatMul'])
def test_graph_without_a_needed_tensor(without):
    with pytest.raises(DataError, match=f'not a frozen graph with {without}'):
        Inception(graph_bytes(without=without), 'some.pb')


@pytest.mark.parametrize('place', ['node', 'function'])
@pytest.mark.parametrize('op', ['WriteFile', 'ReadFile', 'EagerPyFunc', 'SaveV2', 'MatchingFiles',
                                'TFRecordDatasetV2', 'DebugIdentity', 'PrintV2'])
def test_a_graph_that_reaches_out_is_refused(op, place):
    """The graph may lie in a result folder copied from elsewhere."""
    graph_def = tf.compat.v1.GraphDef.FromString(graph_bytes())
    nodes = graph_def.node if place == 'node' else graph_def.library.function.add().node_def
    node = nodes.add()
    node.name, node.op = 'innocent', op
    with pytest.raises(DataError, match=f'operations that use files.*: {op}. Delete it'):
        Inception(graph_def.SerializeToString(), 'some.pb')


def test_no_graph_at_all():
    with pytest.raises(DataError, match="'some.pb' is not the Inception network"):
        Inception(b'<html>not found</html>', 'some.pb')


# --------------------------------------------------------------------------------------------------
# Where it is found.

def put(file, data):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return str(file)


@pytest.mark.parametrize('folder', ['_inception', '_inception_fid', '_inception-2015-12-05'])
def test_found_in_the_result_folder(in_tmp, graph, folder):
    file = put(in_tmp / 'results[1]' / folder / GRAPH_FILE, graph)
    assert find_graph(result_dir=str(in_tmp / 'results[1]'), url=None) == (graph, file)


def test_found_at_a_path(in_tmp, graph):
    file = put(in_tmp / 'here' / 'graph.pb', graph)
    assert find_graph(file) == (graph, file)
    file = put(in_tmp / 'here' / GRAPH_FILE, graph)
    assert find_graph(str(in_tmp / 'here')) == (graph, file)


def test_found_in_an_archive(in_tmp, graph):
    file = put(in_tmp / 'results' / '_inception' / inception.ARCHIVE, archive_bytes(graph))
    assert find_graph(result_dir=str(in_tmp / 'results'), url=None) == (graph, file)
    assert find_graph(file) == (graph, file)


def test_archive_without_the_graph(in_tmp, graph):
    with pytest.raises(DataError, match=f'holds no {GRAPH_FILE}'):
        find_graph(put(in_tmp / 'a.tgz', archive_bytes(graph, 'other.pb')))


def test_archive_cut_short(in_tmp):
    noise = np.random.RandomState(0).bytes(100000)
    with pytest.raises(DataError, match='Cannot read .*Delete it and download it again'):
        find_graph(put(in_tmp / 'a.tgz', archive_bytes(noise)[:60000]))


def test_nowhere(in_tmp):
    with pytest.raises(DataError) as caught:
        find_graph(url=None)
    message = str(caught.value)
    assert "no folder 'results/_inception*'" in message and f"Put {GRAPH_FILE}" in message
    assert "into 'results/_inception'" in message
    (in_tmp / 'results' / '_inception_empty').mkdir(parents=True)
    with pytest.raises(DataError, match="Tried: 'results/_inception_empty'"):
        find_graph(url=None)


def test_a_path_that_is_wrong_is_not_replaced_by_a_download(in_tmp):
    with pytest.raises(DataError, match="Tried: 'missing.pb'"):
        find_graph('missing.pb')


# --------------------------------------------------------------------------------------------------
# Downloading.

@pytest.fixture
def served(in_tmp):
    """A folder, and its URL on a local server."""
    (in_tmp / 'www').mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                             functools.partial(Quiet,
                                                               directory=str(in_tmp / 'www')))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield in_tmp / 'www', f'http://127.0.0.1:{server.server_port}/'
    server.shutdown()
    server.server_close()


def test_download(in_tmp, served, graph, capsys):
    folder, url = served
    put(folder / 'inception.tgz', archive_bytes(graph))
    found, file = find_graph(url=url + 'inception.tgz')
    assert found == graph and file == 'results/_inception/' + GRAPH_FILE
    assert f'Downloading {url}inception.tgz' in capsys.readouterr().out
    assert [path.name for path in (in_tmp / 'results' / '_inception').iterdir()] == [GRAPH_FILE]
    assert find_graph(url=None) == (graph, file)  # the file is kept


@pytest.mark.parametrize('content, words', [
    (None, '404'),
    (b'no archive', 'cannot be downloaded from'),
    ('other.pb', f'holds no {GRAPH_FILE}'),
    (archive_bytes(b'<html>'), 'not a frozen graph with')])
def test_download_that_fails_leaves_nothing(in_tmp, served, graph, content, words):
    folder, url = served
    if content is not None:
        put(folder / 'inception.tgz',
            archive_bytes(graph, content) if isinstance(content, str) else content)
    with pytest.raises(DataError, match=words) as caught:
        find_graph(url=url + 'inception.tgz')
    assert url in str(caught.value) and f'Put {GRAPH_FILE}' in str(caught.value)
    assert not list(in_tmp.glob('results/**/*.pb')) and not list(in_tmp.glob('results/**/.*'))


def test_download_cut_short(in_tmp, graph, monkeypatch):
    class Response:
        headers = {'Content-Length': '1000'}
        blocks = [b'x' * 10, b'']

        def read(self, size):
            return self.blocks.pop(0)

        def __enter__(self):
            return self

        def __exit__(self, *args):
            pass
    monkeypatch.setattr(inception.urllib.request, 'urlopen', lambda url, timeout: Response())
    with pytest.raises(DataError, match='ended after 10 of 1000 bytes'):
        find_graph(url='http://example.org/a.tgz')
