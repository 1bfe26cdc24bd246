"""Ways through the rooms: the paths of a minibatch, a snapshot, a data set and an option.

Each way is a list of steps, indented by call depth. `check` looks them up in the sources, so the
picture stays true: every step exists and is called from its caller in the list.
"""
import ast
import functools
from typing import NamedTuple

from docs.rooms import ROOT, path_of


class Step(NamedTuple):
    """A step of a way.

    Attributes:
        depth: one more than that of the step that calls it.
        name: 'module.function', 'module.Class' or 'module.Class.method'.
        note: short description of the step.
        by: how it is reached: '' = its name is in the calling step's code, or in a function of the
            same module that this code uses; 'self.model' = it is used as that attribute;
            'config.py: networks.G_paper' = that string in that file names it; 'pickle' = Python's
            pickle module calls it.
    """
    depth: int
    name: str
    note: str
    by: str = ''


class Way(NamedTuple):
    """What travels, as a title, and its steps."""
    title: str
    steps: list


WAYS = [
    Way('A minibatch', [
        Step(0, 'pgan.training.loop.TrainingRun.train', 'until the schedule ends'),
        Step(1, 'pgan.training.schedule.TrainingSchedule', 'lod, minibatch size, learning rates',
             'self.schedule'),
        Step(1, 'pgan.training.step.TrainingSteps.run', "D's update and G's, compiled per stage"),
        Step(2, 'pgan.training.minibatches.Minibatches.take', 'read ahead on a thread'),
        Step(3, 'dataset.Dataset.get_minibatch_tf', 'the next images and labels'),
        Step(4, 'pgan.data.records.FixedFile.read', 'from the memory map of one resolution'),
        Step(3, 'tfutil.devices.Devices.split_among_replicas', 'a share for each device'),
        Step(2, 'pgan.training.updates.Updates.update_D', 'on each device'),
        Step(3, 'pgan.training.reals.process_reals', 'rescale, mirror, fade'),
        Step(3, 'loss.D_wgangp_acgan', 'one value per image', 'config.py: loss.D_wgangp_acgan'),
        Step(4, 'tfutil.network.Network.get_output_for', 'G makes fakes, D scores both'),
        Step(5, 'networks.Discriminator.call', 'the layers of the stage', 'self.model'),
        Step(6, 'pgan.nn.operations.minibatch_stddev', 'one of its operations'),
        Step(3, 'tfutil.optimizer.Optimizer.apply_updates', 'all-reduce, Adam; or skip'),
        Step(3, 'pgan.training.updates.Updates.move_Gs', 'Gs follows G'),
        Step(2, 'tfutil.summary.add_deferred', 'statistics wait for the tick'),
        Step(1, 'pgan.reporting.progress.Progress.tick', 'a line of the log'),
        Step(1, 'pgan.reporting.snapshots.RunFolder.tick', 'pictures, curves, report.html'),
    ]),
    Way('A snapshot (.pkl)', [
        Step(0, 'pgan.reporting.snapshots.RunFolder.tick', 'every network_snapshot_ticks ticks'),
        Step(1, 'misc.pickles.save_pkl', 'G, D and Gs'),
        Step(2, 'tfutil.network.Network.__getstate__', 'build function, options, variables',
             'pickle'),
        Step(2, 'pgan.files.atomic_write', 'whole or not at all'),
        Step(0, 'pgan.scripts.generate_fake_images.generate_fake_images', 'later, or elsewhere'),
        Step(1, 'pgan.scripts.generator.load_generator', 'of a run, or of a file'),
        Step(2, 'misc.results.locate_network_pkl', 'run 12 is a folder of results/'),
        Step(2, 'misc.results.load_generator', 'Gs of G, D and Gs'),
        Step(3, 'misc.pickles.load_pkl', 'reads it as data'),
        Step(4, 'misc.pickles._Unpickler.find_class', 'admits networks and arrays', 'pickle'),
        Step(5, 'legacy.TheanoNetwork', "the Theano version's are converted"),
        Step(5, 'tfutil.network.Network', "ours, and the original's"),
        Step(6, 'networks.G_paper', 'the build function that it names',
             'tfutil/network.py: networks.G_paper'),
        Step(1, 'pgan.scripts.generator.draw', 'images as uint8'),
        Step(2, 'tfutil.network.Network.run', 'minibatch by minibatch'),
        Step(1, 'misc.images.save_image_grid', 'a PNG file'),
    ]),
    Way('A data set (archive)', [
        Step(0, 'dataset_tool.create_cifar10', 'python dataset_tool.py create_cifar10'),
        Step(1, 'pgan.importers.cifar.load_cifar10', 'one module per source'),
        Step(2, 'pgan.importers.pickled.load_arrays', "CIFAR's own pickles, read as data"),
        Step(2, 'pgan.importers.source.Source', 'images, one at a time; labels'),
        Step(1, 'dataset_tool.write_dataset', 'the same for every source'),
        Step(2, 'pgan.importers.writing.write_source', 'images, labels, names of classes'),
        Step(3, 'pgan.data.writer.TFRecordExporter', 'a hidden folder, renamed at the end'),
        Step(4, 'pgan.data.records.RecordLayout.encode', 'one file per resolution'),
        Step(0, 'dataset.load_dataset', 'training'),
        Step(1, 'dataset.TFRecordDataset', 'datasets/cifar10',
             'dataset.py: dataset.TFRecordDataset'),
        Step(2, 'pgan.data.records.open_records', 'memory maps'),
        Step(2, 'pgan.data.labels.load_labels', 'the .labels file'),
    ]),
    Way('An option (--set train.total_kimg=100)', [
        Step(0, 'train.main', 'python train.py'),
        Step(1, 'train.parse_args', '--config, --set, --resume'),
        Step(1, 'pgan.settings.loading.load', 'config.py, then files, then --set'),
        Step(1, 'pgan.settings.launch.start', 'environment, TensorFlow'),
        Step(2, 'pgan.settings.checking.check_config', 'name and value, before any work'),
        Step(2, 'tfutil.objects.import_obj', "train.func's function"),
        Step(2, 'pgan.training.loop.train_progressive_gan', 'a keyword argument',
             'config.py: train.train_progressive_gan'),
        Step(3, 'misc.results.create_result_subdir', 'config.txt'),
        Step(3, 'pgan.training.loop.TrainingRun.train', 'ends the loop'),
    ]),
]


# ---------------------------------------------------------------- looked up in the sources

def check(way):
    """Raise LookupError unless each step exists and is reached from the step that calls it."""
    above = []
    for step in way.steps:
        find(step.name)
        del above[step.depth:]
        if len(above) < step.depth:
            raise LookupError(f'{step.name} is indented too far')
        if step.depth:
            _check_reached(step, above[-1])
        above.append(step)


def module_of(name):
    """Module of a step's name: the longest prefix that is a file."""
    parts = name.split('.')
    for count in range(len(parts) - 1, 0, -1):
        if path_of('.'.join(parts[:count])).is_file():
            return '.'.join(parts[:count])
    raise LookupError(f'there is no module for {name!r}')


def find(name):
    """Function or class of a dotted name, as a node of its module's syntax tree."""
    module = module_of(name)
    node = _tree(module)
    for part in name[len(module) + 1:].split('.'):
        node = next((own for own in ast.iter_child_nodes(node)
                     if getattr(own, 'name', None) == part), None)
        if node is None:
            raise LookupError(f'{module} has no {name[len(module) + 1:]!r}')
    return node


def _check_reached(step, caller):
    where, _, text = step.by.partition(': ')
    if step.by == 'pickle':
        if 'pickle' not in _mentioned(_tree(module_of(caller.name))):
            raise LookupError(f'{caller.name} uses no pickle to reach {step.name}')
    elif text:
        strings = {node.value for node in ast.walk(ast.parse((ROOT / where).read_text()))
                   if isinstance(node, ast.Constant)}
        if text not in strings:
            raise LookupError(f'{where} does not name {text!r}')
    else:
        wanted = step.by.rpartition('.')[2] or step.name.rpartition('.')[2]
        if wanted not in _reached(caller.name):
            raise LookupError(f'{caller.name} does not reach {wanted!r}')


def _reached(name):
    """Names that a function or class mentions, or functions of its module that it mentions."""
    module = module_of(name)
    own = [node for node in ast.walk(_tree(module))
           if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    found, waiting = set(), [find(name)]
    while waiting:
        new = _mentioned(waiting.pop()) - found
        found |= new
        waiting += [node for node in own if node.name in new]
    return found


def _mentioned(node):
    return {getattr(part, 'attr', None) or getattr(part, 'id', None) for part in ast.walk(node)
            if isinstance(part, (ast.Name, ast.Attribute))}


@functools.cache
def _tree(module):
    return ast.parse(path_of(module).read_text())
