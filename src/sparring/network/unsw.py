"""UNSW-NB15: the 42 features of the official split files, and the rules they keep.

Source: Moustafa, Slay, "UNSW-NB15: a comprehensive data set for network intrusion detection systems", MilCIS 2015.
The rules were measured on the 82,332-row file; `observed` gives the rows that break one. Times are in seconds
(`dur`, `tcprtt`, `synack`, `ackdat`) or milliseconds (`sinpkt`, `dinpkt`, `sjit`, `djit`).

Two traps: a third of the rows are duplicates (use `drop_duplicates` before any split), and the sender's own `sttl`
gives the label away (31 is always normal, 254 is mostly attack), so a model that trusts it falls to one header field.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sparring.network.schema import Array, Feature, Relation, Schema, Table, words

PROTOCOLS = words(
    "tcp udp 3pc a/n aes-sp3-d any argus aris arp ax.25 bbn-rcc bna br-sat-mon cbt cftp chaos compaq-peer cphb cpnx "
    "crtp crudp dcn ddp ddx dgp egp eigrp emcon encap etherip fc fire ggp gmtp gre hmp i-nlsp iatp ib icmp idpr "
    "idpr-cmtp idrp ifmp igmp igp il ip ipcomp ipcv ipip iplt ipnip ippc ipv6 ipv6-frag ipv6-no ipv6-opts ipv6-route "
    "ipx-n-ip irtp isis iso-ip iso-tp4 kryptolan l2tp larp leaf-1 leaf-2 merit-inp mfe-nsp mhrp micp mobile mtp mux "
    "narp netblt nsfnet-igp nvp ospf pgm pim pipe pnni pri-enc prm ptp pup pvp qnx rdp rsvp rtp rvd sat-expak sat-mon "
    "sccopmce scps sctp sdrp secure-vmtp sep skip sm smp snp sprite-rpc sps srp st2 stp sun-nd swipe tcf tlsp tp++ "
    "trunk-1 trunk-2 ttp unas uti vines visa vmtp vrrp wb-expak wb-mon wsn xnet xns-idp xtp zero"
)
SERVICES = words("- dhcp dns ftp ftp-data http irc pop3 radius smtp snmp ssh ssl")
STATES = words("FIN INT CON REQ RST ACC CLO ECO PAR URN no")
COLUMNS = words(
    "dur proto service state spkts dpkts sbytes dbytes rate sttl dttl sload dload sloss dloss sinpkt dinpkt sjit djit "
    "swin stcpb dtcpb dwin tcprtt synack ackdat smean dmean trans_depth response_body_len ct_srv_src ct_state_ttl "
    "ct_dst_ltm ct_src_dport_ltm ct_dst_sport_ltm ct_dst_src_ltm is_ftp_login ct_ftp_cmd ct_flw_http_mthd ct_src_ltm "
    "ct_srv_dst is_sm_ips_ports"
)
"""The 42 features in file order, after `id` and before `attack_cat` and `label`."""

WINDOW_COUNTS = words("ct_srv_src ct_dst_ltm ct_src_dport_ltm ct_dst_sport_ltm ct_dst_src_ltm ct_src_ltm ct_srv_dst")
"""Counts over the monitor's last 100 connections; the connection itself counts, so they are at least 1."""

FAMILIES = words("normal analysis backdoor dos exploits fuzzers generic reconnaissance shellcode worms")
FAMILY_OF = {**{f: f for f in FAMILIES}, "backdoors": "backdoor"}
ALIASES = {
    "smeansz": "smean", "dmeansz": "dmean", "res_bdy_len": "response_body_len", "sintpkt": "sinpkt",
    "dintpkt": "dinpkt", "ct_src_ ltm": "ct_src_ltm",
}  # fmt: skip
"""Names in the raw records' feature list to names in the split files (both in lower case)."""

TCP = PROTOCOLS.index("tcp")
_FIN, _INT, _CON, _REQ, _ACC, _CLO = (STATES.index(s) for s in ("FIN", "INT", "CON", "REQ", "ACC", "CLO"))
_MTU = 1504
_CLOCK = 0.6e-6  # the file's durations are rounded to microseconds


@cache
def unsw_schema() -> Schema:
    """The UNSW-NB15 schema: 42 features, 196 matrix columns."""
    return Schema("unsw-nb15", tuple(_feature(n) for n in COLUMNS), (*_derived(), *_rules()))


def _feature(name: str) -> Feature:
    categories = {"proto": PROTOCOLS, "service": SERVICES, "state": STATES}
    if name in categories:
        return Feature(name, "category", categories=categories[name])
    if name in WINDOW_COUNTS:
        return Feature(name, "integer", low=1, high=100, owner="window")
    fixed = {
        "sttl": Feature(name, "integer", high=255, control="both"),
        "dttl": Feature(name, "integer", high=255, owner="receiver"),
        "swin": Feature(name, "integer", high=255, control="both"),
        "dwin": Feature(name, "integer", high=255, owner="receiver"),
        "stcpb": Feature(name, "integer", high=2**32 - 1, control="both"),
        "dtcpb": Feature(name, "integer", high=2**32 - 1, owner="receiver"),
        "smean": Feature(name, "integer", high=_MTU),
        "dmean": Feature(name, "integer", high=_MTU, owner="receiver"),
        "ct_state_ttl": Feature(name, "integer", high=6, owner="window"),
        "is_ftp_login": Feature(name, "integer", high=4),
        "ct_ftp_cmd": Feature(name, "integer", high=4),
        "is_sm_ips_ports": Feature(name, "flag"),
        "dur": Feature(name, "real", high=60, control="increase", scale="log1p"),
    }
    if name in fixed:
        return fixed[name]
    real = {"rate": 1e6, "sload": 6e9, "dload": 1e9, "sinpkt": 9e4, "dinpkt": 9e4, "sjit": 2e6, "djit": 1e6,
            "tcprtt": 60.0, "synack": 60.0, "ackdat": 60.0}  # fmt: skip
    owner = "receiver" if name[0] == "d" or name in ("response_body_len", "synack") else "sender"
    control = "increase" if name in ("spkts", "sbytes", "sloss", "dinpkt", "djit") else "none"
    control = "both" if name in ("sinpkt", "sjit") else control
    if name in real:
        return Feature(name, "real", high=real[name], control=control, owner=owner, scale="log1p")
    return Feature(name, "integer", high=1e8, control=control, owner=owner, scale="log1p")


def ttl_class(state: NDArray[np.int64], sttl: Array, dttl: Array) -> Array:
    """`ct_state_ttl` as the file computes it from state and both TTLs (the pairs seen; 0 elsewhere)."""
    answered = np.isin(sttl, (62, 63, 254, 255)) & np.isin(dttl, (252, 253))
    alone = (dttl == 0) & np.isin(sttl, (0, 62, 254))
    cases = (
        ((state == _FIN) & answered, 1.0),
        ((state == _INT) & alone, 2.0),
        ((state == _CON) & answered, 3.0),
        ((state == _CON) & (sttl == 254) & (dttl == 60), 3.0),
        ((state == _ACC) & answered, 4.0),
        ((state == _CLO) & answered, 5.0),
        ((state == _REQ) & (sttl == 254) & (dttl == 0), 6.0),
    )
    return np.select([c for c, _ in cases], [v for _, v in cases], 0.0)


def _per_second(amount: Array, dur: Array) -> Array:
    """Per second of the flow; 0 for a flow without duration."""
    return np.where(dur > 0, amount / np.where(dur > 0, dur, 1.0), 0.0)


def _derived() -> tuple[Relation, ...]:
    """Fields that are functions of others: means, rates, loads, round-trip time, the TTL class."""

    def gaps(t: Table) -> Array:
        return np.maximum(t["spkts"] + t["dpkts"] - 1, 0)

    def bits(t: Table, side: str) -> Array:
        packets = t[f"{side}pkts"]
        return 8 * t[f"{side}bytes"] * np.maximum(packets - 1, 0) / np.maximum(packets, 1)

    def rate(target: str, amount: str, columns: tuple[str, ...], observed: str) -> Relation:
        def value(t: Table) -> Array:
            return gaps(t) if amount == "gaps" else bits(t, amount)

        def off(t: Table) -> NDArray[np.bool_]:
            low = value(t) / (t["dur"] + _CLOCK)
            high = value(t) / np.maximum(t["dur"] - _CLOCK, 1e-12)
            outside = (t[target] < 0.99 * low - 1e-3) | (t[target] > 1.01 * high + 1e-3)
            return outside & ~((t["dur"] == 0) & (t[target] == 0))

        return Relation(f"{target} = {amount} / dur", (target, *columns, "dur"), off,
                        lambda t: {target: _per_second(value(t), t["dur"])}, (target,), True, observed)  # fmt: skip

    def mean(target: str, side: str) -> Relation:
        total, packets = f"{side}bytes", f"{side}pkts"

        def value(t: Table) -> Array:
            return np.rint(t[total] / np.maximum(t[packets], 1))

        return Relation(f"{target} = {total} / {packets}", (target, total, packets),
                        lambda t: np.abs(t[target] - t[total] / np.maximum(t[packets], 1)) > 1,
                        lambda t: {target: value(t)}, (target,), True)  # fmt: skip

    return (
        mean("smean", "s"),
        mean("dmean", "d"),
        rate("rate", "gaps", ("spkts", "dpkts"), "1269"),
        rate("sload", "s", ("spkts", "sbytes"), "1326"),
        rate("dload", "d", ("dpkts", "dbytes"), "86"),
        Relation("tcprtt = synack + ackdat", ("tcprtt", "synack", "ackdat"),
                 lambda t: np.abs(t["tcprtt"] - t["synack"] - t["ackdat"]) > 1.5e-6,
                 lambda t: {"tcprtt": t["synack"] + t["ackdat"]}, ("tcprtt",), True),
        Relation("ct_state_ttl follows state and TTLs", ("ct_state_ttl", "state", "sttl", "dttl"),
                 lambda t: t["ct_state_ttl"] != ttl_class(t["state"], t["sttl"], t["dttl"]),
                 lambda t: {"ct_state_ttl": ttl_class(t["state"], t["sttl"], t["dttl"])},
                 ("ct_state_ttl",), True, "157"),
    )  # fmt: skip


def _rules() -> tuple[Relation, ...]:
    quiet = ("dload", "dmean", "dinpkt", "djit", "dttl", "dloss")
    tcp_only = ("swin", "dwin", "stcpb", "dtcpb", "tcprtt")
    web = [SERVICES.index("http"), SERVICES.index("-"), -1]

    def unanswered(t: Table) -> NDArray[np.bool_]:
        silent = t["dpkts"] == 0
        return (silent != (t["dbytes"] == 0)) | (silent & np.any([t[n] != 0 for n in quiet], axis=0))

    def most(total: str, packets: str) -> tuple[tuple[str, str], str]:
        return (total, packets), f"{total} <= {_MTU} {packets}"

    return (
        Relation("dpkts = 0 <=> dbytes = 0 => no answer fields", ("dpkts", "dbytes", *quiet), unanswered),
        Relation("spkts >= 1", ("spkts",), lambda t: t["spkts"] < 1),
        Relation(f"24 spkts <= sbytes <= {_MTU} spkts", ("spkts", "sbytes"),
                 lambda t: (t["sbytes"] < 24 * t["spkts"]) | (t["sbytes"] > _MTU * t["spkts"]),
                 lambda t: {"sbytes": np.clip(t["sbytes"], 24 * t["spkts"], _MTU * t["spkts"])}, ("sbytes",)),
        Relation(most("dbytes", "dpkts")[1], most("dbytes", "dpkts")[0], lambda t: t["dbytes"] > _MTU * t["dpkts"]),
        Relation("sloss <= spkts", ("sloss", "spkts"), lambda t: t["sloss"] > t["spkts"],
                 lambda t: {"sloss": np.minimum(t["sloss"], t["spkts"])}, ("sloss",), observed="14"),
        Relation("dloss <= dpkts", ("dloss", "dpkts"), lambda t: t["dloss"] > t["dpkts"]),
        Relation("not tcp => no windows, sequence numbers, round trip", ("proto", *tcp_only),
                 lambda t: (t["proto"] != TCP) & np.any([t[n] != 0 for n in tcp_only], axis=0)),
        Relation("swin in 0, 255", ("swin",), lambda t: (t["swin"] != 0) & (t["swin"] != 255),
                 lambda t: {"swin": np.where(t["swin"] >= 128, 255.0, 0.0)}, ("swin",), observed="9"),
        Relation("dwin in 0, 255", ("dwin",), lambda t: (t["dwin"] != 0) & (t["dwin"] != 255), observed="13"),
        Relation("0 <= dur <= 60", ("dur",), lambda t: (t["dur"] < 0) | (t["dur"] > 60 + 1e-6)),
        Relation("one packet => no gaps", ("spkts", "sinpkt", "sjit"),
                 lambda t: (t["spkts"] == 1) & ((t["sinpkt"] > 0) | (t["sjit"] > 0)), observed="818"),
        Relation("sinpkt (spkts - 1) <= dur", ("sinpkt", "spkts", "dur"), _stretched,
                 lambda t: {"sinpkt": np.where(_stretched(t), 1e3 * t["dur"] / np.maximum(t["spkts"] - 1, 1),
                                               t["sinpkt"])}, ("sinpkt",), observed="768"),
        Relation("window counts >= 1", WINDOW_COUNTS, lambda t: np.any([t[n] < 1 for n in WINDOW_COUNTS], axis=0)),
        Relation("ct_src_dport_ltm <= ct_src_ltm", ("ct_src_dport_ltm", "ct_src_ltm"),
                 lambda t: t["ct_src_dport_ltm"] > t["ct_src_ltm"]),
        Relation("ct_dst_sport_ltm <= ct_dst_ltm", ("ct_dst_sport_ltm", "ct_dst_ltm"),
                 lambda t: t["ct_dst_sport_ltm"] > t["ct_dst_ltm"]),
        Relation("INT => unanswered", ("state", "dpkts"), lambda t: (t["state"] == _INT) & (t["dpkts"] > 0)),
        Relation("FIN => tcp", ("state", "proto"), lambda t: (t["state"] == _FIN) & (t["proto"] != TCP)),
        Relation("http methods => service http or -", ("ct_flw_http_mthd", "service"),
                 lambda t: (t["ct_flw_http_mthd"] > 0) & ~np.isin(t["service"], web)),
        Relation("is_ftp_login = ct_ftp_cmd", ("is_ftp_login", "ct_ftp_cmd"),
                 lambda t: t["is_ftp_login"] != t["ct_ftp_cmd"], observed="8"),
    )  # fmt: skip


def _stretched(t: Table) -> NDArray[np.bool_]:
    return t["sinpkt"] * (t["spkts"] - 1) > 1.01e3 * t["dur"] + 0.01
