"""What several tests of images look at."""

import pytest

from mlbloat.image import blob, unpack


@pytest.fixture
def layers_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the layers that this process itself read."""
    names: list[str] = []
    real = unpack.unpack

    def counting(*args: object, name: str, **more: object) -> object:
        names.append(name)
        return real(*args, name=name, **more)  # type: ignore[arg-type, type-var]  # handed on as they came

    monkeypatch.setattr(blob, "unpack", counting)
    return names
