"""Costs of a training step on a GPU, read off its graph on a machine that has none.

A graph does not give times. It gives operations without a GPU kernel, kernel launches, layout
transposes, all-reduces, and the kernels that XLA generates.

All functions take a `tf.types.experimental.ConcreteFunction` or the `GraphDef` of
`optimized_for_gpu`. Graphs are static: both branches of a cond count, the body of a loop counts
once, and a function called twice counts twice.
"""
import collections
import functools
import re

import tensorflow as tf

GPU, CPU = (f'/job:localhost/replica:0/task:0/device:{device}:0' for device in ('GPU', 'CPU'))

# Operations without a launch: they alias a buffer, or are part of the graph's structure.
# AssignVariableOp makes the variable share its operand's buffer; AssignAddVariableOp launches.
_ALIASES = frozenset(
    'AssignVariableOp Bitcast Const ControlTrigger DestroyResourceOp EnsureShape Enter Exit '
    'ExpandDims FakeParam HostConst Identity IdentityN LoopCond Merge NextIteration NoOp '
    'Placeholder PlaceholderWithDefault PreventGradient ReadVariableOp Reshape Snapshot Squeeze '
    'StopGradient Switch VarHandleOp _Arg _DeviceArg _DeviceRetval _Retval'.split())
_COLLECTIVES = re.compile(
    'Nccl|Collective(AllToAll|Bcast|Broadcast|Gather|Permute|Reduce|ReduceScatter)')
# HLO instructions that are not kernels. '-done' completes an instruction '-start'.
_NO_KERNELS = re.compile(
    'after-all|bitcast|constant|get-tuple-element|parameter|partition-id|replica-id|reshape|tuple|'
    '.*-done')


# ---------------------------------------------------------------- the graph as it is traced

def traced_nodes(function):
    """Number of nodes of a concrete function's graph and of its library, each function once."""
    graph_def = function.graph.as_graph_def()
    return len(graph_def.node) + sum(len(f.node_def) for f in graph_def.library.function)


def missing_gpu_kernels(function, pinned=False):
    """Operations that have no GPU kernel for the types they are used with.

    Kernels for any device ('DEFAULT') work on GPUs. So do those that keep small integers, such as
    shapes, in host memory. Functions that XLA compiles are not checked: XLA rejects what it cannot
    compile, on CPUs as well.

    Args:
        function: tf.types.experimental.ConcreteFunction.
        pinned: Also check operations that are pinned to a CPU. Use it for a step whose replicas
            are CPU devices.

    Returns:
        dict: operation and types, such as 'Conv2D(T=int16)', to the number of nodes.
    """
    graph_def = function.graph.as_graph_def()
    functions = _library(graph_def)
    missing = collections.Counter()
    for node, on_cpu in _executed(graph_def):
        structure = node.op in _ALIASES or _called(node, functions)
        if not structure and (pinned or not on_cpu) and _gpu_kernel(node) is None:
            missing[_signature(node)] += 1
    return dict(missing)


def collectives(function):
    """Counter of the collective operations of a concrete function by type, over all replicas."""
    graph_def = function.graph.as_graph_def()
    return collections.Counter(node.op for node, _ in _executed(graph_def, enter_compiled=True)
                               if _COLLECTIVES.match(node.op))


# ---------------------------------------------------------------- the graph that a GPU executes

def optimized_for_gpu(function, arch='9.0', layout=True):
    """GraphDef of a concrete function after Grappler, as on a machine with one NVIDIA GPU.

    Grappler runs with a virtual cluster, so that its GPU passes do their work. Operations that are
    pinned to a CPU stay there; all others are placed on the GPU.

    Grappler also asks whether TensorFloat-32 is on in this process. From '8.0' on, a lone float32
    convolution stays in NHWC if it is. The float32 training step at 1024x1024 is in NCHW anyway.

    Args:
        function: tf.types.experimental.ConcreteFunction of one replica.
        arch: Compute capability of the GPU: '7.0' for V100, '8.0' for A100, '9.0' for H100.
        layout: Let Grappler change the layout of convolutions, as it does by default.
    """
    # TensorFlow has no public way to run Grappler.
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph
    meta_graph = export_meta_graph(graph_def=function.graph.as_graph_def(), graph=function.graph)
    fetched = meta_graph.collection_def['train_op'].node_list.value
    fetched.extend(tensor.name for tensor in function.graph.outputs)
    fetched.extend(op.name for op in function.graph.control_outputs)
    _tell_shapes_of_variables(meta_graph.graph_def, function.graph)
    for node in meta_graph.graph_def.node:
        node.device = CPU if _device_type(node.device) == 'CPU' else GPU
    config = tf.compat.v1.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.min_graph_nodes = -1  # optimize small graphs too
    rewrite.layout_optimizer = rewrite.DEFAULT if layout else rewrite.OFF
    return tf_optimizer.OptimizeGraph(
        config, meta_graph, verbose=False, cluster=_virtual_cluster(arch))


def _tell_shapes_of_variables(graph_def, graph):
    """Make arguments of the placeholders of variables, as the runtime does.

    Arguments have attributes for the shape. Without it Grappler skips optimizations that need it,
    such as the fusion of a convolution with its bias.
    """
    from tensorflow.python.ops.handle_data_util import get_resource_handle_data
    handles = {tensor.op.name: get_resource_handle_data(tensor).shape_and_type
               for tensor in graph.inputs if tensor.dtype == tf.resource}
    for index, node in enumerate(graph_def.node):
        if handles.get(node.name):
            node.op = '_Arg'
            node.attr.clear()
            node.attr['index'].i = index
            node.attr['T'].type = tf.resource.as_datatype_enum
            for data in handles[node.name]:
                node.attr['_handle_dtypes'].list.type.append(data.dtype)
                node.attr['_handle_shapes'].list.shape.append(data.shape)


def _virtual_cluster(arch):
    """Grappler cluster of one CPU and one virtual GPU."""
    from tensorflow.core.protobuf import device_properties_pb2
    from tensorflow.python.grappler.cluster import Cluster
    gpu = device_properties_pb2.NamedDevice(name=GPU, properties=dict(
        type='GPU', vendor='NVIDIA', frequency=1700, num_cores=132, num_registers=65536,
        shared_memory_size_per_multiprocessor=228 * 1024, memory_size=70 * 2 ** 30,
        bandwidth=3_000_000_000,
        environment={'architecture': arch, 'cuda': '12050', 'cudnn': '9000'}))
    cpu = device_properties_pb2.NamedDevice(name=CPU, properties=dict(
        type='CPU', frequency=2000, num_cores=8, memory_size=60 * 2 ** 30))
    return Cluster(devices=[gpu, cpu])


def launches(graph_def):
    """Counter of the nodes that launch work on a GPU, by type of operation.

    All nodes count, except:

    - constants, arguments, reads and assignments of variables, and control flow;
    - aliases of a buffer: Identity, Reshape, ExpandDims, Squeeze, Bitcast, ...;
    - operations whose GPU kernel keeps all its results in host memory: Shape, Size, Range, and
      Pack, ConcatV2, AddV2, ... of int32. Cast and bitwise operations on int32 do launch;
    - operations without a GPU kernel, and those that are pinned to a CPU.

    A call of a function that XLA compiles counts as one, under the type of the call
    ('StatefulPartitionedCall' or 'PartitionedCall'), and its body does not. The nodes of other
    functions count wherever they are called, their calls do not.

    A node counts as one launch, though some take several (a reduction, a Slice of many axes) and
    some take none (a slice of whole rows). Copies between host and device do not count.
    """
    functions = _library(graph_def)
    return collections.Counter(
        node.op for node, on_cpu in _executed(graph_def)
        if not on_cpu and (_is_compiled(node) or _launches(node, functions)))


def _launches(node, functions):
    if node.op in _ALIASES or _called(node, functions):
        return False
    kernel = _gpu_kernel(node)
    return kernel is not None and not _stays_on_host(node, kernel)


def compiled_calls(graph_def):
    """Number of calls of functions that XLA compiles."""
    return sum(_is_compiled(node) for node, _ in _executed(graph_def))


def transposes(graph_def):
    """Number of Transpose nodes; most change the layout of a convolution's operand or result."""
    return sum(node.op == 'Transpose' for node, _ in _executed(graph_def))


def host_copies(graph_def):
    """Counter of copies between host and device memory, by the operations that they connect.

    Constants and arguments do not count. Use it on the result of `optimized_for_gpu`, as it does
    not enter functions.

    Returns:
        Counter: (operation that makes a tensor, operation that uses it) to the number of nodes.
    """
    nodes = {node.name: node for node in graph_def.node}
    copies = collections.Counter()
    for node in graph_def.node:
        tensors = [name for name in node.input if not name.startswith('^')]
        for number, (maker, _, output) in enumerate(name.partition(':') for name in tensors):
            maker = nodes[maker]
            is_given = maker.op in ('Const', 'HostConst', 'Placeholder', '_Arg')
            if not is_given and (_host_arguments(maker, 'output_arg')[int(output or 0)]
                                 != _host_arguments(node, 'input_arg')[number]):
                copies[maker.op, node.op] += 1
    return copies


def _host_arguments(node, kind):
    """Whether each of a node's arguments, 'input_arg' or 'output_arg', is in host memory."""
    kernel = _gpu_kernel(node)
    always = _device_type(node.device) == 'CPU' or kernel is None
    found = []
    for argument in getattr(_definition(node.op), kind):
        count = 1
        if argument.number_attr:
            count = node.attr[argument.number_attr].i
        elif argument.type_list_attr:
            count = len(node.attr[argument.type_list_attr].list.type)
        found += [always or argument.name in kernel.host_memory_arg] * count
    return found


# ---------------------------------------------------------------- what XLA compiles

def hlo_counts(jit_function, *args):
    """Counter of the kernels that XLA generates for a function on this CPU, by HLO operation.

    A proxy for the launches of a GPU, which fuses differently. Counted are the instructions of the
    entry computation of the optimized HLO ('fusion', 'convolution', 'dot', 'custom-call',
    'reduce', ...), except parameters, constants, tuples, reshapes and bitcasts.

    Args:
        jit_function: tf.function made with jit_compile=True.
        *args: Its arguments, tensors or `tf.TensorSpec`s.
    """
    return _count_kernels(_compiler_ir(jit_function, args, 'optimized_hlo'))


def stablehlo(jit_function, *args):
    """StableHLO text of a tf.function made with jit_compile=True, for these arguments."""
    return _compiler_ir(jit_function, args, 'stablehlo')


def _compiler_ir(jit_function, args, stage):
    return jit_function.experimental_get_compiler_ir(*args)(stage=stage)


def compiled_texts(function, stage='optimized_hlo'):
    """Texts of the functions that XLA compiles within a concrete function.

    Args:
        function: tf.types.experimental.ConcreteFunction that was traced in this process.
        stage: 'stablehlo', 'hlo' or 'optimized_hlo'.

    Returns:
        dict: name of each compiled function in the order of the first calls, to its text.
    """
    graph_def = function.graph.as_graph_def()
    functions = _library(graph_def)
    names = [name for node, _ in _executed(graph_def) if _is_compiled(node)
             for name in _called(node, functions)]
    return {name: _text_of_compiled(function, name, stage) for name in dict.fromkeys(names)}


def compiled_hlo_counts(function):
    """`hlo_counts` of each function that XLA compiles within a concrete function, by its name."""
    return {name: _count_kernels(text) for name, text in compiled_texts(function).items()}


def _text_of_compiled(function, name, stage):
    # experimental_get_compiler_ir needs a tf.function, but only traces of nested ones are kept.
    from tensorflow.python.eager import context
    graph = function.graph._functions[name].graph
    captured = [_value_of(tensor) for tensor in graph.external_captures]
    inputs = graph.inputs[:len(graph.inputs) - len(captured)]
    text = context.context().get_compiler_ir(
        device_name=CPU, platform_name=None, function_name=name, stage=stage,
        flat_args=[tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs],
        captured_inputs=captured)
    return text.decode()


def _value_of(tensor):
    """A captured input for XLA, which reads no values: zeros replace the tensors of a graph."""
    return tensor if hasattr(tensor, 'numpy') else tf.zeros(tensor.shape, tensor.dtype)


def _count_kernels(text):
    """Counter of the kernels in the entry computation of an HLO module."""
    computations = _computations(text)

    def count(name):
        kernels = collections.Counter()
        for operation, callee in computations[name]:
            if operation == 'call':  # the CPU compiler's way to run a kernel on several threads
                kernels += count(callee)
            elif not _NO_KERNELS.fullmatch(operation):
                kernels[operation] += 1
        return kernels
    return count('ENTRY')


def _computations(text):
    """HLO text as {computation: [(operation, computation that it calls or None)]}."""
    computations, current = {}, None
    for line in text.splitlines():
        if head := re.match(r'(ENTRY )?%?([\w.-]+) .*\{$', line):
            current = computations.setdefault('ENTRY' if head[1] else head[2], [])
        elif instruction := re.match(r'\s+(?:ROOT )?%?\S+ = (?:\(.*?\)|\S+) ([a-z][\w-]*)\(', line):
            callee = re.search(r'to_apply=%?([\w.-]+)', line)
            current.append((instruction[1], callee and callee[1]))
    return computations


# ---------------------------------------------------------------- nodes and their functions

def _library(graph_def):
    return {function.signature.name: function for function in graph_def.library.function}


def _executed(graph_def, enter_compiled=False):
    """Yield all nodes and whether each is on a CPU; the nodes of a function once for each call.

    The bodies of functions that XLA compiles are left out, unless `enter_compiled`.
    """
    functions = _library(graph_def)

    def visit(nodes, caller_on_cpu):
        for node in nodes:
            device = _device_type(node.device)
            on_cpu = device == 'CPU' if device else caller_on_cpu
            yield node, on_cpu
            if enter_compiled or not _is_compiled(node):
                for name in _called(node, functions):
                    yield from visit(functions[name].node_def, on_cpu)
    return visit(graph_def.node, False)


def _called(node, functions):
    """Names of the functions that a node calls: a call's own, branches, condition and body."""
    attributes = [value for _, value in sorted(node.attr.items())]
    named = [value.func.name for value in attributes if value.HasField('func')]
    listed = [func.name for value in attributes for func in value.list.func]
    return [name for name in [node.op, *named, *listed] if name in functions]


def _is_compiled(node):
    """Whether a node calls a function that XLA must compile."""
    return '_XlaMustCompile' in node.attr and node.attr['_XlaMustCompile'].b


@functools.cache
def _device_type(device):
    return tf.DeviceSpec.from_string(device).device_type


# ---------------------------------------------------------------- kernels

def _gpu_kernel(node):
    """KernelDef that a GPU executes a node with, None if there is none."""
    types = _types(node)
    label = node.attr['_kernel'].s.decode() if '_kernel' in node.attr else ''
    for device in ('GPU', 'DEFAULT'):
        for kernel in _kernels(node.op):
            if kernel.device_type == device and kernel.label == label and _accepts(kernel, types):
                return kernel
    return None


def _accepts(kernel, types):
    return all(set(types.get(constraint.name, ())) <= set(constraint.allowed_values.list.type)
               for constraint in kernel.constraint)


def _types(node):
    """Types that a node is used with: {'T': (tf.float32,), ...} as numbers of DataType."""
    definition = _definition(node.op)
    attributes = [(attribute.type, attribute.name) for attribute in definition.attr
                  if attribute.name in node.attr] if definition else []
    single = {name: (node.attr[name].type,) for kind, name in attributes if kind == 'type'}
    lists = {name: tuple(node.attr[name].list.type)
             for kind, name in attributes if kind == 'list(type)'}
    return {**single, **lists}


def _signature(node):
    named = [f'{name}={"|".join(tf.dtypes.as_dtype(number).name for number in numbers)}'
             for name, numbers in sorted(_types(node).items())]
    return f'{node.op}({", ".join(named)})'


def _stays_on_host(node, kernel):
    """Whether all results of a kernel are in host memory, or, if it has none, all operands."""
    definition = _definition(node.op)
    return ({argument.name for argument in definition.output_arg or definition.input_arg}
            <= set(kernel.host_memory_arg))


@functools.cache
def _kernels(op):
    from tensorflow.python.framework import kernels
    return list(kernels.get_registered_kernels_for_op(op).kernel)


@functools.cache
def _definition(op):
    from tensorflow.python.framework import op_def_registry
    return op_def_registry.get(op)
