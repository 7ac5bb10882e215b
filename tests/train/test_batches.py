"""Batches: what fits together is checked where they are made, and shared out without loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from recon.train.batches import Batch, Sample, collate
from tests.seeds import numpy_random

VIEWS, HEIGHT, WIDTH = 2, 28, 42


def sample(index: int) -> Sample:
    random = numpy_random(index)
    depth = random.uniform(1, 3, (VIEWS, HEIGHT, WIDTH)).astype(np.float32)
    return Sample(
        images=random.standard_normal((VIEWS, 3, HEIGHT, WIDTH)).astype(np.float32),
        names=tuple(f"set/{index}-{view}.png" for view in range(VIEWS)),
        depth=depth,
        valid=depth > 1.2,
        world_to_camera=np.tile(np.eye(4, dtype=np.float32), (VIEWS, 1, 1)),
        intrinsics=np.tile(np.eye(3, dtype=np.float32), (VIEWS, 1, 1)),
    )


def test_samples_become_a_batch_and_its_parts_are_all_of_it() -> None:
    batch = collate([sample(index) for index in range(4)])
    assert batch.tokens == 4 * VIEWS * 2 * 3
    assert not batch.unlabeled
    parts = [batch.part(rank, 2) for rank in range(2)]
    assert parts[1].names == (batch.names[1], batch.names[3])
    joined = torch.stack([part.images for part in parts], dim=1).flatten(0, 1)
    assert torch.equal(joined, batch.images)
    assert parts[0].valid is not None
    assert torch.equal(parts[0].valid, batch.valid[::2])


@pytest.mark.parametrize("change", [{"exact": True}, {"sky": np.zeros((VIEWS, HEIGHT, WIDTH), bool)}])
def test_samples_that_differ_in_kind_make_no_batch(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        collate([sample(0), replace(sample(1), **change)])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"depth": torch.zeros(4, VIEWS, HEIGHT, WIDTH + 1)}, "depth"),
        ({"valid": None}, "valid"),
        ({"depth": None, "valid": None}, "teacher"),
        ({"cameras_given": True, "intrinsics": None}, "intrinsics"),
        ({"images": torch.zeros(4, VIEWS, 3, HEIGHT + 1, WIDTH)}, "images"),
    ],
)
def test_what_does_not_fit_together_is_named(change: dict, named: str) -> None:
    batch = collate([sample(index) for index in range(4)])
    with pytest.raises(ValueError, match=named):
        Batch(**{**vars(batch), **change})
