"""Videos: the right frames come out, upright, in their colours, the sharpest of each interval; damage is named."""

from __future__ import annotations

import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.errors import InputError
from recon.messages import ReconWarning
from recon.sources import video_file
from recon.sources.frame_spool import FrameSpool
from recon.sources.kinds import kind_of
from recon.sources.loading import load_each
from recon.sources.open_source import open_source
from recon.sources.source import Source
from recon.sources.video import VideoSource
from recon.sources.video_choice import intervals
from recon.sources.video_file import VideoFile
from tests.seeds import numpy_random
from tests.sources.test_source import save
from tests.sources.video_files import HEIGHT, WIDTH, number_of, numbered, write_sound, write_video

COUNT = 30
"""Frames of most videos here, 10 a second."""


def numbers(source: Source) -> list[int]:
    """Of the frames, as their pixels say; their names say the same."""
    found = [number_of(source.read(index).pixels) for index in range(len(source.names))]
    assert [int(name.split("_")[1]) for name in source.names] == found
    return found


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", map(numbered, range(COUNT)))


def opened(path: Path, **options: Any) -> VideoSource:
    source = open_source(path, SourceOptions(**options))
    assert isinstance(source, VideoSource)
    return source


class TestChoice:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"fps": 2}, [0, 5, 10, 15, 20, 25]),
            ({"fps": 3}, [0, 4, 7, 10, 14, 17, 20, 24, 27]),
            ({"fps": 1000}, list(range(COUNT))),
            ({"frames": 4}, [0, 8, 15, 23]),
            ({"frames": 1}, [0]),
            ({"frames": 99}, list(range(COUNT))),
            ({"every": 7}, [0, 7, 14, 21, 28]),
            ({"every": 7, "limit": 2}, [0, 7]),
            ({"fps": 2, "start": 1.0, "end": "0:02"}, [10, 15]),
            ({"fps": 2, "start": "00:00:02.1"}, [21, 26]),
            ({"frames": 3, "end": 0.6}, [0, 2, 4]),
        ],
    )
    def test_known_frames_come_out(self, options: dict[str, Any], expected: list[int], video: Path) -> None:
        source = opened(video, sharpest=False, **options)
        assert numbers(source) == expected
        assert source.ordered
        assert [frame.time for frame in source.frames] == pytest.approx([number / 10 for number in expected])

    def test_names_carry_number_and_time(self, video: Path) -> None:
        assert opened(video, every=25).names == ("frame_000000_0ms", "frame_000025_2500ms")

    def test_without_a_word_a_usual_number_is_taken_and_said(self, video: Path) -> None:
        source = opened(video)
        with pytest.warns(ReconWarning, match=r"clip\.mp4': 20 of 30 frames.*fps, frames or every"):
            assert len(source.names) == 20

    def test_the_sharpest_of_each_interval(self, tmp_path: Path) -> None:
        """Each third frame is less blurred than those beside it, by as little as a fifth."""
        texture = cv2.GaussianBlur(numpy_random(3).integers(0, 255, (240, 400, 3), dtype=np.uint8), (0, 0), 1)
        blurs = [(0.6 if index % 5 == (index // 5) % 5 else 0.75 + 0.3 * (index % 2)) for index in range(25)]
        frames = [
            cv2.GaussianBlur(texture[:, index * 2 : index * 2 + 320], (0, 0), blur) for index, blur in enumerate(blurs)
        ]
        path = write_video(tmp_path / "a.mp4", frames, options={"crf": "20"})
        chosen = [frame.number for frame in opened(path, frames=5).frames]
        assert chosen == [5 * interval + interval for interval in range(5)]

    def test_time_counts_where_frames_come_unevenly(self, tmp_path: Path) -> None:
        stamps = [0, 1, 2, 3, 4, 5, 20, 40, 60, 61]
        path = write_video(tmp_path / "a.mkv", map(numbered, range(10)), stamps=stamps)
        assert numbers(opened(path, fps=1, sharpest=False)) == [0, 6, 7, 8]
        assert numbers(opened(path, frames=6, sharpest=False)) == [0, 2, 4, 5, 7, 9]  # some intervals would be empty

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"fps": 2, "frames": 3}, "fps and frames"),
            ({"frames": 3, "every": 2}, "frames and every"),
            ({"start": 2, "end": "0:01"}, "end must be after start"),
            ({"start": "1:2:3:4"}, r"start must be seconds.*1:2:3:4"),
            ({"start": 60}, r"clip\.mp4', which is 2\.90 s long"),
            ({"end": -1}, "end must be seconds"),
        ],
    )
    def test_wishes_that_cannot_be_met(self, options: dict[str, Any], said: str, video: Path) -> None:
        with pytest.raises(InputError, match=said):
            opened(video, **options)

    def test_options_of_videos_are_not_for_photos(self, video: Path, tmp_path: Path) -> None:
        photo = save(tmp_path / "a.png")
        with pytest.raises(InputError, match=r"fps is for inputs of the kinds .*video; this is photos"):
            open_source(photo, SourceOptions(fps=2))
        with pytest.raises(InputError, match=r"is a video.*alone"):
            open_source([photo, video])

    def test_as_many_as_asked_for_whatever_the_rate(self) -> None:
        for count, wanted in ((7, 3), (100, 60), (101, 100), (59, 59)):
            times = np.arange(count) / 29.97
            found = intervals(times, SourceOptions(frames=wanted), "a")
            assert found.count == wanted
            assert (np.diff(found.candidates) >= 0).all()


class TestContainers:
    @pytest.mark.parametrize(
        ("name", "codec", "pixel_format"),
        [
            ("a.mov", "libx264", "yuv420p"),
            ("a.mkv", "libx264", "yuv444p"),
            ("a.webm", "libvpx-vp9", "yuv420p"),
            ("a.gif", "gif", "rgb8"),
            ("a.avi", "mpeg4", "yuv420p"),
            ("a.ts", "libx264", "yuv420p"),
            ("a.h264", "libx264", "yuv420p"),
        ],
    )
    def test_every_kind(self, name: str, codec: str, pixel_format: str, tmp_path: Path) -> None:
        path = write_video(tmp_path / name, map(numbered, range(12)), codec, pixel_format=pixel_format)
        kind = "video" if name == "a.h264" else None  # which nothing but its name says, and which has no times
        assert numbers(opened(path, every=5, input_kind=kind)) == [0, 5, 10]
        if kind is None:
            assert numbers(opened(path, every=3, start=0.2)) == [2, 5, 8, 11]

    def test_a_gif_of_one_picture_is_a_photo(self, tmp_path: Path) -> None:
        assert kind_of(save(tmp_path / "a.gif")).name == "photos"

    def test_a_video_by_another_name(self, video: Path, tmp_path: Path) -> None:
        path = tmp_path / "photo.jpg"
        path.write_bytes(video.read_bytes())
        assert numbers(opened(path, every=10)) == [0, 10, 20]


class TestPixels:
    @pytest.mark.parametrize("angle", [90, 180, -90])
    def test_rotation_is_honoured(self, angle: int, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [numbered(5)], rotation=angle)
        pixels = opened(path).read(0).pixels
        expected = np.rot90(numbered(5), angle // 90)
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(int) - expected).mean() < 8

    def test_pixels_that_are_not_square(self, tmp_path: Path) -> None:
        from fractions import Fraction

        path = write_video(tmp_path / "a.mp4", [numbered(5)], aspect=Fraction(3, 2))
        assert opened(path).read(0).pixels.shape == (HEIGHT, WIDTH * 3 // 2, 3)

    @pytest.mark.parametrize(
        ("colours", "pixel_format", "size"),
        [
            ({"colorspace": 1, "color_range": 1}, "yuv420p", (64, 48)),
            ({"colorspace": 5, "color_range": 1}, "yuv420p", (64, 48)),
            ({"colorspace": 1, "color_range": 2}, "yuvj420p", (64, 48)),
            ({"colorspace": 1, "color_range": 1}, "yuv420p10le", (64, 48)),
        ],
    )
    def test_colours_are_those_that_went_in(
        self, colours: dict[str, int], pixel_format: str, size: tuple[int, int], tmp_path: Path
    ) -> None:
        colour = np.array([200, 60, 30], np.uint8)
        frame = np.tile(colour, (*size, 1))
        options = {"crf": "5"}
        path = write_video(tmp_path / "a.mp4", [frame], pixel_format=pixel_format, colours=colours, options=options)
        pixels = opened(path).read(0).pixels
        assert np.abs(pixels.mean(axis=(0, 1)) - colour).max() < 3

    @pytest.mark.parametrize("curve", [16, 18])
    def test_hdr_is_brought_to_srgb(self, curve: int, tmp_path: Path) -> None:
        """Grey of 18 % stays what it is, paper white is nearly white, ten times that is white."""
        light = np.array([0.18, 1.0, 4.9])
        signal = _pq(light * 203 / 10000) if curve == 16 else _hlg(light * 203 / 1000)
        frame = np.repeat(np.rint(signal * 65535).astype(np.uint16), 32)[None, :, None] * np.ones((48, 1, 3), np.uint16)
        colours = {"colorspace": 9, "color_range": 1, "color_trc": curve, "color_primaries": 9}
        path = write_video(tmp_path / "a.mp4", [frame], pixel_format="yuv420p10le", colours=colours)
        pixels = opened(path).read(0).pixels[24, 16::32].astype(int)
        assert np.ptp(pixels, axis=1).max() <= 3
        assert abs(pixels[0, 0] - 118) <= 3
        assert 238 <= pixels[1, 0] <= 248
        assert pixels[2, 0] > 250

    def test_colours_beyond_srgb_are_converted(self, tmp_path: Path) -> None:
        """sRGB's red, as BT.2020's primaries say it."""
        red = np.array([0.6274, 0.0691, 0.0164])
        encoded = np.where(red <= 0.0031308, 12.92 * red, 1.055 * red ** (1 / 2.4) - 0.055)
        frame = np.tile(np.rint(encoded * 65535).astype(np.uint16), (48, 64, 1))
        colours = {"colorspace": 9, "color_range": 1, "color_trc": 14, "color_primaries": 9}
        path = write_video(tmp_path / "a.mp4", [frame], pixel_format="yuv444p10le", colours=colours)
        pixels = opened(path).read(0).pixels.mean(axis=(0, 1))
        assert pixels[0] > 247
        assert pixels[1:].max() < 30


def _pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of light from 0 to 1 (10,000 candela per square metre): SMPTE ST 2084, equation 5.2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    return ((c1 + c2 * light**m1) / (1 + c3 * light**m1)) ** m2


def _hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of light from 0 to 1 (1,000 candela per square metre) on the screen: BT.2100, inverse OOTF and OETF."""
    scene = light ** (1 / 1.2)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073)


class TestDamage:
    def test_a_file_cut_off_gives_what_it_holds(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mkv", map(numbered, range(COUNT)), options={"g": "5"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        with pytest.warns(ReconWarning, match=r"a\.mkv' ends early: \d+ frames, .* of 3\.0 s"):
            found = numbers(opened(path, frames=COUNT))
        assert found == list(range(len(found)))
        assert 3 < len(found) < COUNT

    def test_an_mp4_with_its_index_first(self, tmp_path: Path) -> None:
        options = {"movflags": "+faststart"}
        path = write_video(
            tmp_path / "a.mp4", map(numbered, range(COUNT)), options={"g": "5"}, container_options=options
        )
        content = path.read_bytes()
        start = content.index(b"mdat")
        path.write_bytes(content[: start + (len(content) - start) * 2 // 3])
        with pytest.warns(ReconWarning, match=rf"ends early: \d+ of {COUNT} frames"):
            source = opened(path, frames=COUNT)
        shown = [number_of(source.read(index).pixels) for index in range(len(source.names))]
        assert shown == [round(frame.time * 10) for frame in source.frames]
        assert 3 < len(shown) < COUNT

    def test_an_mp4_without_its_index(self, video: Path, tmp_path: Path) -> None:
        path = tmp_path / "a.mp4"
        path.write_bytes(video.read_bytes()[:2000])
        with pytest.raises(InputError, match=r"a\.mp4' cannot be read as a video.*truncated"):
            open_source(path)

    def test_damage_in_the_middle(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", map(numbered, range(COUNT)), options={"g": "5", "bf": "0"})
        content = bytearray(path.read_bytes())
        start, end = content.index(b"mdat"), content.index(b"moov")
        content[(start + end) // 2 : (start + end) // 2 + 100] = bytes(100)
        path.write_bytes(bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconWarning)
            for options in ({"frames": COUNT}, {"frames": COUNT // 3, "sharpest": False}):  # decoded once, and twice
                source = opened(path, **options)
                shown = load_each(source, lambda photo: number_of(photo.pixels)).photos
                named = [frame.number for frame in source.frames]
                assert len(named) - 8 <= len(shown) <= len(named)
                assert (shown[:2], shown[-1]) == (named[:2], named[-1])

    def test_of_one_frame(self, tmp_path: Path) -> None:
        assert numbers(opened(write_video(tmp_path / "a.mp4", [numbered(0)]))) == [0]

    def test_without_frames(self, tmp_path: Path, video: Path) -> None:
        (tmp_path / "a.mp4").write_bytes(video.read_bytes()[:64])
        with pytest.raises(InputError, match=r"a\.mp4' cannot be read as a video"):
            open_source(tmp_path / "a.mp4")
        sound = write_sound(tmp_path / "b.mp4")
        with pytest.raises(InputError, match=r"b\.mp4' holds only sound"):
            open_source(sound)
        (tmp_path / "c.mp4").write_bytes(b"")
        with pytest.raises(InputError, match=r"c\.mp4"):
            open_source(tmp_path / "c.mp4")


class TestDecoding:
    def test_without_room_frames_are_decoded_again(self, video: Path) -> None:
        options = SourceOptions(every=4)
        kept, again = VideoSource(video, options), VideoSource(video, options, FrameSpool(WIDTH * HEIGHT * 3 * 2))
        assert [frame.kept is None for frame in again.frames] == [False] * 2 + [True] * 6
        for index in (5, 2, 7, 0, 3, 6):
            np.testing.assert_array_equal(again.read(index).pixels, kept.read(index).pixels)

    def test_the_video_is_decoded_once(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        decoded = []

        def counted(*arguments: Any) -> Any:
            decoded.append(arguments)
            return original(*arguments)

        original = video_file._decoded
        monkeypatch.setattr(video_file, "_decoded", counted)
        source = opened(video, frames=6)
        assert not decoded
        for _ in range(2):
            assert len([source.read(index) for index in range(len(source.names))]) == 6
        assert len(decoded) == 1

    def test_every_frame_is_decoded_as_it_is_read(self, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By several threads at once, in one pass each time, and nothing is written."""
        passes = []

        def counted(*arguments: Any) -> Any:
            passes.append(arguments)
            return original(*arguments)

        original = video_file._decoded
        monkeypatch.setattr(video_file, "_decoded", counted)
        source = opened(video, fps=1000)
        assert len(source.names) == COUNT
        assert not passes
        for read in (1, 2):
            assert load_each(source, lambda photo: number_of(photo.pixels)).photos == list(range(COUNT))
            assert len(passes) == read
        assert all(frame.kept is None for frame in source.frames)

    def test_frames_are_let_go(self, video: Path) -> None:
        """At once, not when the garbage collector comes: that would be hundreds of frames later."""
        source = opened(video, fps=1000)
        source.read(0)
        frame = next(VideoFile.probe(video).frames())[1]
        before = sys.getrefcount(frame)
        source._pixels(frame)
        assert sys.getrefcount(frame) == before

    def test_memory_does_not_grow_with_the_frames(self, tmp_path: Path) -> None:
        def peak(count: int) -> int:
            path = write_video(tmp_path / f"{count}.mp4", (numbered(i % 256, 256, 144) for i in range(count)))
            source = opened(path, frames=count)
            tracemalloc.start()
            for index in range(len(source.names)):
                source.read(index)
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return size

        assert peak(60) < peak(10) + 256 * 144 * 3 * 5

    def test_content_is_of_the_file_and_the_frame(self, video: Path) -> None:
        source = opened(video, every=10)
        assert len({source.content(index) for index in range(3)}) == 3
        assert source.content(1) == opened(video, every=5).content(2)
