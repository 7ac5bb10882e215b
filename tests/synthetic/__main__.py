from __future__ import annotations

import sys

from .sample_scenes import main

main(sys.argv[1:])
