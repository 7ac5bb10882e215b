from __future__ import annotations

import sys

from . import sample_scenes, training_scenes

if sys.argv[1:2] == ["training"]:
    training_scenes.main(sys.argv[2:])
else:
    sample_scenes.main(sys.argv[1:])
