"""Small frozen graph with the tensors of Inception-2015-12-05 and, like it, with operations that
later versions removed.
"""
import io
import tarfile

import numpy as np

FEATURES, CLASSES = 6, 5
GRAPH_FILE = 'classify_image_graph_def.pb'


def weights():
    r = np.random.RandomState(0)
    return dict(kernel=r.randn(3, 3, 3, FEATURES).astype(np.float32) / 200,
                moving_mean=r.randn(FEATURES).astype(np.float32),
                moving_variance=r.rand(FEATURES).astype(np.float32) + 1,
                beta=r.randn(FEATURES).astype(np.float32), gamma=np.ones(FEATURES, np.float32),
                **{'softmax/weights': r.randn(FEATURES, CLASSES).astype(np.float32)
                   }, **{'softmax/biases': r.randn(CLASSES).astype(np.float32) * 3})


def _node(graph_def, name, op, inputs=(), **attributes):
    import tensorflow as tf
    node = graph_def.node.add()
    node.name, node.op = name, op
    node.input.extend(inputs)
    for key, value in attributes.items():
        attribute = node.attr[key]
        if isinstance(value, np.ndarray):
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value))
        elif isinstance(value, bool):
            attribute.b = value
        elif isinstance(value, float):
            attribute.f = value
        elif isinstance(value, bytes):
            attribute.s = value
        elif isinstance(value, list):
            attribute.list.i.extend(value)
        else:
            attribute.type = value.as_datatype_enum


def graph_bytes(size=8, without=None):
    """Graph for images of one size, with one image as input as in the original; `without` omits a
    node.
    """
    import tensorflow as tf
    f, i, graph_def = tf.float32, tf.int32, tf.compat.v1.GraphDef()
    for name, value in weights().items():
        _node(graph_def, name, 'Const', dtype=f, value=value)
    _node(graph_def, 'image', 'Const', dtype=f, value=np.zeros([size, size, 3], np.float32))
    _node(graph_def, 'axis', 'Const', dtype=i, value=np.array(0, np.int32))
    _node(graph_def, 'ExpandDims', 'ExpandDims', ['image', 'axis'], T=f, Tdim=i)
    _node(graph_def, 'conv', 'Conv2D', ['ExpandDims', 'kernel'], T=f, strides=[1, 1, 1, 1],
          padding=b'SAME')
    _node(graph_def, 'batchnorm', 'BatchNormWithGlobalNormalization',
          ['conv', 'moving_mean', 'moving_variance', 'beta', 'gamma'], T=f, variance_epsilon=0.001,
          scale_after_normalization=False)
    _node(graph_def, 'relu', 'Relu', ['batchnorm'], T=f)
    _node(graph_def, 'pool_3', 'AvgPool', ['relu'], T=f, ksize=[1, size, size, 1],
          strides=[1, 1, 1, 1], padding=b'VALID')
    _node(graph_def, 'shape', 'Const', dtype=i, value=np.array([1, FEATURES], np.int32))
    _node(graph_def, 'pool_3/_reshape', 'Reshape', ['pool_3', 'shape'], T=f, Tshape=i)
    _node(graph_def, 'softmax/logits/MatMul', 'MatMul', ['pool_3/_reshape', 'softmax/weights'], T=f)
    _node(graph_def, 'softmax/logits', 'BiasAdd', ['softmax/logits/MatMul', 'softmax/biases'], T=f)
    _node(graph_def, 'softmax', 'Softmax', ['softmax/logits'], T=f)
    graph_def.versions.producer = 8  # The last version with BatchNormWithGlobalNormalization.
    kept = [node for node in graph_def.node if node.name != without]
    del graph_def.node[:]
    graph_def.node.extend(kept)
    return graph_def.SerializeToString()


def expected(images):
    """(features, probabilities) of uint8 [N, 3, H, W], float64, computed with NumPy."""
    w = {name: value.astype(np.float64) for name, value in weights().items()}
    n, _, height, width = images.shape
    x = np.pad(images.transpose(0, 2, 3, 1).astype(np.float64), [(0, 0), (1, 1), (1, 1), (0, 0)])
    y = sum(x[:, dy:dy + height, dx:dx + width] @ w['kernel'][dy, dx] for dy in range(3)
            for dx in range(3))
    y = (y - w['moving_mean']) / np.sqrt(w['moving_variance'] + 0.001) + w['beta']
    features = np.maximum(y, 0).mean(axis=(1, 2))
    logits = np.exp(features @ w['softmax/weights'])
    return features, logits / logits.sum(axis=1, keepdims=True)


def archive_bytes(graph, name=GRAPH_FILE):
    """.tgz in the format of the original: the graph among other files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        for member, data in (('LICENSE', b'x'), (name, graph)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()
