"""Run a benchmark: python -m bench NAME --help"""

import argparse

from bench import levels, packages, reach, scan, size, slim, trace

BENCHMARKS = (trace, scan, size, reach, packages, slim, levels)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of mlbloat; each prints a ratio.")
    names = parser.add_subparsers(dest="name", required=True)
    for benchmark in BENCHMARKS:
        name, purpose = benchmark.__name__.rpartition(".")[2], (benchmark.__doc__ or "").splitlines()[0]
        below = names.add_parser(name, description=purpose, help=purpose)
        benchmark.arguments(below)
        below.set_defaults(main=benchmark.main)
    asked = parser.parse_args()
    asked.main(asked)


if __name__ == "__main__":
    main()
