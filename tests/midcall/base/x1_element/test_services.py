"""Which services of a target a task is for: by the task, by the warrant, under each LIID."""

from __future__ import annotations

from typing import Any

import pytest

from imswire import x1
from imswire.x1 import ErrorCode, ServiceType
from tests.midcall.base.x1_element.test_orders import df_task
from tests.midcall.base.x1_element.world import World, armed, changed, code, df_settings, mediation, signed, task, text


@pytest.mark.parametrize(
    ("warranted", "named", "given"),
    [
        (("voice", "messaging"), (), None),
        (("voice", "messaging"), (ServiceType.MESSAGING, ServiceType.VOICE), None),
        (("voice", "messaging"), (ServiceType.VOICE,), ("voice",)),
        (("data", "messaging"), (), ("messaging",)),
        (("voice",), (ServiceType.VOICE, ServiceType.VOICE), ("voice",)),
    ],
)
def test_services_are_what_the_task_names_or_all_that_the_warrant_does(warranted: Any, named: Any, given: Any) -> None:
    (one,) = armed(World().activate(task(signed(services=list(warranted)), services=named)))
    assert one.order.task.services == given
    (other,) = armed(World(df_settings()).activate(df_task(signed(services=list(warranted)), services=named)))
    assert other.order.mediated[0].terms.services == given


def test_the_target_is_asked_for_no_more_than_its_liids_are() -> None:
    voice, message = (
        mediation(liid, scoping=(x1.ServiceScopingOptions((service,)),))
        for liid, service in (("LI-1", ServiceType.VOICE), ("LI-2", ServiceType.MESSAGING))
    )
    for listed, given in (((voice,), ("voice",)), ((voice, message), None), ((voice, mediation("LI-3")), None)):
        (one,) = armed(World(unsigned="accept").activate(task(b"", mediation=listed)))
        assert one.order.task.services == given
    wider = World(unsigned="accept").activate(task(b"", mediation=(message,), services=(ServiceType.VOICE,)))
    assert code(wider) == ErrorCode.ACTIVATE_FAILED


def test_what_is_given_is_said_where_a_service_is_not() -> None:
    other = mediation(scoping=(x1.ServiceScopingOptions((ServiceType.LALS,)),))
    assert "given are messaging, voice" in text(World(df_settings()).activate(df_task(mediation=(other,))))


def test_one_liid_for_fewer_services_than_its_task() -> None:
    world = World(df_settings())
    voice = mediation(scoping=(x1.ServiceScopingOptions((ServiceType.VOICE,)),))
    (one,) = armed(world.activate(df_task(mediation=(voice,))))
    assert one.order.mediated[0].services == (ServiceType.VOICE,)
    assert one.order.mediated[0].terms.services == ("voice",)
    assert code(world.modify(df_task(mediation=(voice,), services=(ServiceType.MESSAGING,)))) == ErrorCode.MODIFY_FAILED


def test_services_survive_a_restart_and_change_with_the_task() -> None:
    world = World()
    world.activate(task(services=(ServiceType.VOICE,)))
    (again,) = armed(world.restart())
    assert again.order.task.services == ("voice",)
    (one,) = changed(world.modify(task()))
    assert (one.former.task.services, one.order.task.services) == (("voice",), None)
