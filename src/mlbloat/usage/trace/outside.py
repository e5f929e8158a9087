"""Where a run tried to connect to: addresses that it cannot have reached without a network. connect(2)."""

import ipaddress
import struct

_IPV4, _IPV6 = 2, 10
ADDRESS_BYTES = 28
"""struct sockaddr_in6, the longest that is looked at."""
_MOST = 100
_SHOWN = 3
_NAME_SERVER = 53


class Attempts:
    """Distinct addresses outside of the container, in the order of the attempts."""

    def __init__(self) -> None:
        self._places: dict[str, None] = {}

    def note(self, address: bytes) -> None:
        """Note a socket address as a program gives it to the kernel."""
        place = _place(address)
        if place and len(self._places) < _MOST:
            self._places[place] = None

    def flags(self) -> tuple[str, ...]:
        """Say what was refused."""
        if not self._places:
            return ()
        shown = ", ".join(list(self._places)[:_SHOWN])
        more = f" and {len(self._places) - _SHOWN} more" if len(self._places) > _SHOWN else ""
        return (
            f"it tried to reach {shown}{more}, and had no network: what it does with an answer was not seen; give the "
            "run `network: host` if it needs one",
        )


def _place(address: bytes) -> str:
    """Return an address outside, as a user would write it; empty for any other."""
    if len(address) < 8:
        return ""
    (family,) = struct.unpack_from("=H", address)
    (port,) = struct.unpack_from(">H", address, 2)
    if family == _IPV4:
        host: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(address[4:8])
    elif family == _IPV6 and len(address) >= 24:
        six = ipaddress.IPv6Address(address[8:24])
        host = six.ipv4_mapped or six
    else:
        return ""
    if host.is_loopback or host.is_unspecified:
        # Without a file that names one, the C library looks for a name server here.
        return "a name server" if port == _NAME_SERVER else ""
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"
