"""The photos behind a prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon.digests import digest
from recon.errors import InputError
from recon.run.packing import pack
from recon.sources.open_source import open_source
from recon.sources.originals import SourceOriginals
from tests.fake_network import save_photos
from tests.run.test_store import whole_prediction


def test_each_view_finds_its_photo_by_name(tmp_path):
    save_photos(tmp_path / "photos", 3)
    source = open_source(tmp_path / "photos")
    names = [source.names[2], source.names[0]]
    originals = SourceOriginals.by_name(source, names)
    assert [path.name for path in originals.paths] == names
    pixels, mask = originals.read(0)
    np.testing.assert_array_equal(pixels, source.read(2).pixels)
    assert mask is None
    originals.paths[1].unlink()
    with pytest.raises(InputError, match=names[1]):
        originals.read(1)


def test_they_are_no_part_of_the_result(tmp_path):
    save_photos(tmp_path / "photos", 2)
    bare = whole_prediction()
    source = open_source(tmp_path / "photos")
    with_photos = replace(bare, originals=SourceOriginals.by_name(source, source.names))
    assert digest(with_photos) == digest(bare)
    assert pack(with_photos)[0] == pack(bare)[0]
