"""Run a benchmark: python -m bench trace IMAGE -w WORKLOAD [-n RUNS] [--engine ENGINE]"""

import argparse
from pathlib import Path

from bench import trace

DEMO = Path(__file__).parents[1] / "fixtures" / "images"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of mlbloat; each prints a ratio.")
    parser.add_argument("name", choices=["trace"], nargs="?", default="trace")
    parser.add_argument("image", nargs="?", default=f"oci-archive:{DEMO / 'demo.oci.tar'}", help="default: the demo")
    parser.add_argument("-w", "--workload", type=Path, default=DEMO / "demo.yaml")
    parser.add_argument("-n", "--runs", type=int, default=5, help="counted runs of each side")
    parser.add_argument("--engine", default="auto")
    asked = parser.parse_args()
    trace.main(asked.image, asked.workload, asked.runs, asked.engine)


if __name__ == "__main__":
    main()
