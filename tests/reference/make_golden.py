"""Write the golden files: `python -m tests.reference.make_golden`. Needs the reference package."""

from __future__ import annotations

import numpy as np
import torch

from tests.models.golden_cases import CASES, FOLDER, GoldenCase, fingerprint
from tests.models.tiny import TINY
from tests.reference.networks import build_reference_network


def reference_output(case: GoldenCase) -> dict[str, np.ndarray]:
    """The reference's output for one case, by the names our output has."""
    network, reference = case.network(), build_reference_network(TINY[case.kind])
    reference.load_state_dict(network.state_dict(), strict=True)
    with torch.inference_mode():
        output = reference(
            *case.arguments(),
            export_feat_layers=list(case.feature_layers),
            infer_gs=case.infer_gs,
            ref_view_strategy=case.ref_view_strategy,
        )
    tensors = {name: output.get(name) for name in ("depth", "depth_conf", "sky", "extrinsics", "intrinsics")}
    if tensors["extrinsics"] is not None:
        tensors["extrinsics"] = tensors["extrinsics"][..., :3, :]
    if output.get("scale_factor") is not None:
        tensors["scale_factor"] = torch.tensor([output["scale_factor"]])
    if output.get("gaussians") is not None:
        tensors |= vars(output["gaussians"])
    tensors |= dict(output["aux"])
    arrays = {name: tensor.numpy() for name, tensor in tensors.items() if tensor is not None}
    return {**arrays, "fingerprint": np.float64(fingerprint(network))}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        np.savez_compressed(case.path, **reference_output(case))
        print(f"{case.path.name}: {case.path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
