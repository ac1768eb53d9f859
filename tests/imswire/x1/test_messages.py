"""Headers and versions."""

from __future__ import annotations

import pytest

from imswire import x1
from imswire.x1.members import STRING, must
from imswire.x1.messages import message
from tests.imswire.x1 import made


@pytest.mark.parametrize("version", ["v1.6.1", "v1.6.0", "v1.13.10", "v1.22.1", "v1.22.99"])
def test_accepted(version):
    assert x1.accepted(version)


@pytest.mark.parametrize(
    "version", ["v1.5.9", "v1.23.1", "v2.10.1", "v1.10", "v1.10.", "1.10.1", "", "v1.99999.1", "v1.１０.1", "v1.-7.1"]
)
def test_not_accepted(version):
    assert not x1.accepted(version)


def test_an_answer_echoes_all_but_the_time():
    header = x1.Header("a", "n", 1, "v1.6.1", made.TRANSACTION)
    assert header.reply(2) == x1.Header("a", "n", 2, "v1.6.1", made.TRANSACTION)


def test_a_message_is_its_header_and_its_members():
    table = message(x1.DeactivateTaskRequest, must("xId", "xid", STRING))
    (element,) = x1.document.read(x1.build_request([x1.DeactivateTaskRequest(made.HEADER, made.XID)]))
    assert table.read(element) == x1.DeactivateTaskRequest(made.HEADER, made.XID)
