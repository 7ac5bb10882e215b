"""Our networks against stored outputs of the reference package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.models.outputs import NetworkOutput
from recon.models.postprocess import finish
from tests.models.golden_cases import CASES, GoldenCase, fingerprint

TOLERANCE = 1e-4


def flat_output(output: NetworkOutput) -> dict[str, np.ndarray]:
    """Every tensor of an output by the name it has in the golden files."""
    names = ("depth", "depth_conf", "sky", "extrinsics", "intrinsics", "scale_factor")
    tensors = {name: getattr(output, name) for name in names}
    if output.gaussians is not None:
        tensors |= {name: getattr(output.gaussians, name) for name in output.gaussians.__dataclass_fields__}
    tensors |= {f"feat_layer_{layer}": tokens for layer, tokens in output.features.items()}
    return {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: GoldenCase) -> None:
    network = case.network()
    with np.load(case.path) as golden:
        assert fingerprint(network) == pytest.approx(golden["fingerprint"], rel=1e-9), "the random weights have changed"
        with torch.inference_mode():
            raw = network(
                *case.arguments(),
                infer_gs=case.infer_gs,
                feature_layers=case.feature_layers,
                ref_view_strategy=case.ref_view_strategy,
            )
        ours = flat_output(finish(raw))
        names = set(golden.files) - {"fingerprint"}
        assert names <= set(ours)
        for name in names:
            error = np.abs(ours[name] - golden[name]).max() / np.abs(golden[name]).max()
            assert error <= TOLERANCE, f"{name} differs by {error:.2e}"
