"""Laws of the rotary embedding."""

from __future__ import annotations

import torch

from recon.models.rope import rotate, rotation_at, rotation_of_camera_tokens, rotation_within_view

HEAD_DIM = 32
CPU = torch.device("cpu")


def test_scores_depend_on_differences_of_position_only() -> None:
    q, k = torch.randn(20, HEAD_DIM), torch.randn(20, HEAD_DIM)
    positions_q, positions_k = torch.randint(0, 30, (20, 2)), torch.randint(0, 30, (20, 2))
    shift = torch.tensor([7, -3])

    def scores(offset: torch.Tensor) -> torch.Tensor:
        turned_q = rotate(q, rotation_at(positions_q + offset, HEAD_DIM))
        turned_k = rotate(k, rotation_at(positions_k + offset, HEAD_DIM))
        return (turned_q * turned_k).sum(dim=-1)

    torch.testing.assert_close(scores(shift), scores(torch.zeros(2, dtype=torch.long)), rtol=1e-4, atol=1e-4)


def test_rotation_keeps_lengths_and_zero_is_identity() -> None:
    x = torch.randn(5, 9, HEAD_DIM)
    turned = rotate(x, rotation_at(torch.randint(0, 40, (9, 2)), HEAD_DIM))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    torch.testing.assert_close(rotate(x, rotation_at(torch.zeros(9, 2), HEAD_DIM)), x)


def test_rows_and_columns_turn_their_own_half() -> None:
    x = torch.randn(1, HEAD_DIM)
    down = rotate(x, rotation_at(torch.tensor([[3, 0]]), HEAD_DIM))
    assert torch.equal(down[:, HEAD_DIM // 2 :], x[:, HEAD_DIM // 2 :])
    assert not torch.allclose(down[:, : HEAD_DIM // 2], x[:, : HEAD_DIM // 2])


def test_positions_within_a_view() -> None:
    rotation = rotation_within_view(2, 3, HEAD_DIM, CPU)
    expected = rotation_at(torch.tensor([[0, 0], [1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]), HEAD_DIM)
    assert torch.equal(rotation.cos, expected.cos)
    assert torch.equal(rotation.signed_sin, expected.signed_sin)


def test_turning_only_camera_tokens_across_views_changes_no_score() -> None:
    """Patches at (1, 1) and cameras at (0, 0), against patches left alone and cameras turned back by one."""
    tokens = torch.randn(6, HEAD_DIM), torch.randn(6, HEAD_DIM)  # two cameras, four patches
    positions = torch.tensor([[0, 0]] * 2 + [[1, 1]] * 4)
    q, k = (rotate(x, rotation_at(positions, HEAD_DIM)) for x in tokens)
    camera = rotation_of_camera_tokens(HEAD_DIM, CPU)
    q_short, k_short = (torch.cat([rotate(x[:2, None], camera)[:, 0], x[2:]]) for x in tokens)
    torch.testing.assert_close(q_short @ k_short.T, q @ k.T, rtol=1e-4, atol=1e-4)
