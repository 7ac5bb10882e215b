"""Compiled functions where numba can keep nothing."""

from __future__ import annotations

from typing import Any

import pytest

import recon.compiled
from recon.messages import ReconWarning


def test_without_a_cache_folder_kernels_still_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_lazily = recon.compiled.njit

    def without_cache(cache: bool = False, **options: Any) -> Any:
        def refuse(function: object) -> None:
            raise RuntimeError("cannot cache function: no locator available")

        return refuse if cache else compile_lazily(**options)

    monkeypatch.setattr(recon.compiled, "njit", without_cache)
    recon.compiled._warn_of_missing_cache.cache_clear()
    with pytest.warns(ReconWarning, match="NUMBA_CACHE_DIR"):
        double = recon.compiled.compiled()(lambda x: 2 * x)
    assert double(3) == 6
