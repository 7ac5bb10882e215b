"""What tyro finds wrong with a command line, as one line: its box of several sections without help texts and rules."""

from __future__ import annotations

import re

_FRAME = " │|╭╮╰╯"
_HINTS = ("Perhaps you meant", "Arguments similar to")
_LEFT_OUT = ("Argument helptext", "For full helptext", "Got errors")


def in_one_line(box: str) -> str:
    """The errors in `box`, and the options that may have been meant, without what `--help` says of them."""
    said: list[str] = []
    meant: list[str] = []
    for paragraph in _paragraphs(box):
        head, *names = paragraph
        if head.startswith(_HINTS):
            meant += [name.split()[0] for name in names]
        elif not head.startswith(_LEFT_OUT):
            said.append(f"{head} {', '.join(names)}".strip())
    # A value that may be absent as well is nothing that can be typed.
    message = "; ".join(said).replace("{None}|", "")
    return f"{message}; did you mean {' or '.join(dict.fromkeys(meant))}?" if meant else message


def _paragraphs(box: str) -> list[list[str]]:
    """For each paragraph, what it says, and the items listed below, without their indented help texts."""
    paragraphs: list[list[str]] = []
    begun = False
    for line in box.splitlines()[1:]:  # the first is the title
        bare = line.strip(_FRAME)
        if not bare.strip("─-"):
            begun = False
            continue
        indentation = len(line) - len(line.lstrip(_FRAME))
        text = re.sub(r"\[/?bold\]", "", bare)
        if not begun:
            paragraphs.append([text])
            begun, level = True, indentation
        elif indentation == level:
            paragraphs[-1][0] += f" {text}"
        elif indentation == level + 4:
            paragraphs[-1].append(text.split("  ")[0])
    return paragraphs
