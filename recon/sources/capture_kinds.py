"""Exports of capture apps as kinds of source."""

from __future__ import annotations

from pathlib import Path

from recon.choices import SourceOptions
from recon.sources.capture_marks import POLYCAM_MARKS, RECORD3D_MARKS, STRAY_SCANNER_MARKS, has_marks
from recon.sources.kind import SourceKind
from recon.sources.source import Source
from recon.sources.video_kind import VIDEO


def _open_polycam(path: Path, options: SourceOptions) -> Source:
    from recon.sources.polycam import open_polycam

    return open_polycam(path, options)


def _open_record3d(path: Path, options: SourceOptions) -> Source:
    from recon.sources.record3d import open_record3d

    return open_record3d(path, options)


def _open_stray_scanner(path: Path, options: SourceOptions) -> Source:
    from recon.sources.stray_scanner import open_stray_scanner

    return open_stray_scanner(path, options)


POLYCAM = SourceKind("polycam", "a capture of Polycam", lambda path: has_marks(path, POLYCAM_MARKS), _open_polycam)
RECORD3D = SourceKind(
    "record3d",
    "a capture of Record3D",
    lambda path: has_marks(path, RECORD3D_MARKS),
    _open_record3d,
    heeds=VIDEO.heeds - {"sharpest"},
)
STRAY_SCANNER = SourceKind(
    "stray-scanner",
    "a capture of Stray Scanner",
    lambda path: path.is_dir() and has_marks(path, STRAY_SCANNER_MARKS),
    _open_stray_scanner,
    heeds=VIDEO.heeds,
)
