import random
import re

from mlbloat.usage.python.binary import collect

RUN = re.compile(rb"(?<!\w)\w++(?:\.\w++)+")
WORD = re.compile(rb"(?<=\0)[A-Za-z_]\w*+(?:\.\w++)*(?=\0)")
"""What is looked for, as expressions that say it and take long."""


def test_words_and_runs_are_what_the_plain_expressions_find() -> None:
    chance = random.Random(5)
    found = 0
    for _ in range(300):
        length = chance.randrange(200)
        data = b"\0" + bytes(chance.choice(b"ab_9.\0-\xff") for _ in range(length)) + b"\0"
        strings = collect(data)
        assert strings.words == {word.decode() for word in WORD.findall(data)}, data
        assert strings.glued == {run.decode() for run in RUN.findall(data)}, data
        found += len(strings.glued)
    assert found > 300


def test_a_run_with_long_names_is_found_whole_up_to_a_length() -> None:
    long, longest, too_long = b"a" * 500 + b".b", b"c" * 65_534 + b".d", b"e" * 65_535 + b".f"
    strings = collect(b"\0".join([b"", long, longest, too_long, b"g.h" + b".i" * 40_000, b"j.k", b""]))
    assert strings.glued == {long.decode(), longest.decode(), "j.k"}
