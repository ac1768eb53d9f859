"""Nodes, findings and paths of an examination."""

from imswire import ber
from imswire.hi import examination as e


def test_paths():
    assert e.joined([]) == "" and e.joined(["a"]) == "a"
    assert e.joined(["a", "[0]", "b"]) == "a[0].b" and e.joined(["[0]", "b"]) == "[0].b"


def test_a_report_knows_where_it_is():
    report = e.Report()
    report.path.append("a")
    report.path.append("[1]")
    report.say("rule", 4)
    report.say("missing", 5, "b")
    report.path.pop()
    report.say("rule", 6)
    assert [str(finding) for finding in report.findings] == [
        "a[1] at offset 4: rule",
        "a[1].b at offset 5: missing",
        "a at offset 6: rule",
    ]
    assert not report.keys and e.Report(True).keys


def test_findings_are_bounded():
    report = e.Report()
    for place in range(2 * e.MAX_FINDINGS):
        report.say("rule", place)
    assert len(report.findings) == e.MAX_FINDINGS


def test_parts_as_far_as_they_can_be_read():
    octets = bytes.fromhex("3005 0500 0481ff".replace(" ", ""))
    report = e.Report()
    found = list(e.parts(octets, ber.read(octets), report))
    assert [each.number for each in found] == [5] and report.findings[0].offset == 4
    assert list(e.parts(b"\x05\x00", ber.read(b"\x05\x00"), report)) == []
    assert report.findings[1].rule == "primitive where parts should be"


def test_unknown_members():
    for text, name in (
        ("8500", "<5>"),
        ("0500", "<UNIVERSAL 5>"),
        ("4500", "<APPLICATION 5>"),
        ("c500", "<PRIVATE 5>"),
    ):
        octets = bytes.fromhex(text)
        assert e.unknown(octets, ber.read(octets)) == e.Node(name, 0, 2, "0x")


def test_hexadecimal_is_cut():
    assert e.hexadecimal(b"\x01\xff") == "0x01ff"
    assert e.hexadecimal(bytes(e.MAX_SHOWN + 3)).endswith(" and 3 octets more")
