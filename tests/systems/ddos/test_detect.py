# pyright: basic
"""The watch over a stream: one incident for one attack, causes, names, rules, and a capture that grows."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparring.network import writer
from sparring.network.generator.attacks import Attack
from sparring.network.generator.scene import Scene, stage
from sparring.network.windows import whole
from sparring.systems.ddos.data import cut
from sparring.systems.ddos.detect import HOLD, Watch


@pytest.fixture(scope="module")
def capture(flooded, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("capture") / "flood.pcap"
    writer.write(path, flooded.headers)
    return path


def windows_of(seconds: int, *, rate: float = 40.0):
    attack = Attack("http flood", start=2.0, seconds=seconds - 2.0, rate=rate, bots=3)
    h = stage(Scene(float(seconds), rate=10.0, attacks=(attack,)), np.random.default_rng(1)).headers
    return whole([h])


def test_every_alert_of_a_lasting_incident_has_causes_and_few_explanations_are_asked_for(guard, monkeypatch):
    watch, asked = Watch(guard), []
    plain = Watch._causes
    monkeypatch.setattr(Watch, "_causes", lambda self, x, volume: asked.append(1) or plain(self, x, volume))
    alerts = [a for a in watch.see(windows_of(40)) if a.destination == "203.0.113.1"]
    assert len(alerts) > 20
    assert sum(a.fresh for a in alerts) == 1
    assert all(a.causes for a in alerts)
    assert len(asked) < len(alerts) / 2


def named(guard, kind: str, rate: float) -> Counter[str]:
    attack = Attack(kind, start=4.0, seconds=16.0, rate=rate, bots=60)
    h = stage(Scene(20.0, rate=10.0, attacks=(attack,)), np.random.default_rng(2)).headers
    return Counter(a.name for a in Watch(guard).see(whole([h])) if a.destination == "203.0.113.1")


def test_an_attack_keeps_one_name_though_single_windows_look_otherwise(guard):
    """Windows at whose end connections begin show openings alone; they are no SYN flood."""
    flood, pages = named(guard, "syn flood", 200.0), named(guard, "http flood", 12.0)
    assert flood["syn flood"] > 0.9 * flood.total() > 0
    assert pages["syn flood"] == 0
    assert pages.total() > 0


def test_a_vote_of_few_flows_names_no_syn_flood_but_the_end_of_one_keeps_its_name(guard, flooded):
    watch, windows = Watch(guard), cut(flooded, 1.0)
    x = guard.encode(windows.flows.take(windows.kind > 0))
    name, votes = watch._named(x, np.arange(3), {})
    assert name != "syn flood"
    name, votes = watch._named(x, np.arange(60), votes)
    assert name == "syn flood"
    assert watch._named(x, np.arange(3), votes)[0] == "syn flood"


def test_rules_are_those_of_the_last_alarm_even_long_after_it(guard):
    watch = Watch(guard)
    assert list(watch.see(windows_of(20)))
    assert watch.rules
    late = stage(Scene(5.0, rate=2.0), np.random.default_rng(2)).headers
    quiet = whole([replace(late, time=late.time + 3_600_000_000)])
    if not list(watch.see(quiet)):
        assert watch.mitigator.rules == ()
        assert watch.rules


def test_a_growing_capture_is_followed_to_its_end(capture, guard, tmp_path, monkeypatch):
    """The first half is there at the start, the rest comes while it is waited for."""
    content, path, waits = capture.read_bytes(), tmp_path / "live.pcap", []
    path.write_bytes(content[: len(content) // 2 + 7])

    def wait() -> bool:
        waits.append(len(waits))
        if len(waits) == 1:
            with path.open("ab") as stream:
                stream.write(content[len(content) // 2 + 7 :])
        return len(waits) < 3

    followed, at_once = Watch(guard), Watch(guard)
    alerts = list(followed.scan(path, wait))
    assert [a.record() for a in alerts] == [a.record() for a in at_once.scan(capture)]
    assert followed.tally.packets == at_once.tally.packets
    assert len(waits) == 3


def later(h, seconds: float):
    return replace(h, time=h.time + round(seconds * 1e6))


@pytest.mark.parametrize(("pause", "incidents"), [(HOLD / 2, 1), (HOLD + 20, 2)])
def test_an_attack_that_pauses_is_one_incident_until_it_was_quiet_for_a_minute(guard, flooded, pause, incidents):
    flood = flooded.take(flooded.attack > 0).headers
    watch = Watch(guard)
    alerts = [a for h in (flood, later(flood, pause)) for a in watch.see(whole([h]))]
    assert sum(a.fresh for a in alerts if a.destination == "203.0.113.1") == incidents


def test_the_tally_counts_every_packet_flow_and_window_once(guard, flooded):
    watch, windows = Watch(guard), whole([flooded.headers])
    alerts = list(watch.see(windows))
    facts = watch.tally.summary()
    assert facts["packets"] == len(flooded.headers)
    assert facts["flows"] == len(windows)
    assert facts["windows"] == len(np.unique(windows.begin))
    assert facts["alerts"] == len(alerts) == sum(facts["classes"].values())
    assert facts["flagged_flows"] >= sum(a.flagged for a in alerts)


def test_an_alert_is_json_with_the_heaviest_cause_first(guard, flooded):
    alert = next(a for a in Watch(guard, top=5).see(whole([flooded.headers])) if a.destination == "203.0.113.1")
    record = json.loads(json.dumps(alert.record()))
    weights = [cause["weight"] for cause in record["causes"]]
    assert len(weights) == 5
    assert weights == sorted(weights, reverse=True)
    assert record["time"].startswith("1970-01-01T00:00:")
    assert record["packets"] >= record["flows"] >= record["flagged"]


def test_packets_in_one_block_or_in_many_give_the_same_alerts(capture, guard, monkeypatch):
    from sparring.network import pcap

    at_once = [a.record() for a in Watch(guard).scan(capture)]
    plain = pcap.headers

    def small(*arguments, **named):
        for block in plain(*arguments, **named):
            for rows in np.array_split(np.arange(len(block)), 7):
                yield block.take(rows)

    monkeypatch.setattr(pcap, "headers", small)
    assert [a.record() for a in Watch(guard).scan(capture)] == at_once


def test_incidents_add_up_to_the_alerts(guard, flooded):
    watch = Watch(guard)
    flood = flooded.take(flooded.attack > 0).headers
    alerts = [a for h in (flood, later(flood, HOLD + 20)) for a in watch.see(whole([h]))]
    found = watch.tally.told()
    assert len(found) == watch.tally.incidents == sum(a.fresh for a in alerts)
    assert sum(i.alerts.total() for i in found) == len(alerts)
    assert sum(i.flagged for i in found) == sum(a.flagged for a in alerts)
    assert [i.begin for i in found] == sorted(i.begin for i in found)
    assert all(i.begin <= i.end for i in found)
    assert json.dumps([i.record() for i in found])
