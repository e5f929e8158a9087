from mlbloat.runtime.syscalls import ARCHITECTURES, AUDIT_ARCH, NUMBERS
from mlbloat.usage.trace.calls import BY_NUMBER, CALLS, NAMES


def test_every_call_has_a_number_somewhere_and_is_found_by_it() -> None:
    for name in NAMES:
        numbers = {arch: NUMBERS[arch][name] for arch in ARCHITECTURES if name in NUMBERS[arch]}
        assert numbers, name
        assert {BY_NUMBER[AUDIT_ARCH[arch]][number] for arch, number in numbers.items()} == {name}


def test_calls_that_take_a_directory_have_it_before_their_path() -> None:
    for call in CALLS.values():
        takes_directory = call.name.rstrip("2").endswith("at") or call.name in ("statx", "newfstatat", "fstatat64")
        for directory, path in call.paths:
            assert directory in (-1, path - 1), call.name
            if takes_directory and call.name not in ("stat", "lstat", "oldstat", "oldlstat"):
                assert directory == path - 1, call.name
