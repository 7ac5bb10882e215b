"""Videos are H.264 that plays in a browser, whole or absent, and the same on every machine."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from recon.errors import InputError
from recon.export.video import QUALITIES, check_video, write_video
from tests.seeds import numpy_random


def noise(count: int = 4, height: int = 64, width: int = 64) -> list[np.ndarray]:
    return list(numpy_random(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8))


def write(path: Path, frames: Iterable[np.ndarray], fps: int = 5, quality: str = "high") -> None:
    with write_video(path, fps, quality) as video:
        for frame in frames:
            video.add(frame)


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        # Said, not left to PyAV, which reads all colours as BT.601 before its version 17.
        colours = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
        frames = (f.reformat(format="rgb24", dst_color_range=ColorRange.JPEG, **colours) for f in video.decode(video=0))
        return [frame.to_ndarray() for frame in frames]


def pillow_frames(path: Path) -> tuple[list[np.ndarray], list[int], int]:
    """Frames of a moving picture, how many milliseconds each is shown, and how often all of them are (0: for ever)."""
    with Image.open(path) as image:
        frames, durations = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        return frames, durations, image.info["loop"]


@pytest.mark.parametrize("size", [(1, 1), (13, 27), (48, 64)])
@pytest.mark.parametrize(("suffix", "tolerance"), [("gif", 3), ("webp", 8)])
def test_moving_pictures_are_read_back(suffix, tolerance, size, tmp_path):
    color = np.array([110, 90, 40], np.uint8)
    frames = [np.tile(color + 25 * i, (*size, 1)).astype(np.uint8) for i in range(6)]
    path = tmp_path / f"a.{suffix}"
    write(path, frames, 10)
    decoded, durations, loop = pillow_frames(path)
    assert (len(decoded), durations, loop) == (6, [100] * 6, 0)
    for there, back in zip(frames, decoded, strict=True):
        assert back.shape == there.shape
        assert np.abs(back.astype(int) - there[0, 0]).max() <= tolerance


def test_a_gif_has_a_palette_for_each_frame(tmp_path):
    """Smooth colours of a photo come back closely, though other frames have other colours."""
    rows, columns = np.mgrid[:60, :80]
    first = np.stack([2 * columns, 4 * rows, np.full_like(rows, 60)], axis=-1).astype(np.uint8)
    frames = [first, 255 - first, first[:, ::-1]]
    write(tmp_path / "a.gif", frames)
    for there, back in zip(frames, pillow_frames(tmp_path / "a.gif")[0], strict=True):
        assert np.abs(back.astype(int) - there).mean() < 6


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_moving_pictures_are_the_same_every_time(suffix, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.{suffix}", noise(5, 90, 120))
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 7), (13, 27), (48, 64)])
@pytest.mark.parametrize("quality", QUALITIES)
def test_frames_are_read_back(size, quality, tmp_path):
    color = np.array([200, 90, 40], np.uint8)
    frames = [np.tile(color + 5 * i, (*size, 1)).astype(np.uint8) for i in range(6)]
    write(tmp_path / "a.mp4", frames, 7, quality)
    with av.open(str(tmp_path / "a.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == 7
    decoded = read(tmp_path / "a.mp4")
    assert len(decoded) == 6
    for there, back in zip(frames, decoded, strict=True):
        assert back.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
        assert np.abs(back.astype(int) - there[0, 0]).max() < 6


def test_odd_sides_repeat_the_last_row_and_column(tmp_path):
    frame = np.zeros((33, 47, 3), np.uint8)
    frame[-1], frame[:, -1] = 255, 255
    write(tmp_path / "a.mp4", [frame] * 2)
    back = read(tmp_path / "a.mp4")[0]
    assert back[33].min() > 200
    assert back[:, 47].min() > 200
    assert back[:30, :40].max() < 60


def test_colours_are_named_so_that_players_agree(tmp_path):
    write(tmp_path / "a.mp4", noise())
    with av.open(str(tmp_path / "a.mp4")) as video:
        codec = video.streams.video[0].codec_context
        assert (codec.color_primaries, codec.color_trc, codec.colorspace, codec.color_range) == (1, 1, 1, 1)


def test_playing_can_begin_before_the_file_is_complete(tmp_path):
    write(tmp_path / "a.mp4", noise())
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_quality_costs_bytes(tmp_path):
    sizes = {}
    for quality in QUALITIES:
        write(tmp_path / f"{quality}.mp4", noise(8), 5, quality)
        sizes[quality] = (tmp_path / f"{quality}.mp4").stat().st_size
    assert sizes["high"] > sizes["medium"] > sizes["low"]


def test_the_video_does_not_depend_on_the_number_of_cores(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, noise(2, 256, 256))
    content = (tmp_path / "a.mp4").read_bytes()
    assert b" threads=1 " in content  # x264 notes its settings in the stream
    assert content == (tmp_path / "b.mp4").read_bytes()


def test_memory_is_flat_in_the_number_of_frames(tmp_path):
    def peak(count: int) -> int:
        tracemalloc.start()
        with write_video(tmp_path / "a.mp4", 24, "low") as video:
            for i in range(count):
                video.add(np.full((256, 256, 3), i % 250, np.uint8))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)
    assert peak(150) < peak(10) + 256 * 256 * 3


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp"])
def test_a_full_disk_leaves_no_half_video(name, tmp_path):
    resource = pytest.importorskip("resource")
    path = tmp_path / name
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match=rf"cannot write .*{re.escape(name)}"):
            write(path, noise())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    write(path, noise())
    assert path.stat().st_size > 2000


@pytest.mark.parametrize("after", [0, 1, 60])
@pytest.mark.parametrize(
    ("name", "error"), [("a.mp4", KeyboardInterrupt), ("a.gif", RuntimeError), ("a.webp", RuntimeError)]
)
def test_a_video_that_is_cut_short_leaves_the_old_one(after, name, error, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"before")

    def interrupted() -> Iterator[np.ndarray]:
        yield from noise(after)
        raise error

    with pytest.raises(error):
        write(path, interrupted(), 24, "low")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == b"before"


def test_frames_of_two_sizes_and_no_frames_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one size, got \(64, 32\) after \(64, 64\)"):
        write(tmp_path / "a.mp4", [*noise(1), *noise(1, 64, 32)])
    with pytest.raises(ValueError, match="at least one frame"):
        write(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"GIF .* 50 frames a second"):
        check_video("gif", 64, 64, 51)
    with pytest.raises(InputError, match="webp can be 16383"):
        check_video("webp", 16384, 64, 5)
    with pytest.raises(InputError, match=r"16384 pixels wide and high at most, this is 16385×1"):
        write(tmp_path / "a.mp4", noise(1, 1, 16385))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*a\.mp4"):
        write(tmp_path / "file" / "a.mp4", noise())
