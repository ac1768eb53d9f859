"""Two baresip agents register at the proxy and call each other through it; what one plays the other hears."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.peers import test_baresip as agents
from tests.peers.test_proxy import Peer, free_port, proxy

pytestmark = [pytest.mark.peer, pytest.mark.proof]

DOMAIN = "ims.example"
ACCOUNT = (
    '<sip:{name}@{domain}>;outbound="sip:127.0.0.1:{port};transport={transport}";regint=60;mediaenc=srtp-mand;'
    "answermode=auto;audio_codecs=PCMU/8000/1\n"
)


def agent(folder: Path, name: str, own: int, first: int, port: int, transport: str) -> Path:
    home = agents.agent(folder, name, own, first, "PCMU/8000/1")
    ca = folder / "pki" / "ca.pem"
    if ca.exists():
        with (home / "config").open("a") as config:
            config.write(f"sip_cafile {ca}\n")
    (home / "accounts").write_text(ACCOUNT.format(name=name, domain=DOMAIN, port=port, transport=transport))
    return home


@pytest.mark.parametrize(("hers", "his"), [("udp", "udp"), ("tcp", "tcp"), ("tls", "udp")])
def test_a_call(peer: Peer, tmp_path: Path, hers: str, his: str) -> None:
    """What each plays arrives at the other: a capture of the call, replayed, has both tones."""
    baresip, dumpcap = peer("baresip"), peer("dumpcap")
    one, two = free_port(), free_port()
    capture = tmp_path / "call.pcap"
    secure = free_port() if hers == "tls" else 0
    with proxy(tmp_path, "sip:127.0.0.1:9", "127.0.0.1", tls=secure) as port:
        alice = agent(tmp_path, "alice", one, 15_300, secure or port, hers)
        bob = agent(tmp_path, "bob", two, 15_400, port, his)
        wanted = f"port {port} or udp portrange 15300-15440"
        with agents.running(baresip, "-f", bob, "-t", "40"):
            agents.wait_for(lambda: agents.listens(two))
            time.sleep(1.5)  # it has registered: what is captured begins with the call
            with agents.running(dumpcap, "-q", "-i", "lo", "-f", wanted, "-w", capture, "-P"):
                agents.wait_for(capture.exists)
                time.sleep(1)  # the file is there before the socket takes packets
                command = [baresip, "-f", alice, "-t", "7", "-e", f"d sip:bob@{DOMAIN}"]
                said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
                time.sleep(0.5)
    assert b"Call established: sip:bob@ims.example" in said.stdout, said.stdout
    assert agents.heard(tmp_path, capture, f"sip:alice@{DOMAIN}") == set(agents.TONES.values())


def test_a_call_of_two_who_have_passwords(peer: Peer, tmp_path: Path) -> None:
    """Both register by digest; who has the wrong password does not."""
    baresip = peer("baresip")
    words = {"alice": "secret of alice", "bob": "secret of bob"}
    with proxy(tmp_path, "sip:127.0.0.1:9", "127.0.0.1", users=words) as port:
        homes = {}
        for place, name in enumerate(("alice", "bob", "eve")):
            source = "alice" if name == "eve" else name
            folder = tmp_path / f"of-{name}"
            folder.mkdir()
            home = homes[name] = agent(folder, source, free_port(), 15_500 + 100 * place, port, "udp")
            account = (home / "accounts").read_text().strip()
            word = "guessed" if name == "eve" else words[source]
            (home / "accounts").write_text(f'{account};auth_user={source};auth_pass="{word}"\n')
        with agents.running(baresip, "-f", homes["bob"], "-t", "40"):
            time.sleep(2.5)
            said = {
                name: subprocess.run(
                    [baresip, "-f", homes[name], "-t", "4", "-e", f"d sip:bob@{DOMAIN}"],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
                ).stdout
                for name in ("eve", "alice")
            }  # fmt: skip
    assert b"Call established: sip:bob@ims.example" in said["alice"], said["alice"]
    assert b"Call established" not in said["eve"]
