"""What a run is, in a few lines before its first step."""
import tensorflow as tf

from dataset import load_dataset
from pgan.options import with_defaults
from pgan.reporting import schedule_table
from tfutil.runtime import tf32_allowed


def print_overview(run, run_phases, sec_per_kimg):
    """Print data set, networks, devices, precision, schedule and result folder.

    Args:
        run: `pgan.training.loop.TrainingRun`.
        run_phases: list of `phases.Phase`.
        sec_per_kimg: {resolution: seconds}, estimated; None = the table has no times.
    """
    print('This run:')
    for name, text in overview(run).items():
        print(f'  {name:<14s}{text}')
    if run_phases:
        schedule_table.print_schedule(
            run_phases, sec_per_kimg, 'what has been measured so far, and the '
            'arithmetic of the other stages')


def overview(run):
    """{'Data set': 'cifar10, 50000 images of 3x32x32', ...}"""
    config, data = run.config, run.training_set
    G, D, _ = run.networks
    mirrored = 'mirrored at random' if run.options.mirror_augment else 'not mirrored'
    return {
        'Data set': f'{data_name(config.dataset)}: {_images(data)}, {mirrored}',
        'Labels': f'{data.label_size} components' if data.label_size else 'none',
        'Generator': f'{parameters(G):,} parameters, {G.input_shape[1]} latents',
        'Discriminator': f'{parameters(D):,} parameters',
        'Precision': precision_text(G, D),
        'Devices': devices_text(run.devices),
        'Length': f'{run.options.total_kimg:g} kimg' + (f', of which {run.cur_nimg / 1000:.1f} are '
                                                        'done' if run.cur_nimg else ''),
        'Random seed': config.random_seed,
        'Result folder': run.path or 'on machine 0',
    }


def data_name(options):
    """What a data set is called: its folder, or its class."""
    return options.get('tfrecord_dir') or with_defaults(load_dataset, options)['class_name']


def _images(data):
    shape = 'x'.join(str(int(size)) for size in data.shape)
    if not data.num_images:
        return f'images of {shape} without an end'
    return f'{data.num_images} images of {shape}'


def parameters(net):
    """The number of a network's trainable values."""
    return sum(var.shape.num_elements() for var in net.trainables.values())


def precision_text(G, D):
    """'float32', 'float32 / bfloat16', 'float32 (TensorFloat-32 on)'."""
    dtypes = ' / '.join(dict.fromkeys(net.activation_dtype for net in (G, D)))
    return dtypes + (' (TensorFloat-32 on)'
                     if tf32_allowed() else ' (TensorFloat-32 off)' if _uses_gpus() else '')


def _uses_gpus():
    return bool(tf.config.get_visible_devices('GPU'))


def devices_text(devices):
    """'2 x GPU', or '4 x GPU on 2 machines'."""
    kind = 'GPU' if _uses_gpus() else 'CPU'
    return f'{devices.num_replicas} x {kind}' + (f' on {devices.workers} machines'
                                                 if devices.workers > 1 else '')
