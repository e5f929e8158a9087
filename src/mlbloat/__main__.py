"""`python -m mlbloat` is `mlbloat`."""

from mlbloat.cli import main

if __name__ == "__main__":
    main()
