"""Foundation of the program: networks with a lod, the optimizer, running statistics."""
import pgan  # noqa: F401 -- before TensorFlow: it sets Keras's backend
from tfutil.event_file import SummaryWriter
from tfutil.network import (
    Network,
    NetworkAtStage,
    PortableArray,
    build_function,
    network_import_handlers,
    trusting_source,
)
from tfutil.objects import call_func_by_name, find_obj_in_module, import_module, import_obj
from tfutil.ops import exp2, flatten, fp32, is_tf_expression, lerp, lerp_clip, log2, shape_to_list
from tfutil.optimizer import Optimizer
from tfutil.runtime import create_session, init_tf, init_uninited_vars, run, set_vars
from tfutil.stages import Stage
from tfutil.summary import autosummary, finalize_autosummaries, save_summaries

__all__ = [
    'Network', 'NetworkAtStage', 'Optimizer', 'PortableArray', 'Stage', 'SummaryWriter',
    'autosummary', 'build_function', 'call_func_by_name', 'create_session', 'exp2',
    'finalize_autosummaries', 'find_obj_in_module', 'flatten', 'fp32', 'import_module',
    'import_obj', 'init_tf', 'init_uninited_vars', 'is_tf_expression', 'lerp', 'lerp_clip', 'log2',
    'network_import_handlers', 'run', 'save_summaries', 'set_vars', 'shape_to_list',
    'trusting_source'
]
