"""Files of a Hugging Face Hub repository: downloaded once, then served from the cache without a network.

The cache, the token, the endpoint and offline mode are huggingface_hub's own, with its environment variables
(`HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`). This module adds one-line errors that say what
to do, and progress that also reads well in a log file.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from recon.errors import CheckpointError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

_SECONDS_TO_ANSWER = 5.0
_WITHOUT_A_DOWNLOAD = (
    "download it on another machine and give its folder with --weights FOLDER, "
    "or try the program on random weights with --weights none"
)


def download_file(
    repo: str, filename: str, *, revision: str | None = None, token: str | None = None, progress: bool = True
) -> Path:
    """Path of one file of a hub repository in the local cache, downloaded if need be.

    `revision` is a branch, tag or commit (None: `main`); `token` overrides `HF_TOKEN` and a stored login. A download
    shows a progress bar on a terminal and two plain lines elsewhere; `progress=False` shows nothing.
    CheckpointError when the file cannot be had; a download cut short leaves nothing behind that looks finished.
    """
    from huggingface_hub import hf_hub_download

    with _one_line_errors(repo, filename, revision), _progress_bars(progress):
        if _cached_path(repo, filename, revision) is not None:
            return Path(hf_hub_download(repo, filename, revision=revision, token=token))
        _fail_at_once_without_network(repo, filename, revision, token)
        with _plain_lines(repo, filename) if progress else contextlib.nullcontext():
            return Path(hf_hub_download(repo, filename, revision=revision, token=token))


def is_cached(repo: str, revision: str | None = None, files: Sequence[str] = (CONFIG_FILE, WEIGHTS_FILE)) -> bool:
    """Whether `files`, a checkpoint of `repo`, can be loaded without a network. Looks at the cache only."""
    return all(_cached_path(repo, name, revision) is not None for name in files)


def is_reachable(repo: str) -> bool:
    """Whether the hub answers, within a few seconds, that `repo` has a checkpoint. Downloads nothing."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    try:
        get_hf_file_metadata(hf_hub_url(repo, CONFIG_FILE), timeout=_SECONDS_TO_ANSWER)
    except (OSError, _http_error()):
        return False
    return True


def _cached_path(repo: str, filename: str, revision: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, filename, revision=revision)
    return found if isinstance(found, str) else None


def _fail_at_once_without_network(repo: str, filename: str, revision: str | None, token: str | None) -> None:
    """Raise the connection error now: hf_hub_download logs and retries one for half a minute before it gives up."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.utils import HfHubHTTPError

    # An answer of any kind means that the hub is there; hf_hub_download then deals with it, and may well retry.
    with contextlib.suppress(HfHubHTTPError):
        get_hf_file_metadata(hf_hub_url(repo, filename, revision=revision), token=token)


@contextlib.contextmanager
def _progress_bars(enabled: bool) -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if enabled or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextlib.contextmanager
def _plain_lines(repo: str, filename: str) -> Iterator[None]:
    """Say that a download starts and ended, where stderr is no terminal and huggingface_hub therefore shows no bar."""
    if sys.stderr.isatty():
        yield
        return
    start = time.perf_counter()
    print(f"downloading {repo}/{filename}", file=sys.stderr, flush=True)
    yield
    print(f"downloaded {repo}/{filename} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _one_line_errors(repo: str, filename: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub.utils import HFValidationError

    try:
        yield
    except (HFValidationError, OSError, _http_error()) as error:
        raise CheckpointError(_explain(error, repo, filename, revision)) from error


def _http_error() -> type[Exception]:
    """The HTTP library's own base error (requests in older versions, httpx in newer ones)."""
    from huggingface_hub.utils import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__mro__[1]
    return base


def _explain(error: Exception, repo: str, filename: str, revision: str | None) -> str:
    """One line that says what went wrong with a download and what would be right."""
    from huggingface_hub import constants
    from huggingface_hub.utils import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    hub, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    if isinstance(error, HFValidationError):
        return f"{repo!r} is neither a local file or folder nor the id of a hub repository (org/name)"
    if isinstance(error, OfflineModeIsEnabled) or (
        isinstance(error, LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE
    ):
        where = f"{repo} at revision {revision}" if revision else repo
        return f"HF_HUB_OFFLINE is set and {filename} of {where} is not in the cache {cache}: {_WITHOUT_A_DOWNLOAD}"
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its terms at {hub}/{repo}, then log in with `hf auth login` or set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"no repository {repo} on {hub} (nor a local folder of that name): check the name, "
            "or give a token in HF_TOKEN if it is private"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}: give a branch, a tag or a full commit hash of it"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return f"{repo} has no file {filename}: not a Depth Anything 3 checkpoint ({CONFIG_FILE} + {WEIGHTS_FILE})"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "no status"
        if status in (401, 403):
            return f"{hub} refused access to {repo} ({status}): check the token in HF_TOKEN or of `hf auth login`"
        return f"{hub} answered {status} for {filename} of {repo}: try again later"
    if isinstance(error, LocalEntryNotFoundError):
        return f"cannot get {filename} of {repo} from {hub}, and it is not in the cache {cache}: {_WITHOUT_A_DOWNLOAD}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot write to the cache {error.filename}: {error.strerror}; HF_HOME moves it elsewhere"
    if isinstance(error, OSError) and error.strerror is not None and not isinstance(error, ConnectionError):
        return f"cannot write {filename} of {repo} to the cache {cache}: {error.strerror}; HF_HOME moves it elsewhere"
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"could not download {filename} of {repo} from {hub} ({reason}): check the network and run again, "
        f"or {_WITHOUT_A_DOWNLOAD}"
    )
