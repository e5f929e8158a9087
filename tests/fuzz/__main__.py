"""`python -m tests.fuzz SECONDS [TARGET…]`: fuzz for so long, share and share alike; exit 1 at the first find.

With CI set the inputs are the same in every run. Hypothesis shrinks what it finds and prints it. An input that takes
ten seconds of the processor, or more than 3 GiB, is a find, too.
"""

import faulthandler
import itertools
import os
import random
import resource
import sys
import time

from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as examples

from tests.fuzz.targets import TARGETS, Target, survives

_MEMORY_BYTES = 3 << 30
_SLOW_SECONDS = 10
"""Of the processor: how long an input takes besides depends on what else the machine does."""
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
        deadline=None,
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
            begun = time.process_time()
            survives(target, value)
            took = time.process_time() - begun
            assert took < _SLOW_SECONDS, f"{target.name} took {took:.0f} seconds of the processor"
        except BaseException:
            found = True  # and is to be shrunk and shown, however long that takes
            raise

    # A gate must not fall over what no change brought: there the inputs are the same each time.
    first = 0 if os.environ.get("CI") else random.randrange(1 << 32)
    for number in itertools.count(first):
        if time.monotonic() >= end:
            break
        seed(number)(run)()
    faulthandler.cancel_dump_traceback_later()
    return count


if __name__ == "__main__":
    main(sys.argv[1:])
