"""The same errors, as two versions of tyro draw them."""

from __future__ import annotations

from recon.cli.usage_errors import in_one_line

PLAIN = """ Unrecognized options
 ---------------------------------------------------
  Unrecognized options: --process-ress, 3, --modle
  ---------------------------------------------------
  Arguments similar to --modle:
      --model STR
          Preset, or auto. (default: auto)
          in recon run --help
      --model {None}|STR
          Preset. (default: None)
  ---------------------------------------------------
  Arguments similar to --process-ress:
      --process-res INT
          Pixels of the longer side. (default: 504)
  ---------------------------------------------------
  For full helptext, run recon --help
"""
BOXED = """╭─ Value error ────────────────────────────────────────────────────╮
│ Error parsing --render-hw: no type matching {None}|{INT INT} could │
│ be instantiated from ['3'].                                        │
│                                                                    │
│ Got errors:                                                        │
│ - <class 'NoneType'>: ['3'] does not match choices ('None',)       │
│ - tuple[int, int]: expected argument count 2 of `[bold]INT[/bold]` │
│ ────────────────────────────────────────────────────────────────── │
│ Argument helptext:                                                 │
│     --render-hw {None}|{INT INT}                                   │
│     Height and width. (default: None)                              │
│ ────────────────────────────────────────────────────────────────── │
│ For full helptext, see recon --help                                │
╰────────────────────────────────────────────────────────────────────╯
"""
MISSING = """ Required options
 ------------------------------------
  Missing from recon export:
      RESULT.npz
          results.npz of a run. (required)
      --to STR
          Formats, joined with '-'. (required)
  ------------------------------------
  Unrecognized options:
      --zz
  ------------------------------------
  For full helptext, run:
      recon export --help
"""


def test_options_that_may_have_been_meant_are_named_once() -> None:
    expected = "Unrecognized options: --process-ress, 3, --modle; did you mean --model or --process-res?"
    assert in_one_line(PLAIN) == expected


def test_help_texts_and_further_guesses_are_left_out() -> None:
    assert in_one_line(BOXED) == (
        "Error parsing --render-hw: no type matching {INT INT} could be instantiated from ['3']."
    )


def test_every_section_of_errors_is_kept() -> None:
    assert in_one_line(MISSING) == "Missing from recon export: RESULT.npz, --to STR; Unrecognized options: --zz"
