"""Configurations and options of runs with narrow networks, for tests of the number of threads."""
import types

NARROW = dict(fmap_base=256, fmap_max=128)


def config(tf_config={}, num_gpus=1, sched={}, G={}, D={}):
    return types.SimpleNamespace(tf_config=tf_config, num_gpus=num_gpus,
                                 sched={'minibatch_base': 16,
                                        **sched}, G={'func': 'networks.G_paper', **NARROW, **G},
                                 D={'func': 'networks.D_paper', **NARROW, **D})


def options(xla=False, metrics=(), resume_run_id=None):
    return types.SimpleNamespace(xla=xla, metrics=list(metrics), resume_run_id=resume_run_id)
