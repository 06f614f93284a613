"""Pictures out of a video file, one by one, and what is wrong with the file (host side).

ffmpeg's libraries do the work inside this process, with one decoder thread: with several, what becomes of a damaged
frame depends on the clock. Nothing is printed.
"""

import itertools
import os
import pathlib
from collections.abc import Iterator

import av
import numpy as np
from jaxtyping import UInt8

from jaxface.io.images import MAX_PIXELS
from jaxface.types import FaceError

DEFAULT_RATE = 25.0  # frames per second where nothing tells
MAX_RATE = 1000.0  # beyond it a header is broken
MAX_PIXEL_ASPECT = 4.0  # anamorphic video stays far below

# ffmpeg's names. No playlists, which may open other files, and no text, which ffmpeg would draw.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,mpegvideo,mjpeg,mpjpeg,h264,hevc,m4v,asf,flv,ogg,dv"
_INDEXED = (b"ftyp", b"mdat", b"wide", b"free", b"skip")  # how files of the MP4 and MOV family begin

_JPEG = b"\xff\xd8\xff"

# What the bindings raise on damaged files.
_BROKEN = (av.FFmpegError, ValueError, IndexError, OverflowError, TypeError)


class Video:
    """An open video file; a context manager. `rate` is its mean number of frames per second; `num_frames` and
    `num_damaged` count what `pictures` has decoded and had to leave out so far.

    Raises FaceError for whatever is not a video.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.num_frames, self.num_damaged = 0, 0
        self._breaks_off, self._end_s = False, 0.0
        self._container, self._stream = _open(self.path)
        self._context = self._stream.codec_context
        self._context.thread_count = 1
        self._context.options = {"max_pixels": str(MAX_PIXELS)}
        self.rate = _rate(self._stream)
        self._aspect = _pixel_aspect(self._stream)

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_) -> None:
        self._container.close()

    def num_packets(self) -> int:
        """Number of compressed frames, an upper bound of the pictures to come; reads the file to its end."""
        return sum(1 for packet in self._packets() if not packet.is_discard)

    def pictures(self) -> Iterator[tuple[av.VideoFrame, float]]:
        """Frames in the order of display, as decoded, and their times in seconds from the first one; these rise
        strictly, whatever the stream says."""
        origin_s, time_s = 0.0, -1.0 / self.rate
        for picture in self._decoded():
            if self.num_frames == 0:
                origin_s = self._seconds(picture.pts)
            stamp = self._seconds(picture.pts) - origin_s
            time_s = stamp if stamp > time_s else time_s + 1.0 / self.rate
            self.num_frames += 1
            self._end_s = origin_s + time_s + max(self._seconds(picture.duration), 1.0 / self.rate)
            yield picture, time_s

    def to_rgb(self, picture: av.VideoFrame) -> tuple[UInt8[np.ndarray, "height width 3"] | None, str]:
        """The picture upright and with square pixels, and an empty reason; or None and a sentence why not."""
        if picture.is_corrupt:
            self.num_damaged += 1
            return None, "The video is damaged here."
        try:
            width = max(1, round(picture.width * self._aspect))
            pixels = picture.to_ndarray(format="rgb24", width=width, height=picture.height)
        except _BROKEN:
            self.num_damaged += 1
            return None, "The video's colours cannot be converted here."
        return np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90))), ""

    def complaint(self, *, whole: bool) -> str:
        """A sentence on what is wrong with the file as far as it was read (`whole`: to its end), or nothing."""
        if whole and (self._breaks_off or self._ends_early()):
            return f"{self.path.name} breaks off after {self.num_frames} frames; what came before was kept."
        if self.num_damaged:
            return f"{self.path.name} is damaged; frames left out: {self.num_damaged}."
        return ""

    def _seconds(self, ticks: int | None) -> float:
        return float((ticks or 0) * (self._stream.time_base or 0))

    def _ends_early(self) -> bool:
        """Whether the header promises more than came."""
        if self._stream.duration is not None:
            promised_s = self._seconds((self._stream.start_time or 0) + self._stream.duration)
            slack_s = 2.0 / self.rate
        else:  # that of all streams together: sound may last a little longer than the pictures
            promised_s = ((self._container.start_time or 0) + (self._container.duration or 0)) / av.time_base
            slack_s = 2.0 / self.rate if len(self._container.streams) == 1 else 1.0
        return promised_s > self._end_s + slack_s

    def _decoded(self) -> Iterator[av.VideoFrame]:
        for packet in itertools.chain(self._packets(), [None]):  # None asks for the frames held back
            try:
                yield from self._context.decode(packet)
            except _BROKEN:
                self.num_damaged += 1

    def _packets(self) -> Iterator[av.Packet]:
        packets = self._container.demux(self._stream)
        try:
            for packet in packets:
                if packet.size:
                    self._breaks_off = packet.is_corrupt
                    yield packet
        except _BROKEN:
            self._breaks_off = True


def _open(path: pathlib.Path) -> tuple[av.container.InputContainer, av.VideoStream]:
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    head = _head(path)
    # Left to guess, ffmpeg takes some streams of JPEGs for one picture.
    kind = "mjpeg" if head.startswith(_JPEG) else None
    try:
        container = av.open(os.path.abspath(path), format=kind, options=options, metadata_errors="ignore")
    except _BROKEN:
        raise FaceError(f"{path}: {_guess(head)}") from None
    fault = _fault(container, head)
    if fault:
        container.close()
        raise FaceError(f"{path}: {fault}")
    return container, container.streams.video[0]


def _head(path: pathlib.Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise FaceError(f"{path}: it does not exist; check the path.") from None
    except OSError as error:
        raise FaceError(f"{path}: it cannot be read ({error.strerror}); check its permissions.") from None
    if not head:
        raise FaceError(f"{path}: the file is empty; get a complete copy.")
    return head


def _guess(head: bytes) -> str:
    """Why ffmpeg may have refused a file that begins like this."""
    if head[4:] in _INDEXED:
        return "its index is missing or damaged, as when a recording is cut off; get a complete copy."
    return "this is not a video, or its beginning is damaged; give an MP4, MOV, AVI, MPEG, WebM or MJPEG file."


def _fault(container: av.container.InputContainer, head: bytes) -> str:
    """Why an opened file gives no pictures, or nothing."""
    if not container.streams.video:
        sound = "it holds no pictures; give a video, not a sound recording."
        return sound if container.streams.audio else _guess(head)
    if container.streams.video[0].codec_context is None:
        return "its pictures are damaged or of an unknown kind; get a complete copy or convert it to MP4 (H.264)."
    return ""


def _rate(stream: av.VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= MAX_RATE:
            return float(rate)
    return DEFAULT_RATE


def _pixel_aspect(stream: av.VideoStream) -> float:
    """Width of a pixel over its height."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1.0 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0
