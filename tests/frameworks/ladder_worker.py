"""One framework climbs the ladders of some experiments in the present project: FRAMEWORK EXPERIMENT ..."""

from __future__ import annotations

import sys

from stages import parity


def main() -> None:
    framework, *experiments = sys.argv[1:]
    for experiment in experiments:
        parity.main([experiment, framework])


if __name__ == "__main__":
    main()
