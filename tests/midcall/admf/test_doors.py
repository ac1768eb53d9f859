"""The doors of the ADMF: who is who by certificate, what is not for a role, and reports of elements."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from imswire import x1
from imswire.x1 import ErrorCode, NeIssueType, TaskReportType
from midcall.admf import wire
from midcall.admf.roles import MATRIX, Command, Role
from midcall.admf.shell.store import AdmfStore, StoreError
from midcall.admf.values import AlarmKind
from midcall.base.frame import RoleError
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.lab_pki import uri
from midcall.base.seal import SealKey
from midcall.base.tls import PeerName
from midcall.base.tls_end import TlsEnd
from midcall.base.x1_element.shell.binding import BoundName
from tests.midcall import warrants
from tests.midcall.admf.lab import HOST, PEOPLE, Site, draft
from tests.midcall.base.x1_element.lab import identity

ASKED: dict[Command, Any] = {
    Command.DRAFT: draft(warrants.make()),
    Command.APPROVE: wire.Nothing(),
    **{each: wire.Named("W-1") for each in (Command.ACTIVATE, Command.REVOKE, Command.SHOW)},
}


@pytest.fixture
def site(tmp_path: Path, files: Path) -> Site:
    return Site(tmp_path, files)


def test_the_matrix_of_roles_and_commands(site: Site) -> None:
    """Every cell: what is not allowed is refused in one way, whatever was asked."""

    async def test(site: Site) -> None:
        for who, (_, role) in PEOPLE.items():
            for command in Command:
                status, answer = await site.ask(who, command, ASKED.get(command))
                allowed = Role(role) in MATRIX[command]
                assert (status != 403) is allowed, (who, command, status)
                if not allowed:
                    assert answer == {"code": "role", "reason": "this certificate may not ask that"}

    site.run(test)


def test_certificates_of_others(site: Site) -> None:
    """Elements, and whoever else the CA has given one, are nobody here; and nobody asks what there is not."""

    async def test(site: Site) -> None:
        for who in ("poi", "df", "eve", "kms", "admf"):
            with pytest.raises(Unreachable):
                await site.ask(who, Command.LIST)
        status, answer = await site.ask("lea", "nothing")
        assert status == 403 and answer["code"] == "role"

    site.run(test)


def test_who_has_no_certificate_gets_no_octet(site: Site) -> None:
    async def test(site: Site) -> None:
        import ssl

        context = ssl.create_default_context(cafile=str(site.files / "ca.pem"))
        context.check_hostname = False
        for name in ("people", "x1"):
            client = HttpsClient(f"https://{HOST}:{site.admf.addresses[name][1]}", TlsEnd(context, None), 1)
            with pytest.raises(Unreachable):
                await client.post("/admf/v1/list", b"{}", wire.KIND, 5.0, 1_000)
            await client.close()

    site.run(test)


def test_what_cannot_be_read(site: Site) -> None:
    async def test(site: Site) -> None:
        for octets in (b"", b"[]", b"\xff", b'{"id":""}', b'{"id":"W-1","more":1}', b"[" * 10_000):
            assert await site.ask("lea", Command.ACTIVATE, octets) == (
                409,
                {"code": "form", "reason": "the request cannot be read"},
            )
        assert (await site.ask("lea", Command.DRAFT, b"x" * 100_000))[0] == 413
        assert await site.refused("lea", Command.SHOW, wire.Named("W-9")) == "unknown"

    site.run(test)


def test_what_was_signed_has_to_be_what_is_here(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.done("lea", Command.DRAFT, draft(warrants.make()))
        other = warrants.make(location=True)
        assert await site.refused("ann", Command.APPROVE, site.approval(other, "Ann")) == "digest"
        assert await site.refused("ann", Command.APPROVE, site.approval(warrants.make(), "Ben")) == "key"

    site.run(test)


def test_an_auditor_reads_no_names(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        (row,) = (await site.done("aud", Command.LIST))["warrants"]
        assert set(row) == {"id", "version", "status", "approvals", "digest"}
        assert "agency" in (await site.done("ann", Command.LIST))["warrants"][0]

    site.run(test)


def test_an_administrator_says_that_the_clock_is_right(site: Site) -> None:
    async def test(site: Site) -> None:
        site.admf.core.fault(AlarmKind.CLOCK, site.clock())
        assert await site.done("lea", Command.CLOCK) == {}
        assert not site.admf.core.alarms.stands(AlarmKind.CLOCK)

    site.run(test)


def test_an_operator_sees_the_same_whoever_is_under_surveillance(site: Site) -> None:
    async def test(site: Site) -> None:
        before = await site.done("olaf", Command.HEALTH)
        await site.active(warrants.make())
        assert await site.done("olaf", Command.HEALTH) == before

    site.run(test)


def test_people_and_trust_are_taken_over_while_it_runs(site: Site) -> None:
    """Who is a person no more is out at once; an approver who was revoked ends what rests on him."""

    async def test(site: Site) -> None:
        await site.active(warrants.make())
        await site.done("leo", Command.LIST)
        config = site.config()
        others = tuple(each for each in config.people.person if each.name != "Leo")
        entries = warrants.entry("Ann"), warrants.entry("Ben", revoked="true"), warrants.entry("Eve")
        site.trust.write_text(warrants.trust_text(*entries))
        ended = await site.admf.renew(structs.replace(config, people=structs.replace(config.people, person=others)))
        assert ended == 1
        with pytest.raises(Unreachable):
            await site.ask("leo", Command.LIST)
        await site.done("lea", Command.LIST)
        await site.until(lambda: not site.held("poi") | site.held("df"))
        assert site.status() == "Error" and site.admf.core.alarms.stands(AlarmKind.WARRANT, "", "W-1")
        site.trust.write_text("nonsense")
        with pytest.raises(RoleError):
            await site.admf.renew(config)
        with pytest.raises(Unreachable):
            await site.ask("leo", Command.LIST)

    site.run(test)


def test_questions_that_are_too_many_or_of_another_form(site: Site) -> None:
    async def test(site: Site) -> None:
        end = TlsEnd.client(identity(site.files, "lea"), PeerName(uri("admf")))
        client = HttpsClient(f"https://{HOST}:{site.admf.addresses['people'][1]}", end, 1)
        url = client._url + wire.path(Command.LIST)
        async with client._session.get(url, ssl=end.context) as answer:
            assert answer.status == 405
        await client.close()
        answers = {(await site.ask("aud", Command.LIST))[0] for _ in range(3)}
        site.admf._people._rates._depth = 1
        assert answers == {200} and (await site.ask("aud", Command.LIST))[0] == 429

    site.run(test)


# Reports


async def report(site: Site, who: str, request: x1.Request) -> x1.Response:
    end = TlsEnd.client(identity(site.files, who), BoundName("admf", "admf"))
    client = HttpsClient(f"https://{HOST}:{site.admf.addresses['x1'][1]}", end, 1)
    try:
        answer = await client.post("/X1/ADMF", x1.build_request([request]), "application/xml", 5.0, 1 << 20)
    finally:
        await client.close()
    (response,) = x1.parse_response(bytes(answer.body))  # type: ignore[misc]
    assert isinstance(response, x1.Response)
    return response


def header(site: Site, ne: str, admf: str = "admf") -> x1.Header:
    return x1.Header(admf, ne, site.clock().wall, x1.VERSION, "0a000000-0000-4000-8000-0000000000ff")


def test_reports_become_alarms_and_end_them(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        fault = x1.ReportTaskIssueRequest(
            header(site, "df"), warrants.XID, TaskReportType.TERMINATING_FAULT, 9030, "words of its own"
        )
        response = await report(site, "df", fault)
        assert isinstance(response, x1.ReportTaskIssueResponse)
        (alarm,) = site.admf.core.alarms.standing
        assert (alarm.kind, alarm.element, alarm.subject) == (AlarmKind.FAILED_TASK, "df", warrants.XID)
        assert "words" not in alarm.detail
        # It is asked what it holds, a second later at the earliest, and says that all is well.
        site.clock.go(10**9)
        site.admf.driver.wake()
        await site.until(lambda: site.admf.alarms == 0)
        ill = x1.ReportNEIssueRequest(header(site, "poi"), NeIssueType.FAULT_REPORT, "text", 9020)
        await report(site, "poi", ill)
        assert {each.kind for each in site.admf.core.alarms.standing} == {AlarmKind.FAULT}
        await report(site, "poi", x1.ReportNEIssueRequest(header(site, "poi"), NeIssueType.FAULT_CLEARED, "text", 9000))
        assert site.admf.alarms == 0

    site.run(test)


@pytest.mark.parametrize(
    ("who", "ne", "admf", "code"),
    [
        ("poi", "df", "admf", ErrorCode.NE_NOT_CERTIFIED),
        ("eve", "eve", "admf", ErrorCode.NE_UNEXPECTED),
        ("poi", "poi", "admf-2", ErrorCode.ADMF_UNEXPECTED),
    ],
)
def test_who_reports_in_anothers_name(site: Site, who: str, ne: str, admf: str, code: ErrorCode) -> None:
    async def test(site: Site) -> None:
        response = await report(
            site, who, x1.ReportNEIssueRequest(header(site, ne, admf), NeIssueType.FAULT_REPORT, "text")
        )
        assert isinstance(response, x1.ErrorResponse) and response.error.code == code
        assert site.admf.alarms == 0

    site.run(test)


def test_nobody_orders_at_the_door_for_reports(site: Site) -> None:
    async def test(site: Site) -> None:
        response = await report(site, "poi", x1.DeactivateTaskRequest(header(site, "poi"), warrants.XID))
        assert isinstance(response, x1.ErrorResponse) and response.error.code == ErrorCode.UNSUPPORTED
        assert isinstance(await report(site, "poi", x1.PingRequest(header(site, "poi"))), x1.PingResponse)

    site.run(test)


# The store


def test_another_key_opens_nothing_and_two_have_not_one_book(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        with pytest.raises(StoreError, match="another process"):
            AdmfStore(site.folder / "admf.db", SealKey(bytes(32)))

    site.run(test)
    octets = b"".join(path.read_bytes() for path in site.folder.glob("admf.db*"))
    assert b"alice" not in octets and b"W-1" not in octets and warrants.XID.encode() not in octets
    with pytest.raises(StoreError, match="another key"):
        AdmfStore(site.folder / "admf.db", SealKey(bytes(32)))


def test_what_the_disk_does_not_take_counts_for_nothing_and_what_ends_ends(site: Site) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make())
        await site.admf.desk.close()
        database = site.admf._store._database
        (schema,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'rows'").fetchone()
        database.execute("ALTER TABLE rows RENAME TO away")
        other = warrants.make(id="W-2", targets=[{"liid": "L", "xid": warrants.OTHER_XID, "identity": "sip:a@b"}])
        assert await site.refused("lea", Command.DRAFT, draft(other)) == "store"
        assert "W-2" not in site.admf.core.book.records
        assert await site.refused("leo", Command.REVOKE, wire.Named("W-1")) == "store"
        await site.until(lambda: not site.held("poi") | site.held("df"))
        assert site.admf.core.alarms.stands(AlarmKind.STORE) and schema
        database.execute("ALTER TABLE away RENAME TO rows")
        site.admf.desk.keep()
        await site.until(lambda: not site.admf.core.alarms.stands(AlarmKind.STORE))
        await site.restart()
        assert site.status() == "Suspended", "the end was kept when the disk was there again"

    site.run(test)


def test_a_certificate_of_another_admf_is_refused_at_start(site: Site) -> None:
    from midcall.admf.service import AdmfService

    async def both() -> None:
        config = site.config()
        with pytest.raises(RoleError, match="bound to another identifier"):
            AdmfService(structs.replace(config, admf="admf-2"))

    asyncio.run(both())
