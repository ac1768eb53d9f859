"""Logs: what may stand in a line, and on which of the two planes it stands."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading

import pytest

from midcall.base import log

CANARIES = [
    "sip:alice@example.com",
    "sips:bob@[2001:db8::1]:5061;user=phone",
    "tel:+15551234567",
    "alice.canary@example.com",
    "+49-30-901820",
    "15551234567",
    "urn:gsma:imei:35209900-176148-0",
    "490154203237518",
    "00112233445566778899aabbccddeeff",
    "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDD",
    "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    "AQIDBAUGBwgJCgsMDQ4PEA==",
    "1PYXNzd29yZEZvclNSVFA-_abcdefg",
]
HARMLESS = [
    "/run/credentials/midcall-kms@1.service/kms_seal: not hexadecimal",
    "/var/lib/midcall/kms/store.db: disk full",
    "cannot listen on [::1]:8443",
    "cannot listen on 127.0.0.1:65535",
    "expired 2026-01-31 23:59 UTC",
    "line 12: kms.tpk.keep_hours: less than ticket_hours",
    "error 15 after 999999 messages of urn:midcall:lab:df",
    "get_keys 9f3c0a1b2d4e5f60 from urn:midcall:lab:df",
    "29f28e1c-f230-486a-a860-f5a784ab9177",
]


@pytest.fixture
def two(tmp_path):
    """Both logs as files, and a function that reads them."""
    operator, li = tmp_path / "operator.log", tmp_path / "li.log"
    with log.planes("info", str(operator), str(li), "3"):
        yield lambda: tuple([json.loads(line) for line in path.read_text().splitlines()] for path in (operator, li))


@pytest.mark.parametrize("canary", CANARIES)
def test_no_identity_and_no_key_stands_in_a_log(two, canary, capfd):
    for name in ("midcall.kms", "midcall.li.kms", "midcall.poi.core", "aiohttp.server", "asyncio"):
        logger = logging.getLogger(name)
        logger.error("refused: %s", canary)
        logger.error(f"{canary} is refused")
        logger.error('refused (%r), "%s" <%s>', canary, canary, canary)
        logger.error("refused", extra={"who": canary})
        try:
            raise ValueError(canary)
        except ValueError as error:
            logger.exception("refused")
            log.tell(error)
    assert not any(canary in json.dumps(lines) for lines in two())
    assert sum(map(len, two())) == 5 * 6
    assert canary not in "".join(capfd.readouterr())


def test_a_message_that_cannot_be_put_together_tells_its_place():
    record = logging.LogRecord("midcall.kms", logging.ERROR, "kms/core.py", 7, "%d", ("sip:alice@example.com",), None)
    assert log.message(record) == "a message of core:7 that cannot be put together"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_helps_an_operator_stays(text):
    assert log.redacted(text) == text


def test_a_line_is_json(two):
    logging.getLogger("midcall.kms").warning("%d peers", 2, extra={"peers": 2, "word": "x", "many": [1]})
    ((line,), li) = two()
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "instance": 3, "message": "2 peers", "peers": 2, "word": "x"} and not li


def test_a_line_has_a_bound(two):
    logging.getLogger("midcall.kms").warning("x" * 100_000)
    assert len(two()[0][0]["message"]) == log.MAX_TEXT


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("midcall.poi.core", "ready"),
        ("midcall.df2.shell", "ready"),
        ("midcall.li.kms", "ready"),
        ("midcall.kmsother", "ready"),
        ("midcall.kms", "the warrant is refused"),
        ("midcall.service", "/etc/midcall/xk.pem: expired"),
        ("midcall.service", "line 3: poi.tickets: missing"),
        ("aiohttp.server", "ready"),
    ],
)
def test_what_speaks_of_interception_goes_to_the_li_plane(two, name, text):
    logging.getLogger(name).warning(text)
    operator, li = two()
    assert not operator and len(li) == 1


def test_levels(two):
    logging.getLogger("midcall.kms").debug("no")
    logging.getLogger("other").info("no")
    logging.getLogger("midcall.kms").info("yes")
    assert [line["message"] for line in two()[0]] == ["yes"]


def test_only_its_owner_reads_a_log_and_it_may_be_moved_away(two, tmp_path):
    logging.getLogger("midcall.kms").info("before")
    path = tmp_path / "operator.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.rename(tmp_path / "old.log")
    logging.getLogger("midcall.kms").info("after")
    assert "before" in (tmp_path / "old.log").read_text() and "after" in path.read_text()


def test_a_log_may_be_an_open_descriptor(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        with log.planes("info", f"fd:{file.fileno()}", str(tmp_path / "li"), "1"):
            logging.getLogger("midcall.kms").info("there")
        os.fstat(file.fileno())
    assert "there" in (tmp_path / "log").read_text()


def test_a_full_disk_stops_nobody(capfd):
    with log.planes("info", "/dev/full", "/dev/full", "1"):
        logging.getLogger("midcall.kms").info("lost")
        logging.getLogger("midcall.li.kms").info("lost")
    assert capfd.readouterr() == ("", "")


def test_groups_are_named_by_their_leaves():
    def raised(kind: type[Exception]) -> Exception:
        try:
            raise kind("secret")
        except Exception as error:
            return error

    told = log.fault(ExceptionGroup("secret", [raised(ValueError), raised(KeyError)]))
    assert told.count(f"at {__name__}:") == 2 and "secret" not in told and told.startswith("ValueError")


def test_hooks_tell_type_and_place(two):
    def broken() -> None:
        raise OSError("sip:alice@example.com")

    thread = threading.Thread(target=broken)
    thread.start()
    thread.join()
    (_, (line,)) = two()
    assert line["message"].startswith("fault: OSError at ") and "alice" not in json.dumps(line)


def test_what_nobody_catches_ends_without_a_traceback():
    code = (
        "import sys\nfrom midcall.base import log\n"
        "with log.planes('info', '', 'fd:1', '1'): sys.excepthook(OSError, OSError('tel:+15550001234'), None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OSError at no known place" in done.stdout and "1555" not in done.stdout and done.stderr == ""
