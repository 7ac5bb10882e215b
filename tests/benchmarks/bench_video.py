"""How fast frames of a video are chosen and decoded, and how much memory that takes.

    python -m tests.benchmarks.bench_video [--frames 600] [--video FILE]

A video of 1080p is made and read three ways, each in a process of its own: recon takes every frame as a photo; recon
takes the sharpest frame of each ten; FFmpeg's filter `select` takes one frame in ten, by the program `ffmpeg` where it
is installed, else by the same library within Python. All give RGB. Seconds are by the clock, of the best of three;
memory is the largest resident size of the process.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from recon.choices import SourceOptions
from recon.sources.loading import load_each
from recon.sources.video import VideoSource
from tests.sources.video_files import write_video

WIDTH, HEIGHT, INTERVAL = 1920, 1080, 10


def frames(count: int) -> Iterator[NDArray[np.uint8]]:
    """A moving camera over a texture, as detailed as a photo."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 4 + 60, WIDTH // 4 + 200, 3), dtype=np.uint8)
    texture = cv2.resize(noise, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    for index in range(count):
        x, y = index % 700, index % 200
        yield np.ascontiguousarray(texture[y : y + HEIGHT, x : x + WIDTH])


def by_recon(path: Path, options: SourceOptions) -> int:
    """How many photos come out, each decoded and let go."""
    return len(load_each(VideoSource(path, options), lambda photo: photo.pixels.shape).photos)


def by_ffmpeg(path: Path) -> int:
    """One frame in ten."""
    chosen = f"select=not(mod(n\\,{INTERVAL}))"
    if shutil.which("ffmpeg") is not None:
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", chosen, "-vsync", "0", "-pix_fmt", "rgb24"]
        size = len(subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True).stdout)
        return size // (WIDTH * HEIGHT * 3)
    import av

    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        graph = av.filter.Graph()
        source, select, sink = (
            graph.add_buffer(template=stream),
            graph.add("select", chosen[7:]),
            graph.add("buffersink"),
        )
        source.link_to(select)
        select.link_to(sink)
        graph.configure()
        for frame in container.decode(stream):
            graph.push(frame)
            try:
                count += graph.vpull().to_ndarray(format="rgb24").shape[2] // 3
            except av.error.BlockingIOError:
                continue
    return count


WAYS: dict[str, Callable[[Path], int]] = {
    "recon, every frame": lambda path: by_recon(path, SourceOptions(fps=1000)),
    "recon, the sharpest of ten": lambda path: by_recon(path, SourceOptions(fps=30 / INTERVAL)),
    "ffmpeg -vf select, one in ten": by_ffmpeg,
}


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--video", type=Path, help="instead of one that is made")
    parser.add_argument("--way", choices=WAYS)
    settings = parser.parse_args()
    if settings.way:
        start = time.perf_counter()
        count = WAYS[settings.way](settings.video)
        seconds = time.perf_counter() - start
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(count, seconds, megabytes)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = settings.video
        if path is None:
            path = write_video(Path(folder) / "a.mp4", frames(settings.frames), rate=30, options={"preset": "veryfast"})
        print(f"{'way':32}{'frames':>8}{'seconds':>9}{'MB':>8}")
        for way in WAYS:
            command = [sys.executable, "-m", "tests.benchmarks.bench_video", "--way", way, "--video", str(path)]
            runs = [
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(3)
            ]
            best = min(runs, key=lambda run: float(run[1]))
            print(f"{way:32}{best[0]:>8}{float(best[1]):9.2f}{float(best[2]):8.0f}")


if __name__ == "__main__":
    main()
