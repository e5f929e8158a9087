"""A real registry, `docker-registry` on the loopback address: pulled from, pushed to, and in the ways it can fail."""

import json
import random
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mlbloat import pipeline
from mlbloat.errors import BadImageError, ImageNotFoundError, PublishError
from mlbloat.image import load, squash
from mlbloat.model.image import Image
from mlbloat.model.use import Access, Action, RunRecord
from mlbloat.model.workload import Workload
from mlbloat.pipeline import Request
from mlbloat.slim import SlimOptions, check_destination, parse_destination
from mlbloat.usage import trace as tracing
from tests.slim.installed import LAYER
from tests.support import distribution, engines, images
from tests.support.distribution import Distribution, Wire
from tests.support.elf import elf_file
from tests.support.images import Members
from tests.support.registry import forget_credentials

pytestmark = pytest.mark.engine

LARGE = random.Random(1).randbytes(3_000_000)
LAYERS: list[Members] = [
    {"/lib/large": LARGE, "/bin/tool": elf_file()},
    {"/app/unused": b"unused" * 1000, "/app/used": b"used"},
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path / "home")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Distribution]:
    (tmp_path / "registry").mkdir()
    with distribution.running(tmp_path / "registry") as running:
        yield running


def skopeo(source: str, target: str, *options: str) -> None:
    plain = [f"--{side}-tls-verify=false" for side, place in (("src", source), ("dest", target)) if "docker:" in place]
    subprocess.run([engines.program("skopeo"), "copy", "-q", *plain, *options, source, target], check=True)


def put(registry: Distribution, space: Path, name: str = "team/app:1", *options: str) -> Image:
    """Push an image with skopeo, and return it as it is in a layout."""
    layout = images.oci_dir(space / "layout", LAYERS, config={"Cmd": ["/bin/tool"]})
    skopeo(f"oci:{layout}:latest", f"docker://{registry.authority}/{name}", *options)
    return load(f"oci-dir:{layout}", space / "peer")


def log_in(monkeypatch: pytest.MonkeyPatch, authority: str, password: str) -> None:
    for name, value in {"AUTHORITY": authority, "USERNAME": distribution.USER, "PASSWORD": password}.items():
        monkeypatch.setenv(f"MLBLOAT_REGISTRY_AUTH_{name}", value)


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_the_image_is_the_one_of_the_layout(registry: Distribution, tmp_path: Path, form: str) -> None:
    peer = put(registry, tmp_path, "team/app:1", "--format", form)
    image = load(f"registry:{registry.authority}/team/app:1", tmp_path / "w")
    assert [layer.entries for layer in image.layers] == [layer.entries for layer in peer.layers]
    assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in peer.layers]
    assert form != "oci" or (image.id, image.digest) == (peer.id, peer.digest)
    again = load(f"registry:{registry.authority}/team/app@{image.digest}", tmp_path / "v")
    assert again.digest == image.digest


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_a_registry_with_a_password_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: str
) -> None:
    with distribution.running(tmp_path, auth=auth) as registry:
        put(registry, tmp_path, "team/app:1", "--dest-creds", f"{distribution.USER}:{distribution.PASSWORD}")
        reference = f"registry:{registry.authority}/team/app"
        destination = parse_destination(f"{reference}:slim")
        with pytest.raises(ImageNotFoundError, match=r"wants a user name and password.*; docker login"):
            load(f"{reference}:1", tmp_path / "none")
        with pytest.raises(PublishError, match=r"wants a user name and password"):
            check_destination(destination)
        log_in(monkeypatch, registry.authority, "wrong")
        with pytest.raises(
            ImageNotFoundError, match="refuses the credentials of MLBLOAT_REGISTRY_AUTH_USERNAME"
        ) as error:
            load(f"{reference}:1", tmp_path / "wrong")
        assert error.value.exit_code == 4
        log_in(monkeypatch, registry.authority, distribution.PASSWORD)
        assert len(load(f"{reference}:1", tmp_path / "right").layers) == 2
        result = pipeline.slim(Request(reference=f"{reference}:1"), str(destination))
        assert load(f"{reference}:slim", tmp_path / "slim").digest == (result.report.slim and result.report.slim.digest)


def test_a_public_image_needs_no_password_where_the_registry_wants_tokens(tmp_path: Path) -> None:
    with distribution.running(tmp_path, auth="token") as registry:
        put(registry, tmp_path, "open/app:1", "--dest-creds", f"{distribution.USER}:{distribution.PASSWORD}")
        assert len(load(f"registry:{registry.authority}/open/app:1", tmp_path / "w").layers) == 2


def test_https_needs_a_certificate_that_is_trusted_and_then_plain_http_is_not_spoken(tmp_path: Path) -> None:
    with distribution.running(tmp_path, tls=True) as registry:
        put(registry, tmp_path)
        reference = f"registry:{registry.authority}/team/app:1"
        with pytest.raises(ImageNotFoundError, match=r"has no valid certificate .*self-signed certificate.*certs.d"):
            load(reference, tmp_path / "w")
        directory = tmp_path / "home/.config/containers/certs.d" / registry.authority
        directory.mkdir(parents=True)
        (directory / "ca.crt").write_bytes((tmp_path / "certificate.pem").read_bytes())
        image = load(reference, tmp_path / "v")
        assert len(image.layers) == 2
        pipeline.slim(Request(reference=reference), f"registry:{registry.authority}/team/app:slim")


def test_what_is_not_there_is_4(registry: Distribution, tmp_path: Path) -> None:
    for name in ("no/such:1", "no/such@sha256:" + "0" * 64):
        with pytest.raises(ImageNotFoundError, match=r"has no such image .MANIFEST_UNKNOWN: manifest unknown.; check"):
            load(f"registry:{registry.authority}/{name}", tmp_path / "w")


@pytest.mark.parametrize("cuts", [[1_000_000], [700_000, 900_000, 1_000_000]])
def test_a_download_that_is_interrupted_is_resumed(registry: Distribution, tmp_path: Path, cuts: list[int]) -> None:
    peer = put(registry, tmp_path)
    with closing(Wire(registry.authority)) as wire:
        wire.cuts = list(cuts)
        image = load(f"registry:{wire.authority}/team/app:1", tmp_path / "w")
        assert [layer.diff_id for layer in image.layers] == [layer.diff_id for layer in peer.layers]
        assert wire.cuts == []
        assert wire.received_bytes < 3_000_000 + 65536 * len(cuts) + 100_000  # nothing came twice


def test_a_corrupted_blob_is_refused(registry: Distribution, tmp_path: Path) -> None:
    put(registry, tmp_path)
    manifest = json.loads((tmp_path / "layout/index.json").read_bytes())["manifests"][0]["digest"]
    document = json.loads(registry.blob(manifest).read_bytes())
    largest = max(document["layers"], key=lambda layer: int(layer["size"]))["digest"]
    content = bytearray(registry.blob(largest).read_bytes())
    content[1_500_000] ^= 1
    registry.blob(largest).write_bytes(content)
    with pytest.raises(BadImageError, match=f"sent other content for {largest}; try again, and do not use"):
        load(f"registry:{registry.authority}/team/app:1", tmp_path / "w")


def test_a_slim_image_is_pushed_and_others_read_it(registry: Distribution, tmp_path: Path) -> None:
    put(registry, tmp_path)
    reference = f"registry:{registry.authority}/team/app"
    result = pipeline.slim(Request(reference=f"{reference}:1"), f"{reference}:slim")
    assert (result.failure, result.report.slim and result.report.slim.reference) == ("", f"{reference}:slim")
    skopeo(f"docker://{registry.authority}/team/app:slim", f"oci:{tmp_path}/pulled:slim")
    ours, theirs = load(f"{reference}:slim", tmp_path / "a"), load(f"oci-dir:{tmp_path}/pulled:slim", tmp_path / "b")
    assert ours.digest == theirs.digest
    assert [entry.path for entry in squash(theirs).files()] == ["/bin/tool"]


def test_a_push_of_a_sibling_sends_only_what_differs(registry: Distribution, tmp_path: Path) -> None:
    put(registry, tmp_path)
    keeping = {name: Workload(keep=("/lib/large", name)) for name in ("/app/used", "/app/unused")}
    with closing(Wire(registry.authority)) as wire:
        sent = []
        for tag, workload in enumerate(keeping.values()):
            before = wire.sent_bytes
            request = Request(reference=f"registry:{registry.authority}/team/app:1", workload=workload)
            pipeline.slim(request, f"registry:{wire.authority}/team/app-slim:{tag}")
            sent.append(wire.sent_bytes - before)
        assert sent[0] > 3_000_000
        assert sent[1] < 30_000


def profile_of(path: Path, *touched: str) -> Path:
    """Record a run that opened files, the program among them."""
    accesses = tuple(Access(name, Action.OPENED) for name in ("/bin/tool", *touched))
    run = RunRecord(
        name=path.stem, engine="e", tracer="t", seconds=0, exit=0, stdout=b"", stderr=b"", accesses=accesses
    )
    path.write_bytes(tracing.profile_file((run,)))
    return path


def test_siblings_slimmed_with_the_union_of_their_profiles_share_the_base_in_a_registry(
    registry: Distribution, tmp_path: Path
) -> None:
    """One base below two applications that use different files of it; of the second only its own layer is sent."""
    base: Members = {
        "/bin/tool": elf_file(),
        "/lib/first": random.Random(2).randbytes(1_000_000),
        "/lib/second": random.Random(3).randbytes(1_000_000),
        "/lib/unused": b"u" * 5000,
        **dict(LAYER),
    }
    profiles = []
    for name in ("first", "second"):
        layers: list[Members] = [base, {f"/app/{name}": f"{name} application", "/lib/unused": f"{name} too"}]
        layout = images.oci_dir(tmp_path / name, layers, config={"Cmd": ["/bin/tool"]})
        skopeo(f"oci:{layout}:latest", f"docker://{registry.authority}/team/{name}:1")
        profiles.append(profile_of(tmp_path / f"{name}.json", f"/lib/{name}", f"/app/{name}"))

    def pushed(name: str, tag: str, *profiles: Path) -> tuple[int, int]:
        """Slim and push; return the bytes that went over the wire, and how many blobs the registry has since."""
        before, sent = registry.blobs(), wire.sent_bytes
        request = Request(reference=f"registry:{registry.authority}/team/{name}:1", profiles=profiles)
        assert pipeline.slim(request, f"registry:{wire.authority}/slim/all:{tag}").failure == ""
        return wire.sent_bytes - sent, len(registry.blobs() - before)

    with closing(Wire(registry.authority)) as wire:
        assert pushed("first", "first", *profiles)[0] > 2_000_000
        sent_bytes, blobs = pushed("second", "second", *profiles)
        assert (sent_bytes < 20_000, blobs) == (True, 3)  # its layer, its configuration, its manifest
        sent_bytes, blobs = pushed("second", "again", *profiles)
        assert (sent_bytes < 20_000, blobs) == (True, 0)
        sent_bytes, _ = pushed("second", "alone", profiles[1])
        assert sent_bytes > 1_000_000  # a base of its own
    one, other = (
        load(f"registry:{registry.authority}/slim/all:{tag}", tmp_path / f"w-{tag}") for tag in ("first", "second")
    )
    assert one.layers[0].diff_id == other.layers[0].diff_id
    assert "/lib/unused" not in squash(one) and {"/lib/first", "/lib/second"} < squash(one).keys()


def test_a_registry_that_goes_away_in_the_middle_of_an_upload_moves_no_tag(
    registry: Distribution, tmp_path: Path
) -> None:
    put(registry, tmp_path)
    request = Request(reference=f"registry:{registry.authority}/team/app:1", workload=Workload(keep=("/lib/large",)))
    with closing(Wire(registry.authority)) as wire:
        wire.last_sent_byte = 1_000_000
        with pytest.raises(PublishError, match=r"cannot push to registry:.*; "):
            # One new layer: one that is passed on as it was is there already, and nothing would be sent.
            pipeline.slim(request, f"registry:{wire.authority}/team/app:1", wanted=SlimOptions(squash=True))
        assert wire.sent_bytes > 1_000_000
    assert len(load(f"registry:{registry.authority}/team/app:1", tmp_path / "w").layers) == 2


def test_blobs_of_another_repository_are_taken_over(registry: Distribution, tmp_path: Path) -> None:
    """An image that loses nothing keeps its layers' content; the registry takes over those that are the same blobs."""
    put(registry, tmp_path)
    with closing(Wire(registry.authority)) as wire:
        reference = f"registry:{wire.authority}/team/app:1"
        everything = Workload(keep=("/**",))
        pipeline.slim(Request(reference=reference, workload=everything), f"registry:{wire.authority}/team/copy:1")
        before = wire.sent_bytes
        pipeline.slim(
            Request(reference=f"registry:{wire.authority}/team/copy:1", workload=everything),
            f"registry:{wire.authority}/other/copy:1",
        )
        assert wire.sent_bytes - before < 30_000
