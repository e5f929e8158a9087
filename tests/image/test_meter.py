"""Bytes for the progress bars, and the stop that all readers obey."""

import multiprocessing
import pickle
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlbloat.cache import open_store
from mlbloat.image import Limits, load
from mlbloat.image.meter import Meter, StoppedError
from tests.support import images


def test_the_bytes_of_a_layer_count_for_the_layer_and_for_the_whole() -> None:
    told: list[tuple[str, int, int | None]] = []
    meter = Meter(lambda *what: told.append(what))
    meter.begin("reading layers", 30)
    one, two = meter.part("layer 0", 10), meter.part("layer 1", 20)
    one.add(4)
    two.add(20)
    assert told == [
        ("reading layers", 0, 30),
        ("layer 0", 4, 10),
        ("reading layers", 4, 30),
        ("layer 1", 20, 20),
        ("reading layers", 24, 30),
    ]
    assert (one.expanded(5), two.expanded(6), meter.expanded(0)) == (5, 11, 11)


def test_layers_that_are_read_side_by_side_tell_one_after_the_other() -> None:
    """Also those that the cache knew, which several threads read when a slim image is written."""
    inside, most = 0, 0

    def tell(text: str, done: int, total: int | None) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        inside -= 1

    meter = Meter(tell)
    meters = (meter.part("layer 0", 20), meter.later("layer 1", 20), meter.later("layer 2", 20))
    with ThreadPoolExecutor(len(meters)) as pool:
        list(pool.map(lambda each: [each.add(1) for _ in range(20)], meters))
    assert most == 1


def test_one_stop_stops_the_whole_and_every_part() -> None:
    meter = Meter()
    part = meter.part("layer 0", 10)
    meter.stop()
    for each in (meter, part, meter.later("layer 1", 1)):
        with pytest.raises(StoppedError):
            each.add(1)


def test_a_meter_in_another_process_is_a_silent_one() -> None:
    told: list[str] = []
    there = pickle.loads(pickle.dumps(Meter(lambda text, done, total: told.append(text)).part("layer 0", 1)))
    there.add(1)
    assert told == []


def test_a_meter_in_a_copy_of_this_process_is_a_silent_one(tmp_path: Path) -> None:
    """As when a process that learns about files unpacks a layer that the cache knew."""
    told = tmp_path / "told"

    def tell(text: str, done: int, total: int | None) -> None:
        told.write_text(text)

    meter = Meter(tell).later("layer 0", 1)
    copy = multiprocessing.get_context("fork").Process(target=meter.add, args=(1,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, should another test have left a thread
        copy.start()
    copy.join()
    assert (copy.exitcode, told.exists()) == (0, False)
    meter.add(1)
    assert told.read_text() == "layer 0"


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_layer_is_told_up_to_its_size(tmp_path: Path, compression: images.Compression) -> None:
    told: dict[str, tuple[int, int | None]] = {}

    def tell(text: str, done: int, total: int | None) -> None:
        told[text] = (done, total)

    path = images.oci_dir(tmp_path / "i", [{"/a": b"x" * 99_999}, {"/b": b""}], compression=compression)
    load(str(path), tmp_path / "w", progress=tell)
    assert set(told) == {"layer 0", "layer 1", "reading layers"}
    assert all(done == total for done, total in told.values())


def test_a_layer_that_the_cache_knew_is_not_counted_twice_when_it_is_read_later(tmp_path: Path) -> None:
    path = images.oci_dir(tmp_path / "i", [{"/a": b"x" * 5000}])
    limits = Limits(image_bytes=12_000)
    for turn in ("first", "second"):
        with open_store(tmp_path / "cache", "version") as cache:
            image = load(str(path), tmp_path / turn, limits=limits, cache=cache)
            (entry,) = image.layers[0].entries
            with image.layers[0].source.open(entry) as stream:
                assert stream.read() == b"x" * 5000
