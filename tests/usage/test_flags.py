"""What a report says that its figures cannot know."""

from dataclasses import replace

from mlbloat.model.package import Inventory
from mlbloat.model.report import RunReport
from mlbloat.model.use import Origin, RunRecord
from mlbloat.model.workload import Workload
from mlbloat.usage.flags import flags_of, growth
from tests.support.trees import tree_of

_IMAGE = Origin(id="sha256:1", diff_ids=("sha256:a", "sha256:b"))
_RECORD = RunRecord(name="r", engine="e", tracer="t", seconds=1.0, exit=0, stdout=b"", stderr=b"", origin=_IMAGE)
_NOTHING = Inventory(packages=(), owners={})
_CUDA = tree_of({"/usr/lib/libcudart.so.12": b""})


def _flags(record: RunRecord) -> tuple[str, ...]:
    return flags_of(tree_of({"/a": b""}), _NOTHING, (record,), Workload(), _IMAGE)


def test_a_run_of_another_image_is_said_with_what_they_share() -> None:
    other = Origin(id="sha256:2", diff_ids=("sha256:a", "sha256:c"))
    (flag,) = _flags(replace(_RECORD, origin=other))
    assert "was recorded on another image (sha256:2), which shares 1 of 2 layers" in flag
    assert _flags(_RECORD) == _flags(replace(_RECORD, origin=None)) == ()
    assert _flags(replace(_RECORD, origin=replace(_IMAGE, id="sha256:9"))) == ()  # the same files


def test_an_image_for_gpus_is_said_to_have_run_without_one() -> None:
    (flag,) = flags_of(_CUDA, _NOTHING, (_RECORD,), Workload(), _IMAGE)
    assert "was profiled without a GPU" in flag
    assert flags_of(_CUDA, _NOTHING, (replace(_RECORD, gpus=("all",)),), Workload(), _IMAGE) == ()


def test_a_profile_that_still_grows_is_said_to() -> None:
    def run(name: str, new: int) -> RunReport:
        return RunReport(name=name, engine="e", tracer="t", seconds=1.0, exit=0, files=5, new_files=new, new_bytes=new)

    assert growth((run("a", 5),)) == growth((run("a", 5), run("b", 0))) == ()
    assert "run 'b' touched 2 files (2 bytes) that no run before it did" in growth((run("a", 5), run("b", 2)))[0]


def test_a_package_to_keep_that_is_not_installed_is_said() -> None:
    workload = Workload(keep_packages=("pip:nothing",))
    (flag,) = flags_of(tree_of({"/a": b""}), _NOTHING, (_RECORD,), workload, _IMAGE)
    assert flag == "keep_packages of the workload file names pip:nothing, which is not installed; check its spelling"
