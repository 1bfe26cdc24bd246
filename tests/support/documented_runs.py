"""Commands of README.md and docs/ that tests run within their own process."""




RUN = [
    '.venv/bin/python dataset_tool.py create_from_images datasets/mine ~/my_images --resolution '
    '256',
    '.venv/bin/python dataset_tool.py info datasets/mine --verify',
    '.venv/bin/python train.py --list',
    '.venv/bin/python train.py --dry-run',
    '.venv/bin/python train.py --set dataset.tfrecord_dir=mine --set desc=mine --set '
    'train.mirror_augment=False',
    '.venv/bin/python util_scripts.py write_report --run_id 12',
    '.venv/bin/python util_scripts.py generate_training_video --run_id 12',
    '.venv/bin/python util_scripts.py generate_fake_images --run_id 12 --num_pngs 10 --grid_size '
    '15 8',
    '.venv/bin/python util_scripts.py generate_interpolation_video --run_id 12 --grid_size 3 2 '
    '--duration_sec 60',
    '.venv/bin/python util_scripts.py generate_fake_images --run_id 12 --seeds 1-20,42',
    '.venv/bin/python util_scripts.py generate_interpolation_video --run_id 12 --seeds 3,7,42 '
    '--duration_sec 10',
    '.venv/bin/python util_scripts.py nearest --run_id 12 --seeds 1-16 --neighbours 4',
    '.venv/bin/python train.py --resume',
    '.venv/bin/python train.py --resume 12',
    LONGER := '.venv/bin/python train.py --resume 12 --set train.total_kimg=15000',
    '.venv/bin/python train.py --dry-run --set sched.max_minibatch_per_gpu={256: 8, 512: 4, 1024: '
    '2}',
    '.venv/bin/python util_scripts.py evaluate_metrics --run_id 12 --log metric-swd-16k.txt '
    '--metrics swd --num_images 16384 --real_passes 2',
    '.venv/bin/python util_scripts.py evaluate_metrics --run_id 12 --log metric-fid-50k.txt '
    '--metrics fid --num_images 50000 --real_passes 2',
    '.venv/bin/python train.py --set dataset.tfrecord_dir=mine --set train.init_from=12',
]


# These use a data set with labels, where run 0 (and 12) is conditioned on them. The documents do
# not list its training, so it comes second.
RUN_WITH_LABELS = [
    '.venv/bin/python dataset_tool.py create_from_images datasets/mine ~/my_images --resolution '
    '256 --labels folders --skip_bad',
    '.venv/bin/python train.py --set dataset.tfrecord_dir=mine',
    '.venv/bin/python util_scripts.py generate_fake_images --run_id 0 --num_pngs 5 --grid_size 8 '
    '4 --labels 3',
    '.venv/bin/python util_scripts.py generate_training_video --run_id 0 --duration_sec 10',
    '.venv/bin/python util_scripts.py nearest --run_id 0 --seeds 1-16 --neighbours 4',
    '.venv/bin/python util_scripts.py generate_fake_images --run_id 12 --num_pngs 1000 '
    '--random_seed 7 --labels 3',
    '.venv/bin/python train.py --resume 0 --set train.total_kimg=60',
]
