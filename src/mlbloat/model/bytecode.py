"""Where byte code lies, https://peps.python.org/pep-3147/."""

_CACHE = "/__pycache__"


def source_of(path: str) -> str:
    """Return the module that `d/__pycache__/m.cpython-311.opt-1.pyc` or `d/m.pyc` was compiled from."""
    directory, _, name = path.rpartition("/")
    if not directory.endswith(_CACHE):
        return path[: -len("c")]
    stem = name.removesuffix(".pyc")
    before, _, optimisation = stem.rpartition(".")
    if optimisation.startswith("opt-"):
        stem = before
    return f"{directory.removesuffix(_CACHE)}/{stem.rpartition('.')[0]}.py"
