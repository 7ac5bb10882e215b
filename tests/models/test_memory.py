"""The context counts its uses and leaves other devices alone; what it is worth, `bench_inference` shows."""

from __future__ import annotations

import pytest
import torch

from recon.models import memory
from recon.models.memory import reuse_freed_memory

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(memory._glibc() is None, reason="only glibc needs it")


def test_uses_are_counted_through_nesting_and_errors() -> None:
    def fail_inside() -> None:
        with reuse_freed_memory(CPU):
            with reuse_freed_memory(CPU):
                assert memory._users == 2
            assert memory._users == 1
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert memory._users == 0


def test_nothing_changes_for_other_devices() -> None:
    with reuse_freed_memory(torch.device("cuda")):
        assert memory._users == 0
