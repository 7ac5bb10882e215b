"""How losses are computed, as far as it is for the user to say."""

from __future__ import annotations

from dataclasses import dataclass

from recon.options import Options, option


@dataclass(frozen=True, kw_only=True)
class LearningOptions(Options):
    """How losses are computed."""

    confidence_weight: float = option(0.2, help="Reward of confidence in the losses of depth and rays.", least=0)
    camera_parts: tuple[float, float, float] = option(
        (1.0, 1.0, 1.0), help="Weights of translation, rotation and field of view in the loss of cameras.", least=0
    )
    trimmed: float = option(0.2, help="Share of largest errors that the trimmed loss leaves out.", least=0, below=1)
    gradient_scales: int = option(4, help="Scales of gradient matching.", least=1)
    cut_mix: float = option(0.5, help="Share of unlabeled batches whose photos are mixed (CutMix).", least=0, most=1)
    feature_tolerance: float = option(
        0.85, help="Features whose cosine with the frozen encoder's is as large as this are left alone.", most=1
    )
    teacher_from: float = option(
        1.0,
        help="Share of the training after which a teacher's depth, aligned to the truth, replaces it; 1 for never.",
        least=0,
        most=1,
    )
