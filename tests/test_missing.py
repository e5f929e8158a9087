"""Of what a failed run lacks, the likeliest comes first."""

import pytest

from mlbloat.verify import Missed

MESSAGES = tuple(f"/usr/share/locale/{language}/LC_MESSAGES/tool.mo" for language in "abcdefghijkl")
LIBRARY = "/usr/lib/libneeded.so.1"


@pytest.mark.parametrize(
    ("path", "output"),
    [
        (LIBRARY, b"tool: error while loading shared libraries: libneeded.so.1: cannot open shared object file"),
        ("/app/lib/libneeded.so", b"dlopen of 'needed' failed: libneeded: no such library"),
        ("/lib/python3/site-packages/tools/ciphers.py", b"ModuleNotFoundError: No module named 'tools.ciphers'"),
        ("/lib/python3/site-packages/tools/units.py", b"ImportError: cannot import name 'units' from 'tools'"),
        ("/lib/python3/site-packages/later/__init__.py", b"ModuleNotFoundError: No module named 'later'"),
        ("/share/templates/index.html.j2", b"jinja2.exceptions.TemplateNotFound: index.html.j2"),
        ("/etc/tool.conf", b"cannot read /etc/tool.conf: No such file or directory"),
    ],
)
def test_what_a_run_says_it_lacks_comes_first(path: str, output: bytes) -> None:
    for missed in (Missed(asked=(*MESSAGES, path)), Missed(used=(*MESSAGES, path)), Missed(listed=(*MESSAGES, path))):
        assert missed.by([b"", output]).paths[0] == path
        assert missed.by([b"tool failed", b"why?"]) == missed


def test_what_the_original_uses_too_comes_before_what_is_only_looked_for() -> None:
    missed = Missed(asked=(*MESSAGES, LIBRARY), used=("/other", LIBRARY))
    assert missed.by([]).asked == (LIBRARY, *MESSAGES)
    assert missed.by([]).used == ("/other", LIBRARY)


def test_only_the_end_of_long_output_tells_what_a_run_died_of() -> None:
    output = b"reads tool.mo\n" + b"." * 20_000 + b"\nlibneeded.so.1 is missing"
    assert Missed(asked=(*MESSAGES, LIBRARY)).by([output]).asked[0] == LIBRARY


def test_a_list_of_rules_that_nobody_reads_is_cut() -> None:
    *rules, more = Missed(asked=MESSAGES).sentences()
    assert [rule.partition(",")[0] for rule in rules] == [f"it looked for {path}" for path in MESSAGES[:10]]
    assert more == "it looked for 2 more files that were removed; the report lists them, --repair 3 adds them"
    assert list(Missed(asked=MESSAGES[:10]).sentences()) == rules
    assert list(Missed(asked=MESSAGES[:11]).sentences())[-1].startswith("it looked for 1 more file that was removed;")
