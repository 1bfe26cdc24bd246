"""Writing videos: frames round-trip, and files are complete."""
import os
import resource
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from moviepy.video.io.ffmpeg_writer import FFMPEG_VideoWriter

from pgan.errors import ConfigError, DataError
from pgan.options import check_value, options_of
from pgan.scripts.generate_training_video import generate_training_video
from pgan.scripts.option_checks import frame_count
from pgan.scripts.video import encodable, time_to_frame, write_video
from tests.support.golden import ROOT
from tests.support.videos import read_video


def shade(index, height=32, width=48):
    """A frame of smooth colour that encodes its number."""
    return np.broadcast_to(np.uint8([5 * index, 128, 250 - 5 * index]), [height, width, 3])


def test_frames_come_out_as_they_went_in(in_tmp):
    write_video('out.mp4', shade, 20, fps=10)
    frames, meta = read_video('out.mp4')
    assert frames.shape == (20, 32, 48,
                            3) and meta['fps'] == 10 and meta['duration'] == pytest.approx(2.0)
    assert meta['codec'] == 'h264' and meta['pix_fmt'].startswith('yuv420p')
    expected = np.stack([shade(i) for i in range(20)]).astype(int)
    assert np.abs(frames - expected).max() <= 6
    assert os.listdir() == ['out.mp4']


@pytest.mark.parametrize('num_frames, fps', [(29, 100), (1, 30), (7, 10), (45, 30)])
def test_the_number_of_frames_is_exact(in_tmp, num_frames, fps):
    write_video('out.mp4', shade, num_frames, fps)
    frames, meta = read_video('out.mp4')
    assert len(frames) == num_frames and meta['fps'] == fps


def test_each_frame_is_made_once_and_in_order(in_tmp):
    made = []
    write_video('out.mp4', lambda index: made.append(index) or shade(index), 12, fps=12)
    assert made == list(range(12))


@pytest.mark.parametrize('codec, name, codec_in_file', [('mpeg4', 'out.mp4', 'mpeg4'),
                                                        ('libx265', 'out.mkv', 'hevc'),
                                                        ('mpeg4', 'out.avi', 'mpeg4')])
def test_codec_is_honoured(in_tmp, codec, name, codec_in_file):
    write_video(name, lambda index: shade(index, 4, 4), 5, fps=5, codec=codec)
    frames, meta = read_video(name)
    assert meta['codec'] == codec_in_file and meta['pix_fmt'].startswith(
        'yuv420p') and frames.shape == (5, 16, 16, 3)


def test_bitrate_is_honoured(in_tmp):
    noise = np.random.RandomState(0).randint(0, 256, [10, 64, 64, 3], dtype=np.uint8)
    for bitrate in ('16M', '100k'):
        write_video(f'{bitrate}.mp4', noise.__getitem__, 10, fps=10, bitrate=bitrate)
    assert os.path.getsize('16M.mp4') > 2 * os.path.getsize('100k.mp4')


def test_small_and_odd_sizes_and_floats():
    image = np.random.RandomState(0).randint(0, 256, [4, 5, 3], dtype=np.uint8)
    np.testing.assert_array_equal(encodable(image), image.repeat(4, axis=0).repeat(4, axis=1))
    odd = np.random.RandomState(0).randint(0, 256, [17, 19, 3], dtype=np.uint8)
    padded = encodable(odd)
    np.testing.assert_array_equal(padded[:17, :19], odd)
    np.testing.assert_array_equal(padded[17], padded[16])
    np.testing.assert_array_equal(padded[:, 19], padded[:, 18])
    assert encodable(np.full([16, 16, 3], 99.75, np.float32)).tolist() == np.full([16, 16, 3],
                                                                                  100).tolist()
    assert encodable(np.full([16, 16, 3], 255.4, np.float32)).max() == 255


def test_time_to_frame_stays_inside():
    assert [time_to_frame(t, 10, 20) for t in (-1.0, 0.15, 1.99, 2.0, 99.0)] == [0, 2, 19, 19, 19]


def test_memory_does_not_grow_with_length(in_tmp):
    peaks = []
    # imports and caches
    write_video('first.mp4', lambda index: np.zeros([256, 256, 3], np.uint8), 1, fps=30)
    for num_frames in (5, 50):
        tracemalloc.start()
        write_video('out.mp4', lambda index: np.full([256, 256, 3], index, np.uint8), num_frames,
                    fps=30)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2 * 256 * 256 * 3


# ---------------------------------------------------------------- what goes wrong

def test_an_interrupted_video_leaves_the_earlier_one(in_tmp):
    write_video('out.mp4', shade, 3, fps=3)
    before = open('out.mp4', 'rb').read()

    def stop(index):
        if index == 5:
            raise KeyboardInterrupt
        return shade(index)
    with pytest.raises(KeyboardInterrupt):
        write_video('out.mp4', stop, 10, fps=3)
    assert os.listdir() == ['out.mp4'] and open('out.mp4', 'rb').read() == before


def test_frames_of_different_sizes(in_tmp):
    with pytest.raises(DataError, match=r'frame 3 .*\[40, 48, 3\].*\[32, 48, 3\]'):
        write_video('out.mp4', lambda index: shade(index, 40 if index == 3 else 32), 6, fps=3)
    assert os.listdir() == []


@pytest.mark.parametrize('codec, name', [('libx264', 'out.webm'), ('no_such_codec', 'out.mp4')])
def test_a_codec_that_does_not_fit(in_tmp, codec, name):
    with pytest.raises(DataError) as error:
        write_video(name, shade, 6, fps=3, codec=codec)
    assert codec in str(error.value) and name in str(error.value) and '\n' not in str(error.value)
    assert os.listdir() == []


def test_a_frame_that_was_lost(in_tmp, monkeypatch):
    write_frame, written = FFMPEG_VideoWriter.write_frame, []
    monkeypatch.setattr(FFMPEG_VideoWriter, 'write_frame', lambda writer, image: (
        written.append(image), len(written) == 4 or write_frame(writer, image)))
    with pytest.raises(DataError, match="out.mp4.*5 of 6 frames"):
        write_video('out.mp4', shade, 6, fps=3)
    assert len(written) == 6 and os.listdir() == []


def test_a_full_disk(in_tmp):
    """A limit on file size stands for the full disk. There are few frames, so ffmpeg writes the
    file only after the last one.
    """
    code = f'''
import sys; sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from pgan.errors import DataError
from pgan.scripts.video import write_video
noise = np.random.RandomState(0).randint(0, 256, [20, 256, 256, 3], dtype=np.uint8)
try:
    write_video('out.mp4', noise.__getitem__, 20, fps=5)
except DataError as error:
    print('DataError', error)
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                                (100_000, 100_000)))
    assert done.stdout.startswith("DataError Cannot write the video 'out.mp4'"
                                  ) and 'room on the disk' in done.stdout, done.stderr
    assert os.listdir() == []


@pytest.mark.parametrize('changes, text', [
    (dict(mp4='out'), 'train.mp4: .*.mp4.*out'),
    (dict(mp4='a/out.mp4'), 'train.mp4: .*without a folder'),
    (dict(mp4=3), 'train.mp4: .*3'),
    (dict(mp4_fps=0), 'train.mp4_fps: .*at least 1.*0'),
    (dict(mp4_fps=29.97), 'train.mp4_fps: .*29.97'),
    (dict(mp4_codec='libx246'), 'train.mp4_codec: .*libx246'),
    (dict(mp4_codec='aac'), 'train.mp4_codec: .*aac'),
    (dict(mp4_codec=None), 'train.mp4_codec: .*None'),
    (dict(mp4_bitrate='much'), 'train.mp4_bitrate: .*much'),
    (dict(mp4_bitrate='0M'), 'train.mp4_bitrate: .*0M'),
    (dict(mp4_bitrate=16), 'train.mp4_bitrate: .*16'),
])
def test_options_that_cannot_be_used(changes, text):
    def check(**values):
        options = options_of(generate_training_video)
        for name, value in values.items():
            check_value(f'train.{name}', value, options[name])

    check(mp4='out.mp4', mp4_fps=25, mp4_codec='libx264', mp4_bitrate='16M')
    check(mp4=None, mp4_bitrate='1.5M', mp4_codec='mpeg4')
    with pytest.raises(ConfigError, match=text):
        check(**changes)


def test_a_video_has_at_least_one_frame():
    assert frame_count(0.29, 100) == 29
    with pytest.raises(ConfigError, match='train.duration_sec: expected .* one frame, 0.033 sec'):
        frame_count(0.01, 30)
