"""``python -m tandem.doctor``: the same as ``tandem doctor``, where nothing but Python works."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tandem.doctor.command import DEFAULT_LIMIT, run_doctor


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tandem.doctor", description="Say whether the suite can run here.")
    parser.add_argument("--json", action="store_true", help="Write JSON, for machines.")
    parser.add_argument("--limit", type=float, default=DEFAULT_LIMIT, help="Seconds that each framework may take.")
    options = parser.parse_args()
    try:
        return run_doctor(Path.cwd(), as_machine=options.json, limit=options.limit)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
