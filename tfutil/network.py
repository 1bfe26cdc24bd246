"""Network: variables of a build function, with evaluation, cloning, averaging and pickling.

A build function such as `networks.G_paper` creates the Keras model inside; the docstring of
`networks` lists what a model must provide. The public interface uses NCHW and NumPy. The `lod` is a
variable, and only the layers that it needs are evaluated.
"""
import contextlib
import contextvars
import importlib
import inspect
import os
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, SupportsIndex, TypeAlias, TypeVar

import numpy as np
import tensorflow as tf

from pgan.errors import ConfigError, DataError, UnknownFunctionError, did_you_mean
from pgan.options import with_defaults
from tfutil import export, ops
from tfutil.context import holding
from tfutil.evaluation import DType, Evaluation, OutputOptions
from tfutil.objects import (
    EXPECTED_OF_BUILD_FUNCTIONS,
    expect_tensorflow2,
    import_obj,
    missing_in_tensorflow2,
)
from tfutil.runtime import expect_eager
from tfutil.stages import Stage

BuildFunction = TypeVar('BuildFunction', bound=Callable[..., Any])  # returns a Keras model
# Name, output shape whose first entry is None, and trainable variables.
LayerRow: TypeAlias = tuple[str, list[int | None] | None, list[tf.Variable]]

# Functions that may rewrite a pickled state before it is used: state -> state. They convert old
# formats.
network_import_handlers: list[Callable[[dict[str, Any]], dict[str, Any]]] = []

# Whether unpickling may execute the source code in a snapshot of a user-defined network. See
# misc.load_pkl.
TRUST_SOURCE: contextvars.ContextVar[bool] = contextvars.ContextVar('TRUST_SOURCE', default=False)

# Build functions that a pickled state may name: (module, function) -> function. For security, a
# pickle cannot call arbitrary functions by name: a user's function must be marked with
# @build_function or have built a network in this process.
_known_functions: dict[tuple[str, str], Callable[..., Any]] = {}

# The program's own functions, which a state names without their module.
STOCK_FUNCTIONS = {
    'G_paper': 'networks.G_paper', 'D_paper': 'networks.D_paper', 'dummy': 'legacy.dummy',
    'G_mnist_mode_recovery': 'networks.G_mnist_mode_recovery',
    'D_mnist_mode_recovery': 'networks.D_mnist_mode_recovery'
}
# lets the original program load our snapshots, as its module has the same name
STOCK_SOURCE = 'from networks import *\n'


def build_function(func: BuildFunction) -> BuildFunction:
    """Mark a user-defined function as a build function.

    Snapshots that name it can be loaded once its module is imported.
    """
    _known_functions[func.__module__, func.__name__] = func
    return func


class PortableArray(np.ndarray):
    """Array that pickles as numpy.ndarray(shape, dtype, bytes).

    The pickle refers to no private NumPy path, so every NumPy version can read it.
    """

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple:
        array = np.ascontiguousarray(self)
        return np.ndarray, (self.shape, array.dtype.str, array.tobytes())


class Network:
    """Named model of a build function.

    Args:
        name: any string, e.g. 'G'.
        func: dotted name of the build function, e.g. 'networks.G_paper', or the function itself.
        static_kwargs: keywords of the build function; pickled with the network.

    Attributes:
        name, static_kwargs: as given.
        num_inputs, num_outputs, input_names, output_names, input_shapes, output_shapes: lists; a
            shape's first entry is None.
        input_shape, output_shape: the first of each.
        vars, trainables: dicts of local name ('4x4/Conv/weight') to tf.Variable, in pickling order.

    Raises:
        ConfigError: there is no such function, or it rejects the keywords.
    """

    def __init__(self, name: str | None = None, func: str | Callable | None = None,
                 **static_kwargs: Any):
        if func is None:
            raise ConfigError(f'network {name!r} has no build function: pass '
                              "func='networks.G_paper', or your own.")
        build_func = build_function(import_obj(func) if isinstance(func, str) else func)
        self._create(name, build_func, static_kwargs)

    def _create(self, name: str | None, build_func: Callable[..., Any],
                static_kwargs: Mapping[str, Any]) -> None:
        expect_eager()
        expect_tensorflow2(f'network {name!r}', build_func)
        self.name = name
        self.static_kwargs = dict(static_kwargs)
        self._build_func = build_func
        try:
            with _fresh_layer_names():
                self.model = build_func(**static_kwargs)
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f'network {name!r}: {build_func.__name__} cannot be built: {error}') from error
        except AttributeError as error:
            missing = missing_in_tensorflow2(error)
            if missing is None:
                raise
            raise ConfigError(f'network {name!r}: {build_func.__name__} uses {missing}, '
                              'which TensorFlow 2 does not have. '
                              f'{EXPECTED_OF_BUILD_FUNCTIONS}') from error
        self._describe()
        self._evaluation = Evaluation(self)

    def _describe(self):
        model = self.model
        if not hasattr(model, 'inputs') or not hasattr(model, 'outputs'):
            raise ConfigError(f'network {self.name!r}: {self._build_func.__name__} returns a '
                              f'{type(model).__name__}. {EXPECTED_OF_BUILD_FUNCTIONS}')
        self.input_names, self.input_shapes = _names_and_shapes(model.inputs)
        self.output_names, self.output_shapes = _names_and_shapes(model.outputs)
        self.num_inputs = len(self.input_names)
        self.num_outputs = len(self.output_names)
        self.input_shape = self.input_shapes[0]
        self.output_shape = self.output_shapes[0]
        self.vars = {self._local_path(v.path): v.value for v in model.variables}
        trainable = {self._local_path(v.path) for v in model.trainable_variables}
        self.trainables = {name: var for name, var in self.vars.items() if name in trainable}
        self._grows = 'stage' in inspect.signature(model.call).parameters

    def _local_path(self, path):
        prefix = self.model.name + '/'
        return path[len(prefix):] if path.startswith(prefix) else path

    # ------------------------------------------------------------ variables

    def find_var(self, name_or_var: str | tf.Variable) -> tf.Variable:
        """Return the variable with a local name; a variable is returned as is."""
        if not isinstance(name_or_var, str):
            return name_or_var
        if name_or_var not in self.vars:
            raise ConfigError(f'network {self.name!r} has no variable '
                              f'{name_or_var!r}.{did_you_mean(name_or_var, self.vars)}')
        return self.vars[name_or_var]

    def get_var(self, name_or_var: str | tf.Variable) -> np.ndarray:
        """Return a variable's value as a NumPy array."""
        return self.find_var(name_or_var).numpy()

    def set_var(self, name_or_var: str | tf.Variable, value: np.ndarray | float) -> None:
        """Set a variable from an array or number."""
        self.find_var(name_or_var).assign(value)

    def get_var_localname(self, var: tf.Variable) -> str:
        """Return the local name of one of this network's variables.

        Kept from the original's interface; unused here, like the next two methods and
        `copy_trainables_from`.
        """
        return next(name for name, own in self.vars.items() if own is var)

    def reset_vars(self) -> None:
        """Reinitialize all variables."""
        self._copy(self._rebuilt(self.name), self.vars)

    def reset_trainables(self) -> None:
        """Reinitialize the trainable variables."""
        self._copy(self._rebuilt(self.name), self.trainables)

    def copy_vars_from(self, src: 'Network') -> None:
        """Copy all variables of a network with the same variable names."""
        self._copy(src, self.vars)

    def copy_trainables_from(self, src: 'Network') -> None:
        """Copy the trainable variables of a network with the same variable names."""
        self._copy(src, self.trainables)

    def _copy(self, src, names):
        for name in names:
            self.vars[name].assign(src.find_var(name))

    @property
    def lod(self) -> float | None:
        """Current level of detail; None for a network that does not grow."""
        if 'lod' not in self.vars:
            return None
        with tf.init_scope():  # also while a step is compiled
            return float(self.vars['lod'].numpy())

    @property
    def activation_dtype(self) -> str:
        """Type of the activations: the build function's option `dtype`, or float32 without it."""
        return with_defaults(self._build_func, self.static_kwargs).get('dtype', 'float32')

    @property
    def gives_native_images(self) -> bool:
        """Whether a generator can return images at a stage's own resolution.

        It can if it grows, its structure is not 'linear' and its model's `call` takes `native`.
        """
        return self.stage is not None and 'native' in inspect.signature(self.model.call).parameters

    @property
    def stage(self) -> Stage | None:
        """Growth stage of the current lod; None if all layers are evaluated."""
        if not self._grows or self.lod is None or self.static_kwargs.get('structure') == 'linear':
            return None
        return Stage.of(self.lod, self.model.resolution)

    # ------------------------------------------------------------ copies

    def _rebuilt(self, name: str | None) -> 'Network':
        """Return a newly initialized network of the same build function and keywords."""
        network = object.__new__(type(self))
        network._create(name, self._build_func, self.static_kwargs)
        return network

    def clone(self, name: str | None = None) -> 'Network':
        """Return a copy: a new network with the same build function, keywords and values."""
        network = self._rebuilt(name or self.name)
        network.copy_vars_from(self)
        return network

    def convert(self, name: str | None = None, func: str | Callable | None = None,
                **static_kwargs: Any) -> 'Network':
        """Return a network of another build function, with the values of all common variables.

        Args:
            name: name of the new network; None = this network's.
            func: build function or its dotted name; None = this network's.
            static_kwargs: keywords to change; the others are this network's.
        """
        network = type(self)(name or self.name, func or self._build_func,
                             **{**self.static_kwargs, **static_kwargs})
        for local_name, var in network.vars.items():
            if local_name in self.vars and self.vars[local_name].shape == var.shape:
                var.assign(self.vars[local_name])
        return network

    def setup_as_moving_average_of(self, src: 'Network', beta: float = 0.99,
                                   beta_nontrainable: float = 0.0) -> Callable[[], None]:
        """Return a function that moves this network one step towards `src`.

        A step is new = lerp(src, own, beta) for each variable.

        Args:
            src: the network to follow; it must have the same variables.
            beta: decay per step of the trainable variables.
            beta_nontrainable: decay of the others; 0 copies them, so the lod follows.
        """
        @tf.function(autograph=False)
        def update():
            for name, var in self.vars.items():
                decay = beta if name in self.trainables else beta_nontrainable
                var.assign(ops.lerp(src.vars[name], var, decay) if decay else src.vars[name])
        return update

    # ------------------------------------------------------------ evaluation

    def get_output_for(
            self, *inputs: tf.Tensor | None, stage: Stage | Literal['current'] | None = 'current',
            return_as_list: bool = False, **dynamic_kwargs: Any
    ) -> tf.Tensor | list[tf.Tensor] | tuple[tf.Tensor, ...]:
        """Evaluate on tensors, eagerly or inside a tf.function.

        The result is differentiable in the inputs and the variables.

        Args:
            inputs: tensors in the order of `input_names`. A zero-width input may be None, or left
                out at the end.
            stage: the growth stage to evaluate; None evaluates every layer. 'current' follows the
                variable lod. Outside a tf.function it evaluates the layers that the lod needs.
                Inside one, where the lod may change after tracing, it evaluates every layer.
            return_as_list: return a list, even of one output.
            dynamic_kwargs: options passed to the model if it takes them, e.g. native=True.
                is_training is also passed as Keras's `training`. Others are ignored.

        Returns:
            One tensor, or a tuple (list with return_as_list) in the order of `output_names`.
        """
        expect_eager()
        options = self.known_options(dynamic_kwargs)
        if self._grows:
            if stage == 'current':
                stage = self.stage if tf.executing_eagerly() else None
            options['stage'] = stage
        tensors = self._complete([None if x is None else tf.convert_to_tensor(x) for x in inputs])
        outputs = self.model(*([tensors] if self._takes_list() else tensors), **options)
        outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        if return_as_list:
            return outputs
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def at_stage(self, stage: Stage | None, **dynamic_kwargs: Any) -> 'NetworkAtStage':
        """Return a view of this network with the stage and options such as native=True fixed.

        A compiled training step passes such views to the losses.
        """
        return NetworkAtStage(self, dict(stage=stage, **dynamic_kwargs))

    def _takes_list(self):
        """Functional Keras models take their inputs as one list."""
        return self.num_inputs > 1 and hasattr(self.model, 'operations')

    def known_options(self, dynamic_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the model takes; is_training counts as Keras's `training`."""
        known = inspect.signature(self.model.call).parameters
        if 'is_training' in dynamic_kwargs:
            dynamic_kwargs = {'training': dynamic_kwargs['is_training'], **dynamic_kwargs}
        return {name: value for name, value in dynamic_kwargs.items() if name in known}

    def _complete(self, inputs):
        """Fill in zero-width inputs (labels of an unconditional network) that are missing or None.

        Raises:
            ConfigError: the number of inputs is wrong, or another input is missing.
        """
        missing = [None] * (self.num_inputs - len(inputs))
        if len(inputs) > self.num_inputs:
            raise ConfigError(f'{self._takes()}. Received: {len(inputs)}.')
        completed = []
        for name, shape, x in zip(self.input_names, self.input_shapes, [*inputs, *missing]):
            if x is None:
                self._expect_optional(name, shape)
                x = tf.zeros([tf.shape(completed[0])[0], *shape[1:]], completed[0].dtype)
            completed.append(x)
        return completed

    def _expect_optional(self, name, shape):
        """Raise ConfigError if a missing input is not zero-width."""
        if 0 in shape:
            return
        wanted = f'an array of shape {["N", *shape[1:]]}'
        if name.startswith('labels'):
            wanted += (f'; one-hot labels of the first three classes: np.eye({shape[-1]})[[0, 1, '
                       '2]]; np.zeros for no class')
        raise ConfigError(f'{self._takes()}, and {name!r} is missing. Expected {wanted}.')

    def _takes(self):
        return (f'network {self.name!r} takes {self.num_inputs} inputs '
                f'({", ".join(self.input_names)})')

    def run(self, *in_arrays: np.ndarray | None, return_as_list: bool = False,
            print_progress: bool = False, minibatch_size: int | None = None, num_gpus: int = 1,
            out_mul: float = 1.0, out_add: float = 0.0, out_shrink: int = 1,
            out_dtype: DType | None = None,
            **dynamic_kwargs: Any) -> np.ndarray | list[np.ndarray] | tuple[np.ndarray, ...]:
        """Evaluate on NumPy arrays, minibatch by minibatch.

        Args:
            in_arrays: arrays in the order of `input_names`; zero-width labels may be None or left
                out.
            return_as_list: return a list, even of one output.
            print_progress: show a progress bar.
            minibatch_size: samples per evaluation; None = all at once. Layers that compare samples
                (minibatch stddev) see one minibatch.
            num_gpus: split each minibatch into this number of shares, evaluated in parallel on this
                machine's devices. Layers that compare samples then see one share.
            out_mul, out_add: multiply the outputs, then add.
            out_shrink: then average boxes of this many pixels across and down; incomplete boxes at
                the right and lower edges are dropped.
            out_dtype: then convert; integer types are rounded half to even and saturated.
            dynamic_kwargs: see `get_output_for`.

        Returns:
            One float32 array (or out_dtype), or a tuple (list with return_as_list).

        Raises:
            ConfigError: an array has the wrong shape, or an option is invalid.
        """
        expect_eager()
        given = [None if x is None else np.asarray(x, np.float32) for x in in_arrays]
        inputs = [np.asarray(x) for x in self._complete(given)]
        output = OutputOptions(out_mul, out_add, out_shrink, out_dtype)
        outputs = self._evaluation.run(inputs, output, dynamic_kwargs, num_gpus=num_gpus,
                                       minibatch_size=minibatch_size, print_progress=print_progress)
        if return_as_list:
            return outputs
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    # ------------------------------------------------------------ listings

    def __repr__(self) -> str:
        if 'model' not in vars(self):
            return '<Network, not built>'
        parameters = sum(int(np.prod(var.shape)) for var in self.trainables.values())
        inputs, outputs = (
            ', '.join(f'{name} {_shape_text(shape)}' for name, shape in zip(names, shapes))
            for names, shapes in ((self.input_names, self.input_shapes),
                                  (self.output_names, self.output_shapes)))
        lod = '' if self.lod is None else f', lod {self.lod:g}'
        return (f'<Network {self.name!r} of {self._build_func.__module__}.'
                f'{self._build_func.__name__}: {inputs} -> {outputs}; {parameters:,} '
                f'parameters{lod}>')

    def list_layers(self) -> list[LayerRow]:
        """Return the rows of inputs, layers and outputs that `print_layers` shows.

        Returns:
            List of (name, output shape whose first entry is None, trainable variables). An unknown
            shape is None.
        """
        rows: list[LayerRow] = [
            (name, shape, []) for name, shape in zip(self.input_names, self.input_shapes)]
        if 'lod' in self.vars:
            rows.append(('lod', [], []))
        for name, shape in self._layer_rows():
            rows.append((name, shape and [None, *shape],
                         [v for n, v in self.trainables.items() if n.startswith(name + '/')]))
        return rows + [(name, shape, [])
                       for name, shape in zip(self.output_names, self.output_shapes)]

    def _layer_rows(self):
        if hasattr(self.model, 'layer_rows'):
            return self.model.layer_rows()
        if hasattr(self.model, 'operations'):  # a functional Keras model knows its layers' outputs
            return [(layer.name, list(layer.output.shape[1:])) for layer in self.model.layers
                    if layer.weights]
        layers = (name.rpartition('/')[0] for name in self.trainables)
        return [(name, None) for name in dict.fromkeys(layers)]

    def print_layers(self, title: str | None = None) -> None:
        """Print a table of layers: parameters, output shape (NCHW), weight shape."""
        def line(*columns):
            print(''.join(f'{text:<{width}}' for text, width in zip(columns, (28, 12, 24, 24))))
        print()
        line(title or self.name, 'Params', 'OutputShape', 'WeightShape')
        line(*['---'] * 4)
        for name, shape, variables in self.list_layers():
            params = sum(int(np.prod(v.shape)) for v in variables)
            weights = [v.shape for v in variables if len(v.shape) > 1]
            line(name, params or '-', _shape_text(shape),
                 _shape_text(weights[0]) if len(weights) == 1 else '-')
        line(*['---'] * 4)
        line('Total', sum(int(np.prod(v.shape)) for v in self.trainables.values()), '', '')
        print()

    def setup_weight_histograms(self, title: str | None = None) -> list[tuple[str, np.ndarray]]:
        """Return (tag, values) of every weight, for `SummaryWriter.histogram`."""
        title = title or self.name
        return [(f'{title}/{name}', var.numpy()) for name, var in self.trainables.items()
                if len(var.shape) > 1]

    # ------------------------------------------------------------ export

    def export(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Export this network at its current lod, for use without this program.

        Inputs and outputs have the names and shapes of `input_names`, `output_names` and so on:
        NCHW, float32, any minibatch size. Zero-width ones, such as the labels of an unconditional
        network, are left out.

        Args:
            path: path of an ONNX file if it ends in '.onnx', which needs the package tf2onnx;
                otherwise folder of a SavedModel.
            overwrite: replace an existing file or SavedModel.

        Raises:
            DataError: the path exists or cannot be written.
            ConfigError: tf2onnx is not installed.
        """
        export.export(self, path, overwrite)

    def save_weights(self, path: str | os.PathLike) -> None:
        """Write all variables as an .npz file: arrays by local name, e.g. '4x4/Conv/weight'.

        Read it with np.load or `load_weights`.
        """
        export.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike) -> None:
        """Set all variables from an .npz file of `save_weights`.

        Raises:
            DataError: the file cannot be read, or its variables differ from this network's. No
                variable is changed then.
        """
        export.load_weights(self, path)

    # ------------------------------------------------------------ pickling

    def __getstate__(self):
        func, func_name = self._build_func, self._build_func.__name__
        stock = func_name in STOCK_FUNCTIONS and import_obj(STOCK_FUNCTIONS[func_name]) is func
        variables = [(name, np.asarray(var.numpy()).view(PortableArray))
                     for name, var in self.vars.items()]
        state = dict(version=2, name=self.name, static_kwargs=self.static_kwargs,
                     build_module_src=STOCK_SOURCE if stock else _module_source(func),
                     build_func_name=func_name, variables=variables)
        return state if stock else dict(state, build_module_name=func.__module__)

    def __setstate__(self, state):
        for handler in network_import_handlers:
            state = handler(state)
        _check_state(state)
        self._create(state['name'], _find_build_func(state), state['static_kwargs'])
        for name, value in state['variables']:
            var = self.find_var(name)
            value = np.asarray(value)
            if tuple(value.shape) != tuple(var.shape):
                raise DataError(f'snapshot of network {self.name!r}: variable {name!r} has shape '
                                f'{value.shape}, its build function makes {tuple(var.shape)}. The '
                                'build function has changed since the snapshot was written.')
            var.assign(value)
        missing = set(self.vars) - {name for name, _ in state['variables']}
        if missing:
            raise DataError(f'snapshot of network {self.name!r} lacks the variables '
                            f'{sorted(missing)}. The build function has changed since the '
                            'snapshot was written.')


Network.__module__ = 'tfutil'  # the class path in snapshots


class NetworkAtStage:
    """View of a network with stage and options fixed; all other attributes are the network's.

    Args:
        network: the network.
        options: keywords of `Network.get_output_for`, including 'stage'.

    Attributes:
        chosen_stage: the stage; None evaluates every layer.
    """

    def __init__(self, network: Network, options: dict[str, Any]):
        self._network = network
        self._options = options
        self.chosen_stage = options['stage']

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def get_output_for(self, *inputs: tf.Tensor,
                       **kwargs: Any) -> tf.Tensor | list[tf.Tensor] | tuple[tf.Tensor, ...]:
        """Call `Network.get_output_for` with the fixed stage and options."""
        return self._network.get_output_for(*inputs, **{**kwargs, **self._options})


def defined_by_its_class(model: Any, name: str) -> bool:
    """Whether a model's own class defines an attribute.

    An inherited one may not be valid for the layers that the class adds.
    """
    return name in vars(type(model))


def trusting_source(trust: bool = True) -> contextlib.AbstractContextManager[bool]:
    """Allow or forbid, in the block, executing source code in snapshots while unpickling."""
    return holding(TRUST_SOURCE, trust)


# ---------------------------------------------------------------- helpers

@contextlib.contextmanager
def _fresh_layer_names():
    """Restart Keras's numbering of unnamed layers in the block.

    Keras numbers unnamed layers per process (dense, dense_1, ...), and variables are named after
    layers. Without this, a clone or a snapshot of a network with unnamed layers would have other
    variable names.
    """
    # The public interface of Keras can only clear all of its state.
    from keras.src.backend.common import global_state
    saved = global_state.get_global_attribute('object_name_uids')
    global_state.set_global_attribute('object_name_uids', None)
    try:
        yield
    finally:
        global_state.set_global_attribute('object_name_uids', saved)


def _names_and_shapes(tensors):
    tensors = tensors if isinstance(tensors, (list, tuple)) else [tensors]
    return [t.name for t in tensors], [ops.shape_to_list(t.shape) for t in tensors]


def _shape_text(shape):
    """Return a shape for tables, e.g. '(?, 16, 4, 4)', where '?' is the minibatch axis."""
    if shape is None:
        return '-'
    sizes = ['?' if size is None else str(size) for size in shape]
    return f'({sizes[0]},)' if len(sizes) == 1 else f'({", ".join(sizes)})'


def _module_source(func):
    try:
        return inspect.getsource(sys.modules[func.__module__])
    except (OSError, TypeError, KeyError):
        return ''  # defined interactively: the snapshot can be read only where the function exists


def _check_state(state):
    needed = {'version', 'name', 'static_kwargs', 'build_module_src', 'build_func_name',
              'variables'}
    if not isinstance(state, dict) or not needed <= set(state):
        found = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise DataError(f'not the state of a network: expected the keys {sorted(needed)}. '
                        f'Received: {found}.')
    if state['version'] != 2:
        raise DataError(f"network {state['name']!r} has state version {state['version']!r}; this "
                        'program reads version 2.')


def _find_build_func(state):
    """Return the build function that a state names.

    It is the program's own for the stock networks, else one known in this process, else, if source
    is trusted, that of the named module or of the source code in the state.
    """
    name, module_name = state['build_func_name'], state.get('build_module_name', 'networks')
    if name in STOCK_FUNCTIONS and module_name == 'networks':
        return import_obj(STOCK_FUNCTIONS[name])
    if (module_name, name) in _known_functions:
        return _known_functions[module_name, name]
    if not TRUST_SOURCE.get():
        raise UnknownFunctionError(
            f"network {state['name']!r} is built by {name!r} of module {module_name!r}, which is "
            'not known here. Import that module first, with the function marked '
            '@tfutil.build_function; or, if you trust the origin of the file, load it with '
            'misc.load_pkl(path, trust_source=True), which imports the module or executes the '
            'source code inside the file.', f'{module_name}.{name}')
    with contextlib.suppress(ImportError, AttributeError):
        return getattr(importlib.import_module(module_name), name)
    module = types.ModuleType(f'_snapshot_{state["name"]}')
    sys.modules[module.__name__] = module
    exec(compile(state['build_module_src'], module.__name__, 'exec'), module.__dict__)
    return getattr(module, name)
