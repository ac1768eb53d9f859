"""Replay end to end, everything decrypted and written, beside the SRTP engine alone; and memory over length.

Floor: 150 000 packets a second on a fast core (one whose libsrtp does 2.3 million a second in C).
"""

from __future__ import annotations

import argparse
import io
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from imswire import inet, pcap, srtp
from midcall.product import FileProduct
from midcall.replay import Replay, Window
from midcall.report import Report
from scripts.bench.common import TARGET, lab_call, rate, show


def replay(capture: bytes, kms: object) -> int:
    with tempfile.TemporaryDirectory() as folder:
        reader = pcap.Reader(io.BytesIO(capture).read)
        product, report = FileProduct(Path(folder), reader.link_type), Report("none (lab)")
        Replay(reader, (TARGET,), Window(), kms, product, report).run()  # type: ignore[arg-type]
        product.close()
        return product.packets


def engine(packets: int) -> list[bytes]:
    policy, key = srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(bytes(16), bytes(14))
    sender = srtp.Protector(policy, key)
    clear = [b"\x80\0" + (i & 0xFFFF).to_bytes(2, "big") + bytes(4) + b"SSRC" + bytes(160) for i in range(packets)]
    return [sender.protect(packet) for packet in clear]


def unprotect(packets: list[bytes]) -> None:
    policy, key = srtp.AES_CM_128_HMAC_SHA1_80, srtp.MasterKey(bytes(16), bytes(14))
    stream = srtp.open_stream(policy, key, int.from_bytes(b"SSRC", "big"))
    assert all(isinstance(stream.unprotect(packet), bytes) for packet in packets)


def peak(seconds: int) -> float:
    """Peak resident MB of a process that replays a call of ``seconds`` from a file."""
    code = f"from scripts.bench.replay import from_file; from_file({seconds})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def from_file(seconds: int) -> None:
    """Make a capture in one process, replay it in this one, print its peak."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pcap"
        code = (
            "from pathlib import Path; from scripts.bench.common import lab_call;"
            f"Path({str(path)!r}).write_bytes(lab_call({seconds})[0])"
        )
        subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
        _, kms = lab_call(0)
        with path.open("rb", buffering=0) as file:
            reader = pcap.Reader(file.read)
            product, report = FileProduct(Path(folder), reader.link_type), Report("none (lab)")
            Replay(reader, (TARGET,), Window(), kms, product, report).run()
            product.close()
        assert product.packets == seconds * 100
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def tshark(capture: bytes) -> float | None:
    """Frames a second that tshark reads, filtering for the same dialog and media; None where it is missing."""
    program = shutil.which("tshark")
    if program is None:
        return None
    frames = sum(len(batch) for batch in pcap.Reader(io.BytesIO(capture).read).batches())
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(capture)
        file.flush()
        wanted = 'sip.Call-ID == "bench@lab" || udp.dstport == 40000'
        command = [program, "-r", file.name, "-Y", wanted, "-w", "/dev/null"]
        return rate(frames, lambda: subprocess.run(command, check=True, capture_output=True), 0.1)  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each figure is measured")
    arguments = parser.parse_args()
    capture, kms = lab_call(500)
    packets = engine(50_000)
    alone = rate(len(packets), lambda: unprotect(packets), arguments.seconds / 2)
    whole = rate(50_000, lambda: replay(capture, kms), arguments.seconds)
    show("replay, all decrypted and written", whole, "pkt/s", alone, "the engine alone")
    theirs = tshark(capture)
    if theirs is not None:
        show("replay", whole, "pkt/s", theirs, "tshark reading with the same filter")
    records = [frame for batch in pcap.Reader(io.BytesIO(capture).read).batches() for _, frame, _ in batch]
    decode = inet.decoder(1)
    show("frames decoded", rate(len(records), lambda: [decode(f) for f in records], 1), "pkt/s", alone, "the engine")
    short, long = peak(100), peak(1_000)
    print(f"{'peak memory, ten times the capture':44} {long:12.1f} MB       {long / short:6.2f} of the short one's")


if __name__ == "__main__":
    main()
