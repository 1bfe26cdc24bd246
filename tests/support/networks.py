"""Networks with golden variables."""
import types

import numpy as np

import tfutil


def moment(lod, minibatch, D_lrate, G_lrate=None):
    """A point of a schedule, for `TrainingSteps`: one learning rate for D and G, or one each."""
    return types.SimpleNamespace(lod=lod, minibatch=minibatch, D_lrate=D_lrate,
                                 G_lrate=D_lrate if G_lrate is None else G_lrate)


def network_from(data, prefix, func, static_kwargs, name=None):
    """Network with golden variables `data[prefix + 'var/<local name>']`; checks that names, order
    and trainability match.
    """
    net = tfutil.Network(name or func[0], f'networks.{func}', **static_kwargs)
    names = [str(n) for n in data[prefix + 'var_names']]
    assert list(net.vars) == names
    assert [n in net.trainables for n in names] == data[prefix + 'var_trainable'].tolist()
    set_vars(net, data, prefix)
    return net


def set_vars(net, data, prefix):
    for name in net.vars:
        net.set_var(name, data[f'{prefix}var/{name}'])


def int_keys(obj):
    """Convert JSON's string keys back to integers, as in minibatch_dict."""
    if isinstance(obj, dict):
        return {int(k) if k.isdigit() else k: int_keys(v) for k, v in obj.items()}
    return obj


def max_abs(a, b):
    return float(np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)), initial=0.0))
