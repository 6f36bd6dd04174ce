"""``python -m jupyter_quantum.bundle_verify``."""

from __future__ import annotations

import sys

from jupyter_quantum.bundle_verify.command import main

if __name__ == "__main__":
    sys.exit(main())
