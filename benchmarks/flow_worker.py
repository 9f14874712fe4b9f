"""Times the runner and the flow on two projects in this process, with a Prefect server that runs already.

Run as ``python -m benchmarks.flow_worker PLAIN FLOW ROUNDS``; prints the seconds of each round as JSON. Each
round changes the first layer's inputs, so that every stage runs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from dvcgraph.schedule import reproduce
from flows import prefect_settings
from flows.server import running_server


def main() -> None:
    """Measure and print."""
    plain, flow, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    prefect_settings.apply(flow)
    seconds: dict[str, list[float]] = {"plain": [], "flow": []}
    with running_server() as server:
        from flows.pipeline import pipeline

        if server is not None:
            server.wait()
        for number in range(rounds):
            for project in (plain, flow):
                for path in sorted((project / "in").glob("0-*")):
                    path.write_text(f"{path.name} {number}\n", encoding="utf-8")
            start = time.perf_counter()
            summary = reproduce(plain, jobs=2, on_event=lambda _: None)
            seconds["plain"].append(time.perf_counter() - start)
            assert not summary.failed
            start = time.perf_counter()
            state = pipeline(str(flow), jobs=2, return_state=True)
            seconds["flow"].append(time.perf_counter() - start)
            assert state.is_completed()
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
