"""Names of images in registries, as docker reads them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlbloat.registry import parse_reference
from mlbloat.registry.reference import api_authority, is_loopback

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("app", "docker.io/library/app:latest"),
        ("app:1", "docker.io/library/app:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("docker.io/app", "docker.io/library/app:latest"),
        ("index.docker.io/me/app:v1", "docker.io/me/app:v1"),
        ("registry-1.docker.io/app", "docker.io/library/app:latest"),
        ("host.example/app", "host.example/app:latest"),
        ("HOST.example/a/b/c:V_1.x-y", "host.example/a/b/c:V_1.x-y"),
        ("localhost/app", "localhost/app:latest"),
        ("host:5000/app:1", "host:5000/app:1"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"),
        ("[::1]:5000/app:1", "[::1]:5000/app:1"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}"),
        (f"host:1/a:old@{DIGEST}", f"host:1/a@{DIGEST}"),
        ("a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest"),
    ],
)
def test_a_name_is_completed_as_docker_does(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full
    assert parse_reference(full) == parse_reference(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no name of a repository"),
        ("App", "in lower case"),
        ("host.example/", "no name of a repository"),
        ("a/../b", "no name of a repository"),
        ("a//b", "no name of a repository"),
        ("a b", "no name of a repository"),
        ("a?x=y", "no name of a repository"),
        ("a" * 300, "no name of a repository"),
        ("a:", "no tag"),
        ("a:.x", "no tag"),
        ("a:" + "x" * 129, "no tag"),
        ("a@sha256:0", "not a digest"),
        ("a@", "not a digest"),
        ("user@host.example/a", "not a digest"),
        ("-host.example/a", "no host"),
        ("host:port/a", "no host"),
        ("host.example:1:2/a", "no host"),
    ],
)
def test_what_is_no_name_is_refused_with_the_part_that_is_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_reference(text)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="aZ0.:/@-_[]% \n?#\\", max_size=30))
def test_any_text_is_a_name_or_refused_and_never_leads_elsewhere(text: str) -> None:
    try:
        reference = parse_reference(text)
    except ValueError:
        return
    address = f"https://{api_authority(reference.authority)}/v2/{reference.repository}/manifests/{reference.selector}"
    assert not set(address) & set("@? \n#\\%")
    assert ".." not in reference.repository
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("authority", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("localhost.example", False),
        ("127.0.0.1.example:5000", False),
        ("10.0.0.1", False),
        ("docker.io", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_loopback(authority: str, loopback: bool) -> None:
    assert is_loopback(authority) is loopback
