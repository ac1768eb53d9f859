"""scripts/make_capture.py: what its options make can be replayed, and the same seed makes the same capture."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from midcall.cli import replay
from midcall.kms import keyfile
from midcall.replay import Window

SCRIPT = Path(__file__).parent.parent / "scripts" / "make_capture.py"


def make(capture: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(capture), *options], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--flags", "DEFGHINO", "--profile", "gcm-256", "--video", "--media-level"),
        ("--mode-3", "--ipv6", "--tcp", "--mki", "--rekey-after", "1", "--hold-after", "1.5"),
        ("--loss", "0.05", "--duplicates", "0.1", "--reorder", "0.05", "--vlan", "7", "--roc", "2", "--codec", "pcma"),
        ("--profile", "cm-256-80", "--calls", "2"),
        ("--profile", "cm-192-80", "--flags", "DEFGHINO"),
        ("--profile", "f8-128-80", "--mki"),
        ("--profile", "null-80"),
        ("--ticket-keys", "3", "--video", "--key-type", "gtgk+salt"),
        ("--ticket-keys", "2", "--video", "--media-level", "--key-type", "tgk"),
        ("--key-type", "tek+salt", "--mki"),
        ("--key-type", "tek"),
        ("--sdes", "AEAD_AES_256_GCM", "--rekey-after", "1", "--tunnel", "gtp-u", "--link", "sll2"),
        ("--sdes", "AES_192_CM_HMAC_SHA1_80", "--sdes-params", "KDR=6", "--mtu", "150", "--format", "pcapng"),
        ("--tcp", "--segment", "100", "--tunnel", "gre", "--tunnel", "vxlan", "--gzip", "--format", "pcapng"),
        ("--ipv6", "--tunnel", "ip-in-ip", "--mtu", "400", "--link", "raw", "--vlan", "5", "--vlan", "6"),
        ("--ipv6", "--extension-headers", "--mtu", "200", "--service-vlan", "9", "--vlan", "5"),
        ("--tcp", "--segment", "300", "--late-segments", "0.1", "--seconds", "5"),
        ("--format", "pcapng", "--second-link", "sll2", "--tunnel", "vxlan"),
    ],
)
def test_what_is_made_can_be_replayed(tmp_path, options):
    done = make(tmp_path / "a.pcap", "--seconds", "3", *options)
    assert done.returncode == 0, done.stderr
    store = keyfile.read((tmp_path / "KEYS.toml").read_text())
    out = tmp_path / "out"
    assert replay.run(tmp_path / "a.pcap", ("sip:bob0@example.com",), Window(1_000_000_000), store, out) == 0
    (dialog,) = (d for d in json.loads((out / "report.json").read_text())["dialogs"] if d["intercepted"])
    assert dialog["streams"] and all(s["decrypted"] > 20 for s in dialog["streams"])


def test_same_seed_same_capture(tmp_path):
    for name in ("a", "b", "c"):
        make(tmp_path / f"{name}.pcap", "--seconds", "1", "--seed", "x" if name != "c" else "y")
    a, b, c = ((tmp_path / f"{name}.pcap").read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("options", [("--calls", "0"), ("--seconds", "-1"), ("--flags", "Z"), ("--flags", "DFGHI")])
def test_options_that_make_no_call(tmp_path, options):
    done = make(tmp_path / "a.pcap", *options)
    assert done.returncode == 2 and "Traceback" not in done.stderr
