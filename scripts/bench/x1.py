"""X1: requests read and written, beside lxml and its XSD validation alone over the same octets.

Floor on one core: 5 000 requests a second read, validated and turned into values.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from imswire import x1
from imswire.x1 import schema
from imswire.x1.document import read
from scripts.bench.common import rate, show

DATA = Path(__file__).parents[2] / "tests" / "data" / "x1"
TIMES = 500
AT = 1_704_164_645_000_000_000


def with_warrant(octets: bytes) -> bytes:
    """The same request with a warrant of 3 000 octets, which is what midcall's own ADMF sends."""
    (found,) = x1.parse_requests(octets)
    assert isinstance(found, x1.ActivateTaskRequest)
    members = {name: getattr(found.task, name) for name in found.task.__struct_fields__}
    task = x1.TaskDetails(**(members | {"extensions": (x1.warrant_extension(b"{" * 3_000),)}))
    return x1.build_request([x1.ActivateTaskRequest(found.header, task)])


def many(run: Callable[[], object]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(TIMES):
            run()

    return repeated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    seconds = parser.parse_args().seconds
    activate = (DATA / "x1_activate_mdf2_with_mediation.xml").read_bytes()
    for name, octets in (("ActivateTask", activate), ("the same with a warrant", with_warrant(activate))):
        messages = x1.parse_requests(octets)
        known = [each for each in messages if isinstance(each, x1.Request)]
        answers = [x1.acknowledgement(each, AT) for each in known]
        bad = octets.replace(b"<deliveryType>", b"<deliveryType>?")
        bare = rate(TIMES, many(lambda o=octets: schema.packaged().check(read(o))), seconds)  # type: ignore[misc]
        steps: tuple[tuple[str, Callable[[], object]], ...] = (
            ("read", lambda o=octets: x1.parse_requests(o)),  # type: ignore[misc]
            ("written", lambda k=known: x1.build_request(k)),  # type: ignore[misc]
            ("read and answered", lambda o=octets, a=answers: (x1.parse_requests(o), x1.build_response(a))),  # type: ignore[misc]
            ("read with a fault", lambda b=bad: x1.parse_requests(b)),  # type: ignore[misc]
        )
        for step, run in steps:
            show(f"{name}: {step}", rate(TIMES, many(run), seconds), "/s", bare, "lxml with XSD")


if __name__ == "__main__":
    main()
