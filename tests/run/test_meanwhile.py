"""What is made ready beside the first stage is what the later ones need, and never in their way."""

from __future__ import annotations

import threading

from recon.run.meanwhile import meanwhile
from tests.new_process import run_python

_SIGNATURES = """
def signatures():
    from numba.core.dispatcher import Dispatcher
    return {
        f"{name}.{key}": len(value.signatures)
        for name, module in sys.modules.items() if name.startswith(f"recon.{PART}.")
        for key, value in vars(module).items() if isinstance(value, Dispatcher) and value.signatures
    }
"""


def test_works_are_done_in_turn_beside_the_block() -> None:
    began, done = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        began.wait(10)
        order.append("first")
        raise ValueError("is met again where it matters")

    def second() -> None:
        order.append("second")
        done.set()

    with meanwhile([first, second]):
        assert order == []
        began.set()
    assert done.wait(10)
    assert order == ["first", "second"]


def test_stereo_compiles_ahead_all_that_it_needs() -> None:
    program = f"""
import sys, warnings
warnings.simplefilter("error")
PART = "stereo"
{_SIGNATURES}
import numpy as np
from recon.types.cameras import Cameras
from recon.estimate.stereo import StereoEstimator
from recon.stereo.multi_view import StereoOptions, multi_view_depth
options = StereoOptions(device="cpu")
StereoEstimator(options).prepare()
ahead = signatures()
random = np.random.default_rng(1)
wall = random.integers(0, 256, (70, 120), dtype=np.uint8)
images = np.stack([np.repeat(wall[:, 4 * i : 4 * i + 90, None], 3, axis=2) for i in range(4)])
world_to_camera = np.tile(np.eye(4), (4, 1, 1))
world_to_camera[:, 0, 3] = -np.arange(4)
intrinsics = np.tile(np.array([[100.0, 0, 45], [0, 100, 35], [0, 0, 1]]), (4, 1, 1))
depth = multi_view_depth(images, Cameras(world_to_camera, intrinsics), None, options).depth
assert (depth > 0).mean() > 0.5
print(len(ahead) > 0, signatures() == ahead)
"""
    assert run_python(program) == "True True\n"
