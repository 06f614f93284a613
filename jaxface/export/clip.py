"""Frames to a video that plays everywhere: H.264 in MP4 (host side)."""

import os
from collections.abc import Iterable
from fractions import Fraction

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from jaxtyping import UInt8

from jaxface.io.atomic import new_file
from jaxface.types import FaceError

QUALITY = 18  # x264's constant rate factor: no loss an eye would see
MAX_DENOMINATOR = 1001  # of frame rates: 30000 / 1001 is the finest in use
MIN_RATE, MAX_RATE = 0.1, 1000.0  # frames per second

# x264's fastest routines round differently from run to run; the others cost next to nothing more.
_OPTIONS = {"crf": str(QUALITY), "x264-params": "cpu-independent=1"}


def write_clip(
    path: str | os.PathLike, frames: Iterable[UInt8[np.ndarray, "height width 3"]], *, frames_per_second: float
) -> None:
    """An MP4 of RGB frames of one size, which are taken one at a time; the same frames give the same bytes.

    H.264, 4:2:0, BT.709 colours; index at the front, so that players may start early. Odd sizes, which 4:2:0 cannot
    hold, grow by a repeated row or column. Raises FaceError for no frames, for frames of different sizes, and for a
    rate outside [0.1, 1000]; then nothing is written.
    """
    if not MIN_RATE <= frames_per_second <= MAX_RATE:
        raise FaceError(f"A clip shows {MIN_RATE:g} to {MAX_RATE:g} frames per second, not {frames_per_second:g}.")
    rate = Fraction(frames_per_second).limit_denominator(MAX_DENOMINATOR)
    with new_file(path) as fresh:
        with av.open(os.fspath(fresh), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = None
            for frame in frames:
                stream = stream or _add_stream(container, frame.shape, rate)
                container.mux(stream.encode(_to_yuv(frame, stream)))
            if stream is None:
                raise FaceError(f"{path}: a clip needs at least one frame.")
            container.mux(stream.encode(None))


def _add_stream(container: av.container.OutputContainer, shape: tuple[int, ...], rate: Fraction) -> av.VideoStream:
    height, width, _ = shape
    stream = container.add_stream("libx264", rate=rate, options=_OPTIONS)
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
    context = stream.codec_context
    context.thread_count = 1  # more would make the bytes depend on the number of cores
    context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return stream


def _to_yuv(pixels: UInt8[np.ndarray, "height width 3"], stream: av.VideoStream) -> av.VideoFrame:
    height, width, _ = pixels.shape
    even = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if even.shape[:2] != (stream.height, stream.width):
        raise FaceError(f"A clip's frames must have one size; {width} x {height} came after others.")
    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
