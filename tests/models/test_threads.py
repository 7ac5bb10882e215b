"""Work in parts gives what the plain operations give, whoever computes it."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
import torch

from recon.models.threads import LEAST_ROWS, MOST_ROWS, computes_in_parts, in_parallel, token_parts
from recon.models.transformer import TransformerBlock


@pytest.fixture(autouse=True)
def three_threads() -> object:
    """More threads than one on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("sequences", "tokens"), [(1, 384), (1, 1297), (4, 973), (7, 130), (2, 5000)])
def test_parts_cover_every_token_once(sequences: int, tokens: int) -> None:
    times = torch.zeros(sequences, tokens)
    for sequence, place in token_parts(sequences, tokens):
        assert 0 < place.stop - place.start <= MOST_ROWS
        times[sequence, place] += 1
    assert (times == 1).all()


def test_too_few_tokens_are_not_shared_out() -> None:
    assert token_parts(1, 3 * LEAST_ROWS - 1) == []
    assert token_parts(1, 3 * LEAST_ROWS) != []


def test_results_come_in_order_from_threads_that_compute_alone() -> None:
    def work(index: int) -> tuple[int, int, bool, str]:
        return index, torch.get_num_threads(), torch.is_inference_mode_enabled(), threading.current_thread().name

    results = in_parallel(work, range(50))
    assert [result[0] for result in results] == list(range(50))
    assert {result[1] for result in results} == {1}
    assert {result[2] for result in results} == {True}
    assert threading.current_thread().name not in {result[3] for result in results}
    assert torch.get_num_threads() == 3


def test_an_error_reaches_the_caller_and_the_threads_live_on() -> None:
    def work(index: int) -> int:
        if index == 4:
            raise ValueError("the fifth part")
        return index

    with pytest.raises(ValueError, match="the fifth part"):
        in_parallel(work, range(9))
    assert in_parallel(lambda index: index + 1, range(9)) == list(range(1, 10))


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("feed_forward", ["mlp", "swiglu"])
def test_a_block_in_parts_equals_the_block(qk_norm: bool, feed_forward: str) -> None:
    block = TransformerBlock(32, 2, feed_forward=feed_forward, qk_norm=qk_norm)  # type: ignore[arg-type]
    tokens = torch.randn(3, 400, 32)
    angles = torch.randn(400, 16)

    def turn(x: torch.Tensor, place: slice) -> torch.Tensor:
        return x * angles[place]

    with torch.no_grad():
        assert not computes_in_parts(tokens)
        expected = block(tokens, turn)
    with torch.inference_mode():
        assert computes_in_parts(tokens)
        found = block(tokens, turn)
    # Sums of up to 400 terms of order one, twice: a few hundred roundings of 6e-8.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_and_autocast_take_the_plain_way() -> None:
    tokens = torch.randn(2, 500, 8)
    assert not computes_in_parts(tokens.requires_grad_())
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert not computes_in_parts(tokens)
    with torch.inference_mode():
        assert not computes_in_parts(tokens.double())


def _in_child(queue: multiprocessing.SimpleQueue[int]) -> None:
    queue.put(sum(in_parallel(lambda index: index, range(10))))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    in_parallel(lambda index: index, range(10))
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.SimpleQueue[int] = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() == 45
