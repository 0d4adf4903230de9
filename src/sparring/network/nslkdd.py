"""NSL-KDD: the 41 KDD'99 connection features, the rules they keep, and the labels' families.

Source: Tavallaee, Bagheri, Lu, Ghorbani, "A Detailed Analysis of the KDD CUP 99 Data Set", CISDA 2009. The rules
were measured on all 148,517 rows of KDDTrain+ and KDDTest+; `observed` gives train / test rows that break one.
`difficulty` says how many classifiers got a row right: it is read and set aside, never a feature.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sparring.network.schema import Feature, Relation, Schema, Table, words

PROTOCOLS = ("tcp", "udp", "icmp")
FLAGS = ("SF", "S0", "S1", "S2", "S3", "REJ", "RSTO", "RSTR", "RSTOS0", "SH", "OTH")
_ICMP_SERVICES = ("eco_i", "ecr_i", "red_i", "tim_i", "urh_i", "urp_i")
_UDP_SERVICES = ("domain_u", "ntp_u", "other", "private", "tftp_u")
_TCP_SERVICES = words(
    "IRC X11 Z39_50 aol auth bgp courier csnet_ns ctf daytime discard domain echo efs exec finger ftp ftp_data "
    "gopher harvest hostnames http http_2784 http_443 http_8001 imap4 iso_tsap klogin kshell ldap link login mtp "
    "name netbios_dgm netbios_ns netbios_ssn netstat nnsp nntp other pm_dump pop_2 pop_3 printer private "
    "remote_job rje shell smtp sql_net ssh sunrpc supdup systat telnet time uucp uucp_path vmnet whois"
)
SERVICES = tuple(sorted({*_ICMP_SERVICES, *_UDP_SERVICES, *_TCP_SERVICES}))
SERVICES_OF = {"tcp": _TCP_SERVICES, "udp": _UDP_SERVICES, "icmp": _ICMP_SERVICES}

INTRINSIC = words("duration protocol_type service flag src_bytes dst_bytes land wrong_fragment urgent")
CONTENT = words(
    "hot num_failed_logins logged_in num_compromised root_shell su_attempted num_root num_file_creations "
    "num_shells num_access_files num_outbound_cmds is_host_login is_guest_login"
)
TIME_WINDOW = words(
    "count srv_count serror_rate srv_serror_rate rerror_rate srv_rerror_rate same_srv_rate diff_srv_rate "
    "srv_diff_host_rate"
)
HOST_WINDOW = words(
    "dst_host_count dst_host_srv_count dst_host_same_srv_rate dst_host_diff_srv_rate dst_host_same_src_port_rate "
    "dst_host_srv_diff_host_rate dst_host_serror_rate dst_host_srv_serror_rate dst_host_rerror_rate "
    "dst_host_srv_rerror_rate"
)

COLUMNS = (*INTRINSIC, *CONTENT, *TIME_WINDOW, *HOST_WINDOW)
"""The 41 features in file order; `label` and `difficulty` follow them."""

FAMILIES = {
    "normal": ("normal",),
    "dos": words("apache2 back land mailbomb neptune pod processtable smurf teardrop udpstorm"),
    "probe": ("ipsweep", "mscan", "nmap", "portsweep", "saint", "satan"),
    "r2l": words(
        "ftp_write guess_passwd imap multihop named phf sendmail snmpgetattack snmpguess spy warezclient warezmaster "
        "worm xlock xsnoop"
    ),
    "u2r": ("buffer_overflow", "httptunnel", "loadmodule", "perl", "ps", "rootkit", "sqlattack", "xterm"),
}
FAMILY_OF = {label: family for family, labels in FAMILIES.items() for label in labels}
"""Label to family: normal, dos, probe, r2l, u2r (39 attack labels over both files)."""

TCP, UDP, ICMP = (PROTOCOLS.index(p) for p in ("tcp", "udp", "icmp"))
SF, S0, REJ = (FLAGS.index(f) for f in ("SF", "S0", "REJ"))
_ERROR_PAIRS = (
    ("serror_rate", "rerror_rate"),
    ("srv_serror_rate", "srv_rerror_rate"),
    ("dst_host_serror_rate", "dst_host_rerror_rate"),
    ("dst_host_srv_serror_rate", "dst_host_srv_rerror_rate"),
)


@cache
def nslkdd_schema() -> Schema:
    """The NSL-KDD schema: 41 features, 122 matrix columns."""
    return Schema("nsl-kdd", tuple(_feature(name) for name in COLUMNS), (*_protocol_rules(), *_window_rules()))


def _feature(name: str) -> Feature:
    if name in ("protocol_type", "service", "flag"):
        return Feature(
            name, "category", categories={"protocol_type": PROTOCOLS, "service": SERVICES, "flag": FLAGS}[name]
        )
    if name in ("land", "logged_in", "root_shell", "is_host_login", "is_guest_login"):
        return Feature(name, "flag", owner="receiver" if name in CONTENT else "sender")
    if name.endswith("_rate"):
        return Feature(name, "real", grid=0.01, control="both", owner="window")
    if name in (*TIME_WINDOW, *HOST_WINDOW):
        return Feature(name, "integer", high=511 if name in TIME_WINDOW else 255, control="both", owner="window")
    if name in ("duration", "src_bytes", "dst_bytes"):
        high = 65535 if name == "duration" else 2**31 - 1
        owner = "receiver" if name == "dst_bytes" else "sender"
        return Feature(name, "integer", high=high, control="increase", owner=owner, scale="log1p")
    fixed = {"wrong_fragment": 3, "urgent": 3, "num_failed_logins": 5, "su_attempted": 2, "num_outbound_cmds": 0}
    if name in fixed:
        return Feature(name, "integer", high=fixed[name], owner="receiver" if name in CONTENT else "sender")
    return Feature(name, "integer", high=10_000, owner="receiver", scale="log1p")


def _protocol_rules() -> tuple[Relation, ...]:
    allowed = np.zeros((len(PROTOCOLS), len(SERVICES) + 1), dtype=bool)
    for protocol, services in SERVICES_OF.items():
        allowed[PROTOCOLS.index(protocol), [SERVICES.index(s) for s in services]] = True
    allowed[:, -1] = True  # an unknown service (-1) cannot be judged

    def connectionless(t: Table) -> NDArray[np.bool_]:
        stray = (t["flag"] != SF) | (t["logged_in"] > 0) | (t["urgent"] > 0) | (t["land"] > 0)
        return ((t["protocol_type"] == UDP) | (t["protocol_type"] == ICMP)) & stray

    def carried(t: Table) -> NDArray[np.bool_]:
        return (t["src_bytes"] > 0) | (t["dst_bytes"] > 0)

    def touched(t: Table) -> NDArray[np.bool_]:
        return (t["num_shells"] > 0) | (t["num_file_creations"] > 0) | (t["num_access_files"] > 0)

    return (
        Relation("num_outbound_cmds == 0", ("num_outbound_cmds",), lambda t: t["num_outbound_cmds"] != 0),
        Relation("udp, icmp => SF, not logged in, no urgent, no land",
                 ("protocol_type", "flag", "logged_in", "urgent", "land"), connectionless),
        Relation("tcp => no wrong_fragment", ("protocol_type", "wrong_fragment"),
                 lambda t: (t["protocol_type"] == TCP) & (t["wrong_fragment"] > 0)),
        Relation("wrong_fragment in 0, 1, 3", ("wrong_fragment",), lambda t: ~np.isin(t["wrong_fragment"], (0, 1, 3))),
        Relation("icmp => duration = dst_bytes = 0", ("protocol_type", "duration", "dst_bytes"),
                 lambda t: (t["protocol_type"] == ICMP) & ((t["duration"] > 0) | (t["dst_bytes"] > 0))),
        Relation("REJ => no bytes", ("flag", "src_bytes", "dst_bytes"), lambda t: (t["flag"] == REJ) & carried(t)),
        Relation("S0 => no bytes", ("flag", "src_bytes", "dst_bytes"),
                 lambda t: (t["flag"] == S0) & carried(t), observed="4 / 0"),
        Relation("num_failed_logins <= 5, su_attempted <= 2", ("num_failed_logins", "su_attempted"),
                 lambda t: (t["num_failed_logins"] > 5) | (t["su_attempted"] > 2)),
        Relation("shells, files, access => logged_in",
                 ("logged_in", "num_shells", "num_file_creations", "num_access_files"),
                 lambda t: touched(t) & (t["logged_in"] == 0), observed="1 / 0"),
        Relation("the protocol offers the service", ("protocol_type", "service"),
                 lambda t: ~allowed[t["protocol_type"], t["service"]] & (t["protocol_type"] >= 0)),
        Relation("no negative amounts", _AMOUNTS, lambda t: np.any([t[n] < 0 for n in _AMOUNTS], axis=0)),
    )  # fmt: skip


_AMOUNTS = tuple(n for n in COLUMNS if n not in ("protocol_type", "service", "flag") and not n.endswith("_rate"))
_RATES = tuple(n for n in COLUMNS if n.endswith("_rate"))


def _window_rules() -> tuple[Relation, ...]:
    def off_grid(t: Table) -> NDArray[np.bool_]:
        return np.any([(t[n] < 0) | (t[n] > 1) | (np.abs(t[n] * 100 - np.rint(t[n] * 100)) > 1e-6) for n in _RATES], 0)

    def both_errors(a: str, b: str) -> Relation:
        def broken(t: Table) -> NDArray[np.bool_]:
            return t[a] + t[b] > 1.01 + 1e-9

        return Relation(f"{a} + {b} <= 1", (a, b), broken,
                        lambda t: {b: np.where(broken(t), 1 - t[a], t[b])}, (b,))  # fmt: skip

    def same_host(t: Table) -> NDArray[np.float64]:
        """Connections to the same host and service: at least this many, given the rate's rounding."""
        return (t["same_srv_rate"] - 0.005 - 1e-9) * t["count"]

    def jumps(t: Table) -> NDArray[np.bool_]:
        # Another host's connections to this service must be more than this host's, up to rounding.
        return (t["srv_diff_host_rate"] > 0) & (t["srv_count"] <= same_host(t))

    def one_sided(t: Table) -> NDArray[np.bool_]:
        return (t["same_srv_rate"] == 1) != (t["diff_srv_rate"] == 0)

    def most(t: Table) -> NDArray[np.float64]:
        return np.minimum(t["same_srv_rate"], np.floor(100 * t["srv_count"] / np.maximum(t["count"], 1)) / 100)

    def other(t: Table) -> NDArray[np.float64]:
        return np.where(t["same_srv_rate"] == 1, 0.0, np.maximum(t["diff_srv_rate"], 0.01))

    return (
        Relation("count, srv_count <= 511", ("count", "srv_count"),
                 lambda t: (t["count"] > 511) | (t["srv_count"] > 511)),
        Relation("dst_host counts <= 255", ("dst_host_count", "dst_host_srv_count"),
                 lambda t: (t["dst_host_count"] > 255) | (t["dst_host_srv_count"] > 255)),
        Relation("rates on the 0.01 grid of [0, 1]", _RATES, off_grid),
        *(both_errors(a, b) for a, b in _ERROR_PAIRS),
        Relation("same_srv_rate * count <= srv_count", ("same_srv_rate", "count", "srv_count"),
                 lambda t: same_host(t) > t["srv_count"],
                 lambda t: {"same_srv_rate": np.where(same_host(t) > t["srv_count"], most(t), t["same_srv_rate"])},
                 ("same_srv_rate",)),
        Relation("srv_count = 1 => srv_diff_host_rate 0", ("srv_count", "srv_diff_host_rate"),
                 lambda t: (t["srv_count"] == 1) & (t["srv_diff_host_rate"] > 0),
                 lambda t: {"srv_diff_host_rate": np.where(t["srv_count"] == 1, 0.0, t["srv_diff_host_rate"])},
                 ("srv_diff_host_rate",)),
        Relation("srv_diff_host_rate > 0 => srv_count > same_srv_rate * count",
                 ("srv_diff_host_rate", "srv_count", "same_srv_rate", "count"), jumps,
                 lambda t: {"srv_diff_host_rate": np.where(jumps(t), 0.0, t["srv_diff_host_rate"])},
                 ("srv_diff_host_rate",)),
        Relation("same_srv_rate = 1 <=> diff_srv_rate = 0", ("same_srv_rate", "diff_srv_rate"), one_sided,
                 lambda t: {"diff_srv_rate": np.where(one_sided(t), other(t), t["diff_srv_rate"])},
                 ("diff_srv_rate",), observed="651 / 15"),
    )  # fmt: skip
