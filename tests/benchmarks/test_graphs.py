"""benchmarks/graphs.py: counts of small functions agree with counts by hand."""
import pytest
import tensorflow as tf

from benchmarks import graphs

X = tf.TensorSpec([2, 8, 8, 3])
UNKNOWN = tf.TensorSpec([None, 4])


@pytest.fixture(scope='module')
def conv():
    """Function to make ConcreteFunctions of convolution, bias and ReLU in a type."""
    w, b = tf.Variable(tf.ones([3, 3, 3, 5])), tf.Variable(tf.ones([5]))

    def make(dtype=tf.float32):
        @tf.function(autograph=False)
        def layer(x):
            y = tf.nn.conv2d(x, tf.cast(w, dtype), 1, 'SAME')
            return tf.nn.relu(tf.nn.bias_add(y, tf.cast(b, dtype)))
        return layer.get_concrete_function(tf.TensorSpec(X.shape, dtype))
    return make


@pytest.fixture(scope='module')
def compiled():
    """A tf.function with a variable, for XLA: one convolution, and a ReLU and a sum to be fused."""
    w = tf.Variable(tf.ones([3, 3, 3, 5]))

    @tf.function(autograph=False, jit_compile=True)
    def layer(x):
        return tf.reduce_sum(tf.nn.relu(tf.nn.conv2d(x, w, 1, 'SAME')))
    return layer


def concrete(function, *specs):
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def traced_launches(function, *specs):
    """Launches of a graph as it is traced; Grappler does not rewrite what is counted by hand."""
    return dict(graphs.launches(concrete(function, *specs).graph.as_graph_def()))


def on_host(x):
    return tf.numpy_function(lambda value: value, [x], x.dtype)


# ---------------------------------------------------------------- nodes

def test_traced_nodes(conv):
    # x, two variables, their reads, Conv2D, BiasAdd, Relu, the result, and what waits for reads.
    assert graphs.traced_nodes(conv()) == 1 + 2 + 2 + 3 + 1 + 1


def test_traced_nodes_of_functions_called_count_once():
    double = tf.function(lambda x: x + x, autograph=False)
    # Outside: argument, two calls, the result. Inside: AddV2 and Identity, no argument.
    assert graphs.traced_nodes(concrete(lambda x: double(double(x)), X)) == 4 + 2


# ---------------------------------------------------------------- launches

def test_launches_of_a_convolution(conv):
    assert dict(graphs.launches(conv().graph.as_graph_def())) == dict(Conv2D=1, BiasAdd=1, Relu=1)


@pytest.fixture
def tf32():
    """Function that turns TensorFloat-32 on or off until the test ends."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    yield tf.config.experimental.enable_tensor_float_32_execution
    tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize('dtype, arch, layout, uses_tf32, launches', [
    # Without tensor cores for its type, a convolution moves to NCHW.
    (tf.float32, '8.0', True, False, dict(Transpose=2, _FusedConv2D=1)),
    (tf.float32, '8.0', True, True, dict(_FusedConv2D=1)),
    (tf.float32, '8.0', False, False, dict(_FusedConv2D=1)),
    (tf.bfloat16, '7.0', True, False, dict(Cast=2, Transpose=2, Conv2D=1, BiasAdd=1, Relu=1)),
    (tf.bfloat16, '9.0', True, False, dict(Cast=2, Conv2D=1, BiasAdd=1, Relu=1))])
def test_launches_after_grappler(conv, tf32, dtype, arch, layout, uses_tf32, launches):
    tf32(uses_tf32)
    graph_def = graphs.optimized_for_gpu(conv(dtype), arch, layout)
    assert dict(graphs.launches(graph_def)) == launches
    assert graphs.transposes(graph_def) == launches.get('Transpose', 0)


def test_aliases_and_shapes_launch_nothing():
    variable = tf.Variable(tf.zeros([4]))

    def function(x):
        size = tf.shape(x)[0] * 2  # Shape, StridedSlice, Mul and Pack of int32: on the host
        variable.assign(tf.identity(tf.squeeze(tf.expand_dims(x[0], 0), 0)))
        variable.assign_add(variable)
        return tf.reshape(x, [size, 2])[:, tf.newaxis] * tf.cast(size, tf.float32)
    assert traced_launches(function, UNKNOWN) == dict(
        StridedSlice=2, AssignAddVariableOp=1, Cast=1, Mul=1)


def test_the_kernel_that_a_gpu_chooses():
    """The GPU's own before that for any device, and the one on the host only if a node asks."""
    def function(x, order):
        permuted = [tf.raw_ops.DataFormatVecPermute(x=order) for _ in range(2)]
        permuted[0].op._set_attr('_kernel', tf.compat.v1.AttrValue(s=b'host'))
        return tf.unique(x), permuted
    assert traced_launches(function, tf.TensorSpec([3]), tf.TensorSpec([4], tf.int32)) == dict(
        Unique=1, DataFormatVecPermute=1)


def test_what_is_pinned_to_a_cpu_launches_nothing():
    square = tf.function(tf.square, autograph=False)

    def function(x):
        with tf.device('/CPU:0'):
            x = square(tf.sin(x))
        return tf.cos(x)
    assert traced_launches(function, X) == dict(Cos=1)
    after = graphs.optimized_for_gpu(concrete(function, X))
    assert dict(graphs.launches(after)) == dict(Cos=1)


def test_bodies_and_branches_count_for_each_call():
    inner = tf.function(lambda x: tf.sin(x) + 1, autograph=False)
    branches = lambda x: tf.cond(x[0, 0, 0, 0] > 0, lambda: inner(x), lambda: tf.cos(x))
    function = lambda x: inner(branches(x))
    assert traced_launches(function, X) == dict(StridedSlice=1, Greater=1, Sin=2, AddV2=2, Cos=1)


def test_compiled_functions_are_one_launch(compiled):
    outer = tf.function(lambda x: compiled(x * 2), autograph=False)
    function = concrete(lambda x: outer(x) + compiled(x), X)
    for graph_def in (function.graph.as_graph_def(), graphs.optimized_for_gpu(function)):
        assert dict(graphs.launches(graph_def)) == dict(Mul=1, AddV2=1, StatefulPartitionedCall=2)
        assert graphs.compiled_calls(graph_def) == 2


def test_host_copies():
    """TensorFlow computes with int32 on the host, and with int64 on the device."""
    def function(x):
        on_host, on_device = (tf.cast(x, dtype) for dtype in (tf.int32, tf.int64))
        with tf.device('/CPU:0'):
            y = tf.sin(x)
        numbers = tf.range(4)
        return (tf.gather(x, on_host * numbers), on_device * tf.cast(numbers, tf.int64),
                tf.concat([x, y], 0))
    found = graphs.host_copies(graphs.optimized_for_gpu(concrete(function, tf.TensorSpec([4]))))
    assert found == {('Cast', 'Mul'): 1, ('Mul', 'GatherV2'): 1, ('Sin', 'ConcatV2'): 1}


# ---------------------------------------------------------------- kernels

def test_no_kernel_is_missing(conv, compiled):
    def function(x):
        n = tf.shape(x)[0]
        parts = tf.concat([tf.range(n), tf.zeros([n], tf.int32)], 0)  # shapes, on the host
        return tf.cond(n > 1, lambda: tf.gather(x, parts), lambda: tf.reverse(x, [0]))
    assert graphs.missing_gpu_kernels(concrete(function, UNKNOWN)) == {}
    for dtype in (tf.float32, tf.float16, tf.bfloat16):
        assert graphs.missing_gpu_kernels(conv(dtype)) == {}
    assert graphs.missing_gpu_kernels(concrete(compiled, X)) == {}


def test_missing_kernels_are_found_wherever_they_are():
    nested = tf.function(on_host, autograph=False)

    def function(x):
        text = tf.strings.join(['a', 'b'])  # has no types
        x = tf.cond(x[0, 0] > 0, lambda: nested(x), lambda: tf.sin(x))
        return tf.cumsum(tf.cast(x, tf.uint16)), on_host(x), text
    assert graphs.missing_gpu_kernels(concrete(function, UNKNOWN)) == {
        'PyFunc(Tin=float32, Tout=float32)': 2, 'Cumsum(T=uint16, Tidx=int32)': 1,
        'StringJoin()': 1}


def test_missing_kernels_of_what_is_pinned_to_a_cpu():
    def function(x):
        with tf.device('/CPU:0'):
            return on_host(x)
    function = concrete(function, X)
    assert graphs.missing_gpu_kernels(function) == {}
    assert graphs.missing_gpu_kernels(function, pinned=True) == {
        'PyFunc(Tin=float32, Tout=float32)': 1}


# ---------------------------------------------------------------- XLA

def test_hlo_counts(compiled):
    assert graphs.hlo_counts(compiled, X) == dict(convolution=1, fusion=1)
    assert 'stablehlo.convolution' in graphs.stablehlo(compiled, X)


def test_compiled_functions_inside_a_function(compiled):
    scale = tf.Variable(2.0)

    def function(x):
        y = tf.sin(x)
        product = tf.function(lambda: tf.matmul(y, y, transpose_b=True) * scale,
                              autograph=False, jit_compile=True)  # y is a capture, no argument
        branch = lambda: tf.reduce_sum(product()) + compiled(x) + compiled(x)
        return tf.cond(x[0, 0, 0, 0] > 0, branch, lambda: 0.0)
    counts = graphs.compiled_hlo_counts(concrete(function, X))
    assert sorted(counts.values(), key=str) == [
        dict(convolution=1, fusion=1), dict(dot=1, fusion=1)]


def test_kernels_of_hlo_by_hand():
    text = """HloModule m, entry_computation_layout={(f32[2]{0})->(f32[2]{0}, f32[])}

%fused (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %add.1 = f32[2]{0} add(%p, %p)
}

%parallel.1 (q: f32[2]) -> f32[2] {
  %q = f32[2]{0} parameter(0)
  ROOT %fusion.1 = f32[2]{0} fusion(%q), kind=kLoop, calls=%fused
}

ENTRY %main.9 (x: f32[2]) -> (f32[2], f32[]) {
  %x = f32[2]{0} parameter(0), metadata={op_name="a = b add(c)"}
  %zero = f32[] constant(0)
  %call.1 = f32[2]{0} call(%x), to_apply=%parallel.1
  %sort = (f32[2]{0}, /*index=1*/s32[2]{0}) sort(%call.1, %x), dimensions={0}, to_apply=%parallel.1
  %first = f32[2]{0} get-tuple-element(%sort), index=0
  %copy-start = (f32[2]{0}, f32[2]{0}, u32[]) copy-start(%first)
  %copy-done = f32[2]{0} copy-done(%copy-start)
  %reduce.1 = f32[] reduce(%copy-done, %zero), dimensions={0}, to_apply=%parallel.1
  ROOT %out = (f32[2]{0}, f32[]) tuple(%call.1, %reduce.1)
}
"""
    assert graphs._count_kernels(text) == {'fusion': 1, 'sort': 1, 'copy-start': 1, 'reduce': 1}


# ---------------------------------------------------------------- replicas

def test_collectives_of_two_replicas():
    strategy = tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])

    def on_each(x):
        context = tf.distribute.get_replica_context()
        return context.all_reduce('sum', x * 2), context.all_reduce('sum', x + 1)
    function = concrete(lambda x: strategy.run(on_each, [x]), X)
    assert graphs.collectives(function) == dict(CollectiveReduceV2=4)
    assert graphs.missing_gpu_kernels(function, pinned=True) == {}


def test_collectives_inside_a_compiled_function():
    @tf.function(autograph=False, jit_compile=True)
    def reduced(x):
        return tf.raw_ops.CollectiveReduceV2(
            input=x, group_size=2, group_key=1, instance_key=1, ordering_token=[],
            merge_op='Add', final_op='Id')
    assert graphs.collectives(concrete(reduced, X)) == dict(CollectiveReduceV2=1)


def test_collectives_of_one_device(conv):
    assert graphs.collectives(conv()) == {}
