"""Choice of the reference view, and the order that follows from it."""

from __future__ import annotations

import pytest
import torch

from recon.errors import InputError
from recon.models.reference_view import choose_ref_view, order_with_first, take_views
from tests.seeds import torch_random


def test_positional_strategies() -> None:
    tokens = torch.randn(2, 5, 16)
    assert choose_ref_view(tokens, "first").tolist() == [0, 0]
    assert choose_ref_view(tokens, "middle").tolist() == [2, 2]


def test_saddle_sim_range_takes_the_view_with_the_widest_range() -> None:
    # View 1 has a twin (similarity 1) and an opposite (-1); no other view has as wide a range.
    tokens = torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0, 1, 0.1], [0.3, -1, 0]]])
    assert choose_ref_view(tokens, "saddle_sim_range").item() == 1


def test_ties_go_to_the_earlier_view_whatever_the_rounding() -> None:
    """With all similarities positive the range is the largest one, which two views share."""
    tokens = torch.rand(50, 6, 32, generator=torch_random(0)) + 0.5
    noisy = tokens * (1 + 1e-6 * torch.randn(50, 6, 1, generator=torch_random(1)))
    chosen = choose_ref_view(tokens, "saddle_sim_range")
    assert torch.equal(chosen, choose_ref_view(noisy, "saddle_sim_range"))
    assert (chosen < 5).all()


def test_saddle_balanced_takes_the_middle_one_of_graded_views() -> None:
    angles = torch.linspace(0, 1, 5)
    graded = torch.stack([angles.cos(), angles.sin(), torch.zeros(5)], dim=-1) * torch.linspace(1, 2, 5)[:, None]
    assert choose_ref_view(graded[None], "saddle_balanced").item() not in (0, 4)


@pytest.mark.parametrize("strategy", ["saddle_balanced", "saddle_sim_range"])
def test_scenes_of_a_batch_choose_for_themselves(strategy: str) -> None:
    tokens = torch.randn(4, 6, 32, generator=torch_random(0))
    alone = [choose_ref_view(scene[None], strategy).item() for scene in tokens]
    assert choose_ref_view(tokens, strategy).tolist() == alone
    assert len(set(alone)) > 1


def test_order_puts_the_reference_first_and_is_undone() -> None:
    order = order_with_first(torch.tensor([2, 0]), 4)
    assert order.tolist() == [[2, 0, 1, 3], [0, 1, 2, 3]]
    x = torch.randn(2, 4, 3)
    assert torch.equal(take_views(take_views(x, order), order.argsort(dim=1)), x)


def test_unknown_strategy() -> None:
    with pytest.raises(InputError, match="saddle_balanced, saddle_sim_range, got 'best'"):
        choose_ref_view(torch.randn(1, 3, 4), "best")
