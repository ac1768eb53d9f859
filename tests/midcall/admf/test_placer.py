"""Revocations reach a KMS, which gives nothing more under what they end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec import structs

from midcall.admf.values import AlarmKind
from midcall.base.lab_pki import uri
from midcall.config import AdmfConfig, AdmfKms
from tests.midcall import warrants
from tests.midcall.admf.lab import Site
from tests.midcall.kms.place import Lab, code

NAMES = {"elements": ["poi-1", "df2-1", "kms-1"]}


class WithKms(Site):
    """A site whose ADMF knows a KMS."""

    port = 1

    def config(self) -> AdmfConfig:
        kms = AdmfKms(url=f"https://127.0.0.1:{self.port}", peers=(uri("kms"),))
        return structs.replace(super().config(), kms=(kms,))


@pytest.fixture
def site(tmp_path: Path, files: Path) -> WithKms:
    (tmp_path / "site").mkdir()
    return WithKms(tmp_path / "site", files)


def test_a_revocation_reaches_the_kms(site: WithKms, tmp_path: Path, files: Path) -> None:
    (tmp_path / "kms").mkdir()
    made = Lab(tmp_path / "kms", files)
    with made.running(xk__placers=f'["{uri("admf")}"]') as running:
        site.port = running.port("xk")
        seen, _ = running.call()
        warrant = warrants.signed(warrants.make(**NAMES)).decode()
        assert running.get_keys(seen, warrant=warrant)[0] == 200

        async def test(site: Site) -> None:
            await site.active(warrants.make(**NAMES))
            await site.approved(warrants.revocation(2))
            await site.until(lambda: bool(site.admf.placer._taken))

        site.run(test)
        assert code(running.get_keys(seen, warrant=warrant)) == (403, "warrant", "revoked")


def test_a_kms_that_is_not_there_is_an_alarm(site: WithKms) -> None:
    async def test(site: Site) -> None:
        await site.active(warrants.make(**NAMES))
        await site.approved(warrants.revocation(2))
        await site.until(lambda: site.admf.core.alarms.stands(AlarmKind.NOT_PLACED, "", "https://127.0.0.1:1"))
        await asyncio.sleep(0)

    site.run(test)
