"""The SRTP engine beside a C loop over the same library, in the same run.

Floors: 0.25 of the C loop at 172 octets, 0.45 at 1 200; 600 000 packets a second alone on a fast core.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from pylibsrtp import _binding

from imswire import srtp
from scripts.bench.common import rate, show

PACKETS = 20_000
C_LOOP = r"""
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* srtp_policy_t of libsrtp 2.7, by its offsets. */
typedef struct { uint32_t kind, ssrc; int rtp[6]; int rtcp[6]; unsigned char *key; void *keys; unsigned long n;
                 void *ekt; unsigned long window; int repeat; int *hdr; int hdrs; void *next; } policy;

double run(char *library, int size, int count) {
    void *lib = dlopen(library, RTLD_NOW);
    if (!lib) { fprintf(stderr, "%s\\n", dlerror()); return -1; }
    int (*init)(void) = dlsym(lib, "srtp_init");
    void (*fill)(void *) = dlsym(lib, "srtp_crypto_policy_set_rtp_default");
    int (*create)(void **, void *) = dlsym(lib, "srtp_create");
    int (*protect)(void *, void *, int *) = dlsym(lib, "srtp_protect");
    int (*unprotect)(void *, void *, int *) = dlsym(lib, "srtp_unprotect");
    init();
    unsigned char key[46] = {0};
    policy p; memset(&p, 0, sizeof p); fill(p.rtp); fill(p.rtcp); p.key = key; p.window = 1024;
    void *in, *out;
    p.kind = 3; if (create(&out, &p)) return -2;
    p.kind = 2; if (create(&in, &p)) return -2;
    unsigned char *packets = calloc(count, 2048); int *lengths = calloc(count, sizeof(int));
    for (int i = 0; i < count; i++) {
        unsigned char *q = packets + i * 2048L; q[0] = 0x80; q[2] = i >> 8; q[3] = i; q[11] = 1;
        lengths[i] = size; if (protect(out, q, &lengths[i])) return -3;
    }
    struct timespec a, b; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    for (int i = 0; i < count; i++) if (unprotect(in, packets + i * 2048L, &lengths[i])) return -4;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    free(packets); free(lengths);
    return count / ((b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9);
}
"""


def c_loop(folder: Path) -> Callable[[int], float]:
    """The loop as a function of the packet size; it runs in this process, where the library has its symbols."""
    source, shared = folder / "loop.c", folder / "loop.so"
    source.write_text(C_LOOP)
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", shared, source, "-ldl"], check=True)  # noqa: S603, S607
    run = ctypes.CDLL(str(shared)).run
    run.restype = ctypes.c_double

    def best(size: int) -> float:
        figure = max(run(_binding.__file__.encode(), size, PACKETS) for _ in range(5))
        if figure <= 0:
            raise SystemExit(f"the C loop failed: {figure}")
        return float(figure)

    return best


def unprotect(policy: srtp.Policy, master: srtp.MasterKey, packets: list[bytes]) -> None:
    stream = srtp.open_stream(policy, master, 1)
    for packet in packets:
        if stream.unprotect(packet).__class__ is not bytes:
            raise AssertionError("a packet was refused")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loop = c_loop(Path(folder))
        for size in (172, 1_200):
            clear = [
                b"\x80\0" + (i & 0xFFFF).to_bytes(2, "big") + bytes(4) + bytes((0, 0, 0, 1)) + bytes(size - 12)
                for i in range(PACKETS)
            ]
            beside = loop(size)
            for policy in (srtp.AES_CM_128_HMAC_SHA1_80, srtp.AES_256_CM_HMAC_SHA1_80, srtp.AEAD_AES_128_GCM):
                master = srtp.MasterKey(bytes(policy.key_length), bytes(policy.salt_length))
                sender = srtp.Protector(policy, master)
                packets = [sender.protect(packet) for packet in clear]
                figure = rate(PACKETS, lambda: unprotect(policy, master, packets), arguments.seconds)  # noqa: B023
                show(f"{policy.name}, {size} octets", figure, "pkt/s", beside, "the C loop (AES-CM-128)")


if __name__ == "__main__":
    main()
