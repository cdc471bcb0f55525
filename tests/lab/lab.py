"""The lab: a caller at home behind a symmetric NAT, a server in a cloud behind a 1:1 NAT, a TURN server, the internet.

    caller --- home (NAT) ----.                     .---- cloud (1:1 NAT, firewall) --- server
       `------ mobile (NAT) ---+---- internet ----+
                                                    `---- turn

Each is a network namespace of its own; docs/network.md says more. Everything public is a documentation address
(RFC 5737), everything else private (RFC 1918, RFC 6598), and nothing leads out of the lab.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Literal

from tests.lab.spaces import Spaces, run

CALLER = "192.168.7.2"
CALLER_MOBILE = "100.64.3.2"
HOME = "198.51.100.10"
MOBILE = "198.51.100.130"
CLOUD = "203.0.113.10"
"""The server's public address, which nothing in the server's own namespace has."""
SERVER = "10.0.0.20"
TURN = "192.0.2.30"
STUN_PORT, TLS_PORT = 3478, 443
HTTP_PORT = 8000
MEDIA_PORTS = (40_000, 40_031)

Wall = Literal["open", "turn only", "tcp only", "web only"]
"""What the caller's network lets out: all; of UDP only what goes to TURN; no UDP; only TCP to ports 80 and 443."""

Route = Literal["direct", "turn_udp", "turn_tcp", "turn_tls", "relayed"]
"""What the internet counts: UDP between caller and server; caller and TURN by each way; UDP between TURN and server."""

_NO_UDP, _WEB = "meta l4proto udp counter drop", "tcp dport != {80, 443} counter drop"
_WALLS: dict[Wall, tuple[str, ...]] = {
    "open": (),
    "turn only": (f"ip daddr {TURN} udp dport {STUN_PORT} accept", _NO_UDP),
    "tcp only": (_NO_UDP,),
    "web only": (_NO_UDP, _WEB),
}

_NAT = """
table ip nat {
    chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade fully-random; }
}
table ip wall {
    chain out { }
    chain forward { type filter hook forward priority filter; iifname "lan" jump out; }
}
"""

_CLOUD = f"""
table ip nat {{
    chain media {{ }}
    chain in {{
        type nat hook prerouting priority dstnat
        iifname "wan" ip daddr {CLOUD} jump media
        iifname "wan" ip daddr {CLOUD} tcp dport 80 dnat to {SERVER}:{HTTP_PORT}
        iifname "wan" ip daddr {CLOUD} dnat to {SERVER}
    }}
    chain out {{ type nat hook postrouting priority srcnat; oifname "wan" ip saddr {SERVER} snat to {CLOUD}; }}
}}
table ip wall {{
    chain media {{ }}
    chain forward {{
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        iifname "lan" accept
        tcp dport {HTTP_PORT} accept
        jump media
        counter drop
    }}
}}
"""

_CALLERS = "198.51.100.0/24"
_INTERNET = f"""
table ip count {{
    counter direct {{ }}
    counter turn_udp {{ }}
    counter turn_tcp {{ }}
    counter turn_tls {{ }}
    counter relayed {{ }}
    chain lost {{ }}
    chain forward {{
        type filter hook forward priority filter
        jump lost
        ip saddr {_CALLERS} ip daddr {CLOUD} meta l4proto udp counter name direct
        ip saddr {CLOUD} ip daddr {_CALLERS} meta l4proto udp counter name direct
        ip saddr {_CALLERS} ip daddr {TURN} meta l4proto udp counter name turn_udp
        ip saddr {_CALLERS} ip daddr {TURN} tcp dport {STUN_PORT} counter name turn_tcp
        ip saddr {_CALLERS} ip daddr {TURN} tcp dport {TLS_PORT} counter name turn_tls
        ip saddr {TURN} ip daddr {CLOUD} meta l4proto udp counter name relayed
        ip saddr {CLOUD} ip daddr {TURN} meta l4proto udp counter name relayed
    }}
}}
"""


class Lab:
    """The lab, in ``with``. ``spaces`` are its namespaces: caller, home, mobile, internet, cloud, server, turn."""

    def __init__(self, name: str = "first") -> None:
        """``name``: tells the labs of one process apart."""
        self.spaces = Spaces(name, "caller", "home", "mobile", "internet", "cloud", "server", "turn")
        self._stack = ExitStack()

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            stack.enter_context(self.spaces)
            self._wire()
            self._address()
            self._rule()
            self.at_home()
            self.media_reached(True)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    # -- what tests do with it -------------------------------------------------------------------------------

    def at_home(self) -> None:
        """The caller is on its Wi-Fi, and has no other network."""
        self._leave("wwan0")
        self._enter("wlan0", CALLER, "192.168.7.1")

    def on_the_road(self) -> None:
        """The caller is on a mobile network: the address it had is gone, with every route it knew."""
        self._leave("wlan0")
        self._enter("wwan0", CALLER_MOBILE, "100.64.3.1")

    def without_network(self) -> None:
        """The caller is in a lift."""
        self._leave("wlan0")
        self._leave("wwan0")

    def wall(self, what: Wall) -> None:
        """Let the caller's networks only let out ``what``, from now on; also for calls that go on."""
        for name in ("home", "mobile"):
            self._fill(name, "ip wall out", *_WALLS[what])

    def media_over_proxy(self, over: bool) -> None:
        """Let the server's media ports lead to a proxy in "cloud", which listens on them at CLOUD, or to the server.

        Holds for flows that begin from now on; those that are known keep their way (conntrack).
        """
        rule = f"udp dport {MEDIA_PORTS[0]}-{MEDIA_PORTS[1]} accept"
        self._fill("cloud", "ip nat media", *([rule] if over else []))

    def without_turn(self, gone: bool) -> None:
        """Let the TURN server vanish, as a machine that fails (nothing answers and nothing refuses), or come back."""
        self._fill("internet", "ip count lost", *([f"ip daddr {TURN} counter drop"] if gone else []))

    def media_reached(self, open_: bool) -> None:
        """Let the cloud's firewall admit UDP to the server's media ports, or forget to."""
        rule = f"udp dport {MEDIA_PORTS[0]}-{MEDIA_PORTS[1]} accept"
        self._fill("cloud", "ip wall media", *([rule] if open_ else []))

    def counted(self) -> dict[Route, int]:
        """Packets that took each route since this was last asked."""
        told = json.loads(run(*self.spaces.command("internet", "nft", "-j", "reset", "counters")))
        counters = [entry["counter"] for entry in told["nftables"] if "counter" in entry]
        return {counter["name"]: counter["packets"] for counter in counters}

    def _fill(self, name: str, chain: str, *rules: str) -> None:
        """Let ``rules`` be all that a chain does."""
        self.spaces.nft(name, "\n".join([f"flush chain {chain}", *(f"add rule {chain} {rule}" for rule in rules)]))

    # -- how it is made --------------------------------------------------------------------------------------

    def _wire(self) -> None:
        self.spaces.join("caller", "wlan0", "home", "lan")
        self.spaces.join("caller", "wwan0", "mobile", "lan")
        self.spaces.join("home", "wan", "internet", "home")
        self.spaces.join("mobile", "wan", "internet", "mobile")
        self.spaces.join("cloud", "wan", "internet", "cloud")
        self.spaces.join("server", "eth0", "cloud", "lan")
        self.spaces.join("turn", "eth0", "internet", "turn")

    def _address(self) -> None:
        self._router("home", lan="192.168.7.1/24", wan=f"{HOME}/25", via="198.51.100.1")
        self._router("mobile", lan="100.64.3.1/24", wan=f"{MOBILE}/25", via="198.51.100.129")
        self._router("cloud", lan="10.0.0.1/24", wan=f"{CLOUD}/24", via="203.0.113.1")
        ports = {"home": "198.51.100.1/25", "mobile": "198.51.100.129/25", "cloud": "203.0.113.1/24"}
        self._host("internet", ports | {"turn": "192.0.2.1/24"})
        self._host("server", {"eth0": f"{SERVER}/24"}, via="10.0.0.1")
        self._host("turn", {"eth0": f"{TURN}/24"}, via="192.0.2.1")
        for name in ("home", "mobile", "cloud", "internet"):
            run(*self.spaces.command(name, "sysctl", "-qw", "net.ipv4.ip_forward=1"))

    def _rule(self) -> None:
        self.spaces.nft("home", _NAT)
        self.spaces.nft("mobile", _NAT)
        self.spaces.nft("cloud", _CLOUD)
        self.spaces.nft("internet", _INTERNET)

    def _router(self, name: str, lan: str, wan: str, via: str) -> None:
        self._host(name, {"lan": lan, "wan": wan}, via)

    def _host(self, name: str, addresses: dict[str, str], via: str | None = None) -> None:
        lines = [f"addr add {address} dev {interface}" for interface, address in addresses.items()]
        lines += [f"link set {interface} up" for interface in addresses]
        self.spaces.ip(name, *lines, *([f"route add default via {via}"] if via else []))

    def _enter(self, interface: str, address: str, via: str) -> None:
        self.spaces.ip("caller", f"link set {interface} up", f"addr replace {address}/24 dev {interface}",
                       f"route replace default via {via} dev {interface}")  # fmt: skip

    def _leave(self, interface: str) -> None:
        self.spaces.ip("caller", f"addr flush dev {interface}", f"link set {interface} down")
