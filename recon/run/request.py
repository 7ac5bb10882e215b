"""What can be known to fail before anything is loaded: the input, the wishes, the formats and the folder of a run."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from recon.choices import MEASURED, InferenceOptions, SourceOptions
from recon.errors import InputError
from recon.estimate.estimator import Profile
from recon.estimate.measured import NO_DEPTH
from recon.export import formats_taking
from recon.options import part_of
from recon.run.own_outputs import check_outputs
from recon.run.wishes import wishes_of
from recon.sources.depth_priors import check_priors
from recon.sources.images import check_folders_apart
from recon.sources.open_source import PhotoSource, open_source
from recon.sources.source import Source


def check_request(
    profile: Profile, image: PhotoSource, options: InferenceOptions, formats: Sequence[str], folder: Path | None
) -> Source:
    """Refuse at once what can be known to fail before weights are loaded: input, wishes, formats, folder.

    Returns the photos, opened and not read. Raises InputError.
    """
    source = open_source(image, part_of(options, SourceOptions))
    if profile.needs.depths and source.depths is None:
        named = "depth_prior " if MEASURED in options.depth_prior else ""
        raise InputError(f"{named}{NO_DEPTH}")
    check_priors(options.prior_folders, source.names)
    wishes_of(profile, options, formats)
    profile.fit.check(profile.name, options.process_res, options.process_res_method)
    for name in ("render_cameras", "render_hw"):
        takers = formats_taking(name)
        if getattr(options, name) is not None and not set(takers) & set(formats):
            raise InputError(f"{name} is for the export format {' or '.join(takers)}, which is not asked for")
    if folder is not None:
        check_writable(folder)
        check_folders_apart(source.folders, folder)
        check_outputs(folder, formats, source.folders)
    return source


def check_writable(folder: Path) -> None:
    """Raise InputError unless files can be made in `folder`, or in the nearest folder above it that exists."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"cannot write to {folder}: {existing} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=existing):
            return
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
