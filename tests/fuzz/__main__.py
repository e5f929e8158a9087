"""`python -m tests.fuzz SECONDS [TARGET…]`: fuzz for so long, share and share alike; exit 1 at the first find.

Hypothesis shrinks what it finds and prints it. An input that takes ten seconds, or more than 3 GiB, is a find, too.
"""

import faulthandler
import resource
import sys
import time

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples

from tests.fuzz.targets import TARGETS, Target, survives

_MEMORY_BYTES = 3 << 30
_SLOW_MILLISECONDS = 10_000
_HANGING_SECONDS = 120
_ROUND = 100
_PHASES = (Phase.explicit, Phase.generate, Phase.target, Phase.shrink)


def main(words: list[str]) -> None:
    seconds = float(words[0])
    chosen = [target for target in TARGETS if target.name in words[1:] or not words[1:]]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for target in chosen:
        count = _fuzz(target, seconds / len(chosen))
        print(f"{target.name}: {count} inputs", flush=True)


def _fuzz(target: Target, seconds: float) -> int:
    end, count, found = time.monotonic() + seconds, 0, False

    @given(target.inputs)
    @examples(
        max_examples=_ROUND,
        deadline=_SLOW_MILLISECONDS,
        derandomize=False,
        database=None,
        phases=_PHASES,
        suppress_health_check=list(HealthCheck),
    )
    def run(value: object) -> None:
        nonlocal count, found
        faulthandler.dump_traceback_later(_HANGING_SECONDS, exit=True)
        if time.monotonic() >= end and not found:
            return
        count += 1
        try:
            survives(target, value)
        except BaseException:
            found = True  # and is to be shrunk and shown, however long that takes
            raise

    while time.monotonic() < end:
        run()
    faulthandler.cancel_dump_traceback_later()
    return count


if __name__ == "__main__":
    main(sys.argv[1:])
