"""What is told of a link."""

from __future__ import annotations

from midcall.base.link_report import LinkEvent, LinkReport


def test_reports_alternate() -> None:
    told: list[LinkEvent] = []
    report = LinkReport("lemf", "hi2", told.append, lambda: 9)
    for act in (report.up, report.up, lambda at: report.down("why", at), lambda at: report.down("why", at)):
        act(1)
    for _ in range(2):
        report.failed("first", 2)
    for _ in range(2):
        report.cleared()
    assert [(each.state, each.reason, each.at) for each in told] == [
        ("up", "", 1), ("down", "why", 1), ("fault", "first", 2), ("cleared", "", 9),
    ]  # fmt: skip
    assert {(each.link, each.part) for each in told} == {("lemf", "hi2")}
