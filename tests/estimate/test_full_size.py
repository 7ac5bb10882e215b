"""Photos worked on at their own size: for stereo alone, and of any size."""

from __future__ import annotations

import numpy as np
import pytest

from recon.errors import InputError
from recon.estimate.estimator import Fit
from recon.estimate.stereo import PROFILE, StereoEstimator
from recon.sources.fitting import combine
from recon.sources.photo import Photo
from recon.stereo.multi_view import StereoOptions
from tests.stereo.planes import INTRINSICS, card, row, see

SIZE = (97, 131)


def test_stereo_gives_depth_at_the_photos_own_size() -> None:
    """Both sides odd and no multiples of 14."""
    seen = see([card(0, (0, 0, 5.0), 12.0, 0.4)], row(3), SIZE)
    photos = [PROFILE.fit.photo(Photo(f"{i}", image), 0) for i, image in enumerate(seen.images)]
    views = combine(photos).with_cameras(seen.cameras)
    found = StereoEstimator(StereoOptions(device="cpu")).estimate(views)
    assert found.depth.shape == (3, *SIZE)
    np.testing.assert_array_equal(found.processed_to_original, np.tile(np.eye(3), (3, 1, 1)))
    np.testing.assert_allclose(found.intrinsics[0], INTRINSICS)
    kept = found.depth > 0
    assert kept.mean() > 0.6
    assert np.median(np.abs(found.depth[kept] / seen.depth[kept] - 1)) < 0.003


def test_only_what_takes_photos_at_their_own_size_is_given_them() -> None:
    PROFILE.fit.check("multi-view stereo", 0, None)
    with pytest.raises(InputError, match=r"process_res 0.*multi-view stereo.*da3-large"):
        Fit().check("da3-large", 0, None)
    with pytest.raises(InputError, match=r"process_res_method.*leave it out"):
        PROFILE.fit.check("multi-view stereo", 0, "lower_bound_crop")
