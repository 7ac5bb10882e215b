"""`python -m recon`: the command."""

from __future__ import annotations

import sys

from recon.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
