"""What is compiled ahead is all that fitting splats to photos runs."""

from __future__ import annotations

from tests.new_process import run_python

PROGRAM = """
import sys
from numba.core.dispatcher import Dispatcher
from recon.refine.compile_ahead import compile_ahead
from recon.choices import SplatOptimisation
from recon.refine.optimise_splats import optimise_splats
from tests.refine.depth_scene import make_prediction


def compiled():
    modules = [sys.modules[name] for name in list(sys.modules) if name.startswith(("recon.refine", "recon.splats"))]
    loops = {loop for module in modules for loop in vars(module).values() if isinstance(loop, Dispatcher)}
    return {(loop.py_func.__qualname__, signature) for loop in loops for signature in loop.signatures}


compile_ahead()
ahead = compiled()
assert len(ahead) > 5
optimise_splats(make_prediction(3, 45, 60), SplatOptimisation(gs_iterations=2, gs_holdout=3), correct_cameras=True)
print(compiled() - ahead)
"""


def test_nothing_is_left_to_compile() -> None:
    assert run_python(PROGRAM).strip() == "set()"
