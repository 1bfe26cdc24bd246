"""Cost of augmentation in a training step: python -m benchmarks.augmented_step -h

Steps without augmentation, with held-out images, with DiffAugment and with 'ada' run alternately in
one process. Prints one JSON line with the time of each, relative to the step without augmentation.
"""
import json
import os
import statistics

from benchmarks import training_step
from benchmarks.common import load, pair_ratios, significant, take_turns, timed

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

STEPS = 16  # per turn; D scores held-out images once in this many


def main():
    args = training_step.parse_args()
    from dataset import SyntheticDataset
    from tfutil import init_tf
    init_tf(random_seed=1)

    def make(is_held_out, **options):
        held_out = None
        if is_held_out:
            held_out = SyntheticDataset(args.resolution, args.channels, label_size=args.labels)
            held_out.configure(args.minibatch, args.lod)
        steps = training_step.make_steps(args, held_out=held_out, **options)
        if options.get('augment') == 'ada':
            steps.overfitting.values.assign([0.5, 0.0, 0.0])  # apply half of all augmentations
        one_round = training_step.make_round(args, steps)
        return lambda: timed(lambda: [one_round() for _ in range(STEPS)])
    players = {'without': make(False), 'held out': make(True),
               'diffaugment': make(False, augment='diffaugment'),
               'ada': make(True, augment='ada')}
    seconds = take_turns(players, 3, args.seconds)
    per_kimg = {name: significant(statistics.median(turns) / (STEPS * args.minibatch) * 1000)
                for name, turns in seconds.items()}
    print(json.dumps(dict(vars(args), sec_per_kimg=per_kimg, load=load(), ratios={
        name: pair_ratios(turns, seconds['without']) for name, turns in seconds.items()
        if name != 'without'})))


if __name__ == '__main__':
    main()
