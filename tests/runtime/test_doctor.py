import pytest

from mlbloat import runtime
from mlbloat.errors import EngineError, UsageError
from mlbloat.runtime import kernel


def test_every_check_says_what_it_found_and_what_to_do() -> None:
    checks = runtime.doctor()
    assert [check.name for check in checks] == [
        "kernel",
        "privileges",
        "embedded sandbox",
        "overlay file system",
        "seccomp notification",
        "runc",
        "docker",
        "podman",
        "FUSE",
        "strace",
        "GPU",
    ]
    assert all(check.detail and check.remedy for check in checks)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="take auto, runc, embedded"):
        runtime.choose("podmann", tracing=False)


def test_what_is_missing_is_said_for_every_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in runtime.ENGINES:
        monkeypatch.setattr(engine, "problem", lambda *, tracing: "nothing works here")
    with pytest.raises(EngineError, match="runc: nothing works here; embedded: nothing works here"):
        runtime.choose("auto", tracing=True)


def test_auto_takes_the_first_engine_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    runc, embedded, *_ = runtime.ENGINES
    monkeypatch.setattr(runc, "problem", lambda *, tracing: "not installed")
    monkeypatch.setattr(embedded, "problem", lambda *, tracing: "")
    monkeypatch.setattr(embedded, "exposure", lambda: "")
    assert runtime.choose("auto", tracing=True) is embedded


def test_where_an_image_could_end_other_processes_the_engine_is_taken_by_name_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runc, embedded, *others = runtime.ENGINES
    for engine in (runc, *others):
        monkeypatch.setattr(engine, "problem", lambda *, tracing: "not installed")
    monkeypatch.setattr(embedded, "isolations", lambda: ("chroot",))
    monkeypatch.setattr(kernel, "knows_scopes", lambda: False)
    with pytest.raises(EngineError, match=r"embedded: .* could end other .* take --engine embedded if you trust"):
        runtime.choose("auto", tracing=True)
    assert runtime.choose("embedded", tracing=True) is embedded
    monkeypatch.setattr(kernel, "knows_scopes", lambda: True)
    assert runtime.choose("auto", tracing=True) is embedded
