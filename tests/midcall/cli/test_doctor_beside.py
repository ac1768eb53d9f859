"""What doctor says of several DFs, and of a POI that serves them."""

from __future__ import annotations

from pathlib import Path

from midcall import config
from midcall.cli.checks import beside
from midcall.cli.checks.finding import State

ROOT = Path(__file__).parents[3]
ALSO = """
[[poi.x2_also]]
to = "127.0.0.1:9993"
peers = ["urn:example:df-a"]
journal = "/var/lib/midcall/poi/x2-a.db"
certificate = "/etc/midcall/tls/poi.pem"
key = "poi_tls.key"
ca = "/etc/midcall/tls/li-ca.pem"
"""


def mended(folder: Path, role: str, first: str, second: str) -> dict[str, str]:
    """Keys of the second file that have something in common with the first, and what."""
    (folder / f"{role}.toml").write_text(first)
    path = folder / f"{role}@a.toml"
    path.write_text(second)
    found = beside.findings(path, config.daemon(second, config.DaemonConfig))
    return {each.subject: each.found.partition(": ")[0] for each in found if each.state is State.MEND}


def test_agencies_tell_communications_of_two_dfs_apart(tmp_path):
    """By network element and CIN, which each of them counts from 1."""
    text = (ROOT / "config/df.toml").read_text()
    own = text.replace("/var/lib/midcall/df", "/var/lib/midcall/df/a").replace(
        "/var/log/midcall/df/", "/var/log/midcall/df/a-"
    )
    for number in (8446, 9992, 8449, 9484):
        own = own.replace(f":{number}", f":{number + 100}")
    own = own.replace('ne = "df-1"', 'ne = "df-a"')
    read = config.daemon(text, config.DaemonConfig).df
    assert read is not None
    network = read.network
    assert mended(tmp_path, "df", text, own) == {"df.network.element": f"{network.operator} {network.element}"}
    before, _, after = own.partition("[df.network]")
    named = before + "[df.network]" + after.replace(f'element = "{network.element}"', 'element = "df-a"', 1)
    assert mended(tmp_path, "df", text, named) == {}


def test_two_pois_have_not_one_buffer(tmp_path):
    text = (ROOT / "config/poi.toml").read_text().replace("# keep", "keep").replace("# max_age", "max_age") + ALSO
    found = mended(tmp_path, "poi", text, text.replace("x2-a.db", "x2-b.db"))
    assert "poi.x2.journal" in found and "poi.x2_also.journal" not in found
    assert "poi.x2_also.journal" in mended(tmp_path, "poi", text, text)
