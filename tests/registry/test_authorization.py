"""A registry gets the credentials it asks for, once, and only the one they are for."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.registry import DeniedError, Registry, RegistryError, open_registry, parse_reference
from mlbloat.registry.authorization import parse_challenges
from tests.support import images
from tests.support.registry import FakeRegistry, Fault, forget_credentials


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(auth="token") as running:
        running.add("app", "latest", images.oci_files([{"/a": b"x"}]))
        yield running


def opened(fake: FakeRegistry, environment: Mapping[str, str] | None = None, *, push: bool = False) -> Registry:
    login = {
        "MLBLOAT_REGISTRY_AUTH_AUTHORITY": fake.authority,
        "MLBLOAT_REGISTRY_AUTH_USERNAME": "user",
        "MLBLOAT_REGISTRY_AUTH_PASSWORD": "secret",
    }
    return open_registry(parse_reference(f"{fake.authority}/app"), environment or login, push=push)


@pytest.mark.parametrize(
    ("text", "challenges"),
    [
        ("Basic", [("basic", {})]),
        ('Basic realm="a b"', [("basic", {"realm": "a b"})]),
        (
            'Bearer realm="https://x/token",service="y",scope="repository:a:pull,push"',
            [("bearer", {"realm": "https://x/token", "service": "y", "scope": "repository:a:pull,push"})],
        ),
        (
            'Basic realm="x, Bearer y=1", BEARER Realm = z',
            [("basic", {"realm": "x, Bearer y=1"}), ("bearer", {"realm": "z"})],
        ),
        (r'Basic realm="a\"b"', [("basic", {"realm": 'a"b'})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ("", []),
        ('realm="x"', []),
    ],
)
def test_challenges_are_read(text: str, challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert [(found.scheme, found.parameters) for found in parse_challenges(text)] == challenges


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='aB=", \\\t', max_size=60))
def test_any_header_is_read(text: str) -> None:
    for challenge in parse_challenges(text):
        assert challenge.scheme == challenge.scheme.lower()


def test_a_token_is_asked_for_with_the_scope_that_is_needed_and_used_again(fake: FakeRegistry) -> None:
    with opened(fake) as registry:
        for _ in range(3):
            registry.manifest("latest", 10_000)
    asked = fake.requests("GET", "/token")
    assert [seen.path for seen in asked] == ["/token?service=fake&scope=repository%3Aapp%3Apull"]
    assert asked[0].headers["Authorization"].startswith("Basic ")
    with opened(fake, push=True) as registry:
        registry.manifest("latest", 10_000)
    assert fake.requests("GET", "/token")[-1].path.endswith("scope=repository%3Aapp%3Apull%2Cpush")


def test_a_token_that_ran_out_is_renewed(fake: FakeRegistry) -> None:
    with opened(fake) as registry:
        registry.manifest("latest", 10_000)
        fake.tokens.clear()
        registry.manifest("latest", 10_000)
    assert len(fake.requests("GET", "/token")) == 2


def test_a_token_without_a_password_is_enough_for_a_public_image(fake: FakeRegistry) -> None:
    fake.anonymous_pull = True
    with opened(fake, {"HOME": "/nowhere"}) as registry:
        registry.manifest("latest", 10_000)
    assert "Authorization" not in fake.requests("GET", "/token")[0].headers


def test_a_stranger_who_is_refused_hears_that_there_may_be_no_such_repository(fake: FakeRegistry) -> None:
    fake.anonymous_pull = True
    fake.faults.append(Fault("status", "/manifests/", times=1, status=401))
    fake.faults.append(Fault("status", "/manifests/", status=403))
    fake.faults[0].headers = {"WWW_Authenticate": f'Bearer realm="{fake.url}/token"'}
    says = "has no such repository for strangers, or wants a user name and password; docker login"
    with opened(fake, {"HOME": "/nowhere"}) as registry, pytest.raises(DeniedError, match=says):
        registry.manifest("latest", 10_000)


def test_an_identity_token_is_exchanged(fake: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(f'{{"auths": {{"{fake.authority}": {{"identitytoken": "secret"}}}}}}')
    with opened(fake, {"DOCKER_CONFIG": str(tmp_path)}) as registry:
        registry.manifest("latest", 10_000)
    assert len(fake.requests("POST", "/token")) == 1


def test_a_registry_token_is_sent_as_it_is(fake: FakeRegistry) -> None:
    fake.tokens.append("given")
    names = {"MLBLOAT_REGISTRY_AUTH_AUTHORITY": fake.authority, "MLBLOAT_REGISTRY_AUTH_TOKEN": "given"}
    with opened(fake, names) as registry:
        registry.manifest("latest", 10_000)
    assert fake.requests("GET", "/token") == []


def test_a_registry_that_refuses_what_it_gave_a_token_for_is_denied_and_not_asked_forever(fake: FakeRegistry) -> None:
    fake.faults.append(
        Fault("status", "/manifests/", status=401, headers={"WWW_Authenticate": f'Bearer realm="{fake.url}/token"'})
    )
    with (
        opened(fake) as registry,
        pytest.raises(DeniedError, match="refuses the credentials of MLBLOAT_REGISTRY_AUTH_US"),
    ):
        registry.manifest("latest", 10_000)
    assert len(fake.requests("GET", "/manifests/")) <= 4


def test_403_is_denied(fake: FakeRegistry) -> None:
    fake.faults.append(Fault("status", "/manifests/", status=403))
    with opened(fake) as registry, pytest.raises(DeniedError):
        registry.manifest("latest", 10_000)


@pytest.mark.parametrize("realm", ["http://203.0.113.1/token", "ftp://x/", "https://"])
def test_a_password_does_not_go_where_a_registry_must_not_send_it(fake: FakeRegistry, realm: str) -> None:
    fake.realm = realm
    with opened(fake) as registry, pytest.raises(RegistryError, match=r"leads to .*, which is not followed"):
        registry.manifest("latest", 10_000)


@pytest.mark.parametrize(
    ("status", "says"),
    [(500, "the token server .* answers 500; try again"), (200, "the token server .* sent no token")],
)
def test_a_token_server_that_fails_is_said_so(fake: FakeRegistry, status: int, says: str) -> None:
    fake.faults.append(Fault("status", "/token", status=status))
    with opened(fake) as registry, pytest.raises(RegistryError, match=says):
        registry.manifest("latest", 10_000)


def test_a_way_of_asking_that_is_unknown_is_said_so(fake: FakeRegistry) -> None:
    fake.faults.append(Fault("status", "/manifests/", status=401, headers={"WWW_Authenticate": "Negotiate"}))
    with opened(fake) as registry, pytest.raises(DeniedError, match="in a way that is unknown here"):
        registry.manifest("latest", 10_000)


def test_credentials_are_not_sent_before_they_are_asked_for(fake: FakeRegistry) -> None:
    fake.auth = "none"
    with opened(fake) as registry:
        registry.manifest("latest", 10_000)
    assert [seen for seen in fake.seen if "Authorization" in seen.headers] == []


def test_why_there_is_no_password_is_part_of_the_error(fake: FakeRegistry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "surely-missing"}')
    with (
        opened(fake, {"DOCKER_CONFIG": str(tmp_path)}) as registry,
        pytest.raises(
            DeniedError,
            match=r"wants a user name and password.* .docker-credential-surely-missing is not installed.; docker login",
        ),
    ):
        registry.manifest("latest", 10_000)


def test_another_host_after_a_redirect_may_not_ask_for_credentials(fake: FakeRegistry) -> None:
    with FakeRegistry(auth="token") as other, opened(fake) as registry:
        fake.blobs_elsewhere = other.url
        other.realm = f"{other.url}/token"
        digest = next(iter(fake.blobs["app"]))
        with pytest.raises(RegistryError, match=f"{other.authority} answers 401; try again"):
            registry.send("GET", registry.url(f"blobs/{digest}"))
        assert [seen.path for seen in other.seen] == [f"/v2/app/blobs/{digest}"]
        assert "Authorization" not in other.seen[0].headers
