"""Progress reaches whoever listens, with the stage it belongs to."""

from __future__ import annotations

import pytest

from recon.progress import Progress, listen, stage, tell, track


def test_parts_belong_to_the_stage_they_are_told_in():
    heard: list[Progress] = []
    with listen(heard.append):
        with stage("cameras", 1, 3):
            tell("matches", 4, 66)
        with stage("load", 2, 3):
            pass
        tell("read")
    assert heard == [
        Progress("cameras", stages_done=1, stages=3),
        Progress("cameras", "matches", 4, 66, 1, 3),
        Progress("load", stages_done=2, stages=3),
        Progress("", "read"),
    ]
    assert [event.text for event in heard] == ["cameras", "cameras: matches 4/66", "load", "read"]


def test_only_the_innermost_listener_is_told_and_the_outer_one_again_afterwards():
    outer: list[str] = []
    inner: list[str] = []
    with listen(lambda event: outer.append(event.part)):
        with listen(lambda event: inner.append(event.part)):
            tell("a")
        with listen(None):
            tell("b")
    tell("c")
    assert (outer, inner) == (["b"], ["a"])


def test_tracked_items_are_told_before_each():
    heard: list[tuple[str, int, int]] = []
    with listen(lambda event: heard.append((event.part, event.done, event.total))):
        assert list(track("xyz", "frames", 3)) == ["x", "y", "z"]
    assert heard == [("frames", done, 3) for done in range(3)]


def test_a_listener_that_raises_stops_the_work():
    def stop(event: Progress) -> None:
        if event.done == 2:
            raise KeyboardInterrupt

    worked: list[int] = []
    with listen(stop), stage("export"), pytest.raises(KeyboardInterrupt):
        worked.extend(track(range(5), "frames", 5))
    assert worked == [0, 1]
    tell("nobody is told", 2)


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_printed_but_a_bar_on_a_terminal(terminal, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert list(track([1, 2], "frames", 2)) == [1, 2]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("frames" in captured.err) == terminal
