"""Functions that read videos."""
import imageio_ffmpeg
import numpy as np


def read_video(path):
    """(frames uint8 [frames, height, width, 3], ffmpeg's description of the file)."""
    reader = imageio_ffmpeg.read_frames(path)
    meta = next(reader)
    width, height = meta['size']
    return np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3)
                     for frame in reader]), meta
