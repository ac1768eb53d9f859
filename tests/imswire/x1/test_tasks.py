"""Tasks: details, mediation, status, in full and in the schema's order."""

from __future__ import annotations

import pytest
from hypothesis import given
from lxml import etree

from imswire import x1
from imswire.x1.document import new
from imswire.x1.tasks import TASK_DETAILS
from tests.imswire.x1 import made


@given(made.tasks)
def test_a_task_comes_back(task):
    assert made.again(TASK_DETAILS, task) == task


FULL = made.activate(
    mediation=(
        x1.MediationDetails(
            "SE-1",
            x1.MediationDeliveryType.HI2_ONLY,
            made.AT,
            made.AT + 1_000,
            x1.ListOfDids((made.DID,), (made.XID,)),
            (x1.Extension("o"),),
            (x1.ServiceScopingOptions((x1.ServiceType.VOICE,), x1.DoNotReport(), False, True),),
            (made.XID,),
        ),
    ),
    correlation_id=7,
    implicit_deactivation_allowed=False,
    product_id=made.XID,
    services=(x1.ServiceType.VOICE, x1.ServiceType.MESSAGING),
    extensions=(x1.Extension("a"), x1.Extension("b")),
    traffic_policies=(made.XID,),
)


def test_members_stand_in_the_order_of_the_schema():
    octets = x1.build_request([FULL])
    (task,) = etree.fromstring(octets).iter("{*}taskDetails")
    assert [etree.QName(each).localname for each in task] == [
        "xId",
        "targetIdentifiers",
        "deliveryType",
        "listOfDIDs",
        "listOfMediationDetails",
        "correlationID",
        "implicitDeactivationAllowed",
        "productID",
        "listOfServiceTypes",
        "taskDetailsExtensions",
        "taskDetailsExtensions",
        "listOfTrafficPolicyReferences",
    ]
    (mediation,) = task.iter("{*}mediationDetails")
    assert [etree.QName(each).localname for each in mediation] == [
        "LIID",
        "deliveryType",
        "StartTime",
        "EndTime",
        "listOfDIDs",
        "mediationDetailsExtensions",
        "serviceScopingOptions",
        "listOfTrafficPolicyReferences",
    ]
    assert x1.parse_requests(octets) == (FULL,)


def test_a_window_is_one_of_instants_whatever_its_zone():
    octets = made.changed(b"2024-02-02T00:00:00.000000Z", b"2024-02-02T01:00:00.000000+01:00")
    assert made.one(octets) == made.one(made.ACTIVATE)


def test_an_empty_list_is_the_same_as_none():
    octets = made.changed(
        b"</listOfMediationDetails>",
        b"</listOfMediationDetails><implicitDeactivationAllowed>1</implicitDeactivationAllowed>",
    )
    empty = octets.replace(b"</taskDetails>", b"<listOfTrafficPolicyReferences/></taskDetails>")
    assert made.one(octets) == made.one(empty)


@pytest.mark.parametrize("zone", [b"", b"+25:00", b" Z"])
def test_no_such_window(zone):
    bad = made.one(made.changed(b"2024-02-02T00:00:00.000000Z", b"2024-02-02T00:00:00.000000" + zone))
    assert isinstance(bad, x1.Malformed)
    assert bad.error.path == "taskDetails/listOfMediationDetails/mediationDetails/EndTime"


def test_do_not_report_says_no_more():
    found = x1.parse_requests(x1.build_request([FULL]))[0].task.mediation[0].scoping[0]
    assert found.location == x1.DoNotReport()
    element = new("{http://uri.etsi.org/03221/X1/2017/10}taskDetails")
    TASK_DETAILS.write(FULL.task, element)
    next(element.iter("{*}doNotReport")).text = "x"
    with pytest.raises(x1.X1Error, match="doNotReport: no value of its type"):
        TASK_DETAILS.read(element)
