"""The kernels give the same, to the bit, in the process that compiles them and in those that load them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recon

MATCH = """
import hashlib
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from recon.stereo.images import Matching, Warp
from recon.stereo.plane_refinement import Bounds, refine
from recon.stereo.plane_refinement_kernels import refine_band
from recon.stereo.plane_sweep import _sweep_band, sweep

generator = np.random.default_rng(0)
size = 40, 61  # a width that leaves a remainder beside whole vector registers
smooth = np.cumsum(np.cumsum(generator.normal(size=(5, *size, 3)), axis=1), axis=2)
images = (128 + 40 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)
matrix = np.eye(3) + generator.normal(size=(4, 3, 3)) * ((0.02, 0.02, 2), (0.02, 0.02, 2), (1e-5, 1e-5, 0.01))
warp = Warp(matrix.astype(np.float32), generator.normal(size=(4, 3), scale=(60, 20, 0.3)).astype(np.float32))
matching = Matching(images[0, ..., 0], images[0], np.ascontiguousarray(images[1:, ..., 1]), warp, 2, 0.5)
with ThreadPoolExecutor(1) as pool:
    peaks = sweep(matching, np.linspace(0.1, 0.4, 16, dtype=np.float32), 7, pool)
    start = np.zeros((3, *size), np.float32)
    start[0] = peaks.inverse_depth[0]
    found = refine(matching, start, Bounds(0.02, 0.1, 0.4, 50.0), 9, 2, pool)
digest = hashlib.blake2b(b"".join(np.ascontiguousarray(part).tobytes() for part in (*peaks, *found))).hexdigest()
print(digest, sum(sum(kernel.stats.cache_hits.values()) for kernel in (_sweep_band, refine_band)))
"""


def in_a_new_process(cache: Path) -> tuple[str, int]:
    """Digest of what matching finds, and how many of its two kernels came from the cache."""
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": os.pathsep.join([str(Path(recon.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run([sys.executable, "-c", MATCH], env=environment, capture_output=True, text=True, check=True)
    digest, hits = done.stdout.split()
    return digest, int(hits)


@pytest.mark.slow
def test_kernels_from_the_cache_give_what_those_just_compiled_gave(tmp_path: Path):
    """A helper that is not inlined is compiled twice: by itself, and once more within the kernel that is kept. Which of
    the two runs would depend on the process."""
    compiled, hits = in_a_new_process(tmp_path)
    assert hits == 0
    loaded, hits = in_a_new_process(tmp_path)
    assert hits == 2
    assert loaded == compiled
