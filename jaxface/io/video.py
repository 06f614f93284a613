"""Clips as streams of upright RGB frames: videos, folders of photos and globs (host side).

Frames are uint8 (height, width, 3), colours in the file's own space, times in seconds from the source's first frame.
"""

import dataclasses
import glob
import hashlib
import os
import pathlib
import re
import sys
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxface.io.decoding import DEFAULT_RATE, Video
from jaxface.io.images import SUFFIXES, find_images, read_image
from jaxface.types import FaceError


class Frame(NamedTuple):
    """One chosen frame: `index` counts the chosen ones from 0, `name` is a photo's path below the clip's folder, or a
    video frame's number in the whole video. Where the picture is damaged, `image` is None and `reason` a sentence."""

    index: int  # type: ignore[assignment]  # hides tuple.index
    name: str
    time_s: float
    image: UInt8[np.ndarray, "height width 3"] | None
    reason: str


@dataclasses.dataclass(frozen=True)
class Clip:
    """The chosen frames of a video (`files` is None) or of photos in natural order ("2" before "10").

    `path` is the video, or the folder that holds all photos; `name` is its name without suffix. `frames_per_second` is
    the chosen frames' mean rate: the source's (photos: 25) over `stride`. `num_frames` counts them, an estimate
    if the video is damaged. `start`, `stop` (exclusive) and `stride` count the source's frames.
    """

    path: pathlib.Path
    name: str
    frames_per_second: float
    num_frames: int
    files: tuple[pathlib.Path, ...] | None
    start: int
    stop: int | None
    stride: int
    max_frames: int | None


def open_clip(
    source: str | os.PathLike,
    *,
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    max_frames: int | None = None,
) -> Clip:
    """Looks at a video, a folder of photos, a glob of photos or one photo, and chooses every `stride`-th frame from
    `start` to before `stop`, at most `max_frames`.

    A video's packets are counted on the way, which reads the file once. Raises FaceError for whatever is none of
    these, and where no frame is chosen.
    """
    _check_selection(start=start, stop=stop, stride=stride, max_frames=max_frames)
    files = _find_photos(os.fspath(source))
    if files is None:
        path = pathlib.Path(os.path.abspath(source))
        with Video(path) as video:
            total, rate = video.num_packets(), video.rate
    else:
        path = pathlib.Path(os.path.commonpath([file.parent for file in files]))
        total, rate = len(files), DEFAULT_RATE
    _check_start(path, start=start, total=total)
    name = path.name if os.path.isdir(source) or not os.path.exists(source) else pathlib.Path(source).stem
    clip = Clip(path, name or "clip", rate / stride, total, files, start, stop, stride, max_frames)
    return dataclasses.replace(clip, num_frames=len(_chosen(clip, end=total)))


def fingerprint(clip: Clip) -> dict[str, str | int]:
    """What the clip's source is: name, number of files, bytes and SHA-256; JSON-able, equal only for equal content.

    For one file the sum is what `sha256sum` prints; for several it is the sum of what that prints for them all.
    Raises FaceError for a file that is gone or closed to the user.
    """
    files = (clip.path,) if clip.files is None else clip.files
    sums = [_sha256(file) for file in files]
    names = [_name(clip, file) for file in files]
    listing = "".join(f"{digest}  {name}\n" for digest, name in zip(sums, names, strict=True))
    digest = sums[0] if len(sums) == 1 else hashlib.sha256(os.fsencode(listing)).hexdigest()
    size = sum(file.stat().st_size for file in files)
    return {"name": clip.name, "files": len(files), "bytes": size, "sha256": digest}


def read_frames(clip: Clip, *, first: int = 0) -> "FrameReader":
    """The chosen frames from number `first` on, exactly as a reader from the start gives them."""
    return FrameReader(clip, first=first)


class FrameReader:
    """An iterator over a clip's frames that keeps none. `complaint` is, after the last one, a sentence if the video
    breaks off or is damaged, else empty. Raises FaceError where not even the first chosen frame is there.

    Frames before `first` are decoded, since later ones build on them, but not converted to RGB.
    """

    def __init__(self, clip: Clip, *, first: int = 0):
        self.complaint = ""
        self._frames = self._video(clip, first) if clip.files is None else _photos(clip, clip.files, first)

    def __iter__(self) -> "FrameReader":
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def close(self) -> None:
        """Ends the iteration early and closes the file."""
        self._frames.close()

    def _video(self, clip: Clip, first: int) -> Generator[Frame, None, None]:
        chosen = _chosen(clip, end=sys.maxsize)
        with Video(clip.path) as video:
            place = -1
            for place, (picture, time_s) in enumerate(video.pictures()):
                if place in chosen and chosen.index(place) >= first:
                    yield Frame(chosen.index(place), f"{place:06d}", time_s, *video.to_rgb(picture))
                if place >= chosen[-1]:
                    break
            if place < 0:
                raise FaceError(f"{clip.path}: none of its frames can be decoded; get a complete copy.")
            _check_start(clip.path, start=clip.start, total=place + 1)
            self.complaint = video.complaint(whole=place < chosen[-1])


def _photos(clip: Clip, files: tuple[pathlib.Path, ...], first: int) -> Generator[Frame, None, None]:
    chosen = _chosen(clip, end=len(files))
    for index in range(first, len(chosen)):
        file = files[chosen[index]]
        yield Frame(index, _name(clip, file), chosen[index] / DEFAULT_RATE, *_read_photo(file))


def _read_photo(path: pathlib.Path) -> tuple[np.ndarray | None, str]:
    try:
        return np.round(read_image(path) * np.float32(255.0)).astype(np.uint8), ""
    except FaceError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return None, reason[:1].upper() + reason[1:]


def _check_selection(*, start: int, stop: int | None, stride: int, max_frames: int | None) -> None:
    if start < 0:
        raise FaceError(f"The first frame must be 0 or later, not {start}.")
    if stop is not None and stop <= start:
        raise FaceError(f"No frame is chosen: the clip would stop at frame {stop} and start at {start}.")
    if stride < 1:
        raise FaceError(f"The stride must be 1 (every frame) or more, not {stride}.")
    if max_frames is not None and max_frames < 1:
        raise FaceError(f"At least 1 frame must be allowed, not {max_frames}.")


def _check_start(path: pathlib.Path, *, start: int, total: int) -> None:
    if total == 0:
        raise FaceError(f"{path}: it holds no frames; get a complete copy.")
    if start >= total:
        raise FaceError(f"{path}: it has {total} frames, 0 to {total - 1}; the first one wanted, {start}, is beyond.")


def _chosen(clip: Clip, *, end: int) -> range:
    """Places of the chosen frames in a source of `end` frames."""
    stop = end if clip.stop is None else min(clip.stop, end)
    return range(clip.start, stop, clip.stride)[: clip.max_frames]


def _find_photos(source: str) -> tuple[pathlib.Path, ...] | None:
    """The photos meant, in natural order and with absolute paths, or None for a single file of another kind."""
    if os.path.isdir(source):
        found = find_images(source)
    elif os.path.exists(source):
        if not _is_photo(source):
            return None
        found = [pathlib.Path(source)]
    elif re.search(r"[*?[]", source):
        found = _match(source)
    else:
        raise FaceError(f"{source}: it does not exist; check the path.")
    return tuple(pathlib.Path(os.path.abspath(file)) for file in sorted(found, key=_natural))


def _match(pattern: str) -> list[pathlib.Path]:
    files = [pathlib.Path(path) for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not files:
        raise FaceError(f"{pattern}: no file matches; check the pattern, and put it in quotes.")
    photos = [file for file in files if _is_photo(file)]
    if not photos:
        raise FaceError(f"{pattern}: it matches no pictures, only other files such as {files[0].name}; name one video.")
    return photos


def _is_photo(path: str | os.PathLike) -> bool:
    return pathlib.Path(path).suffix.lower() in SUFFIXES


def _natural(path: pathlib.Path) -> tuple[list[str | int], str]:
    """Sorts frame2 before frame10; the spelling decides between 01 and 1."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [int(part) if part.isdigit() else part for part in parts], path.as_posix()


def _name(clip: Clip, file: pathlib.Path) -> str:
    return file.name if clip.files is None else file.relative_to(clip.path).as_posix()


def _sha256(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FaceError(f"{path}: it cannot be read ({error.strerror}); check that it is still there.") from None
