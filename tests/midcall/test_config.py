"""Configuration: defaults, what is refused, and errors that say where."""

from __future__ import annotations

import re

import pytest

from midcall import config
from tests.midcall.installation import ROLES, ROOT, SHIPPED, decided

GOOD = """\
# how one agency wants it
[warranted]
liid = "LI-2026.7"
scope = "iri+cc"
keys = "keys-to-lemf"

[network]
operator = "op"
country = "DE"
correlation_key = "000102030405060708090a0b0c0d0e0f"

[profile]
iri = "ts33128"
national = ["0102", "ff"]

[integrity]
hash_pdus = 100
"""


def test_what_is_not_said_has_its_default():
    assert config.replay("") == config.ReplayConfig()
    read = config.replay(GOOD)
    assert read.warranted.liid == "LI-2026.7" and read.warranted.location
    assert read.profile.iri == "ts33128" and read.profile.cc == "ipmm"
    assert read.integrity.hash_pdus == 100 and read.integrity.hash_seconds == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "names"),
    [
        ('liid = "LI-2026.7"', 'liid = "LI 7"', 3, "warranted.liid"),
        ('liid = "LI-2026.7"', f'liid = "{"x" * 26}"', 3, "warranted.liid"),
        ('scope = "iri+cc"', 'scope = "all"', 4, "warranted.scope"),
        ('scope = "iri+cc"', 'scopes = "iri"', 4, "scopes"),
        ('country = "DE"', 'country = "de"', 9, "network.country"),
        ('"000102030405060708090a0b0c0d0e0f"', '"00"', 10, "network.correlation_key: 1 octets"),
        ('"000102030405060708090a0b0c0d0e0f"', '"zz"', 10, "network.correlation_key: not hexadecimal"),
        ('"ff"', '""', 14, "profile.national"),
        ("hash_pdus = 100", "hash_pdus = 0", 17, "integrity.hash_pdus"),
        ("[integrity]", "[integrety]", 16, "integrety"),
        ("[profile]", "[profile", 12, "no TOML"),
    ],
)
def test_errors_name_line_and_key(old, new, line, names):
    assert old in GOOD
    with pytest.raises(config.ConfigError) as caught:
        config.replay(GOOD.replace(old, new, 1))
    assert caught.value.line == line and names in str(caught.value)


def test_an_error_shows_no_value():
    with pytest.raises(config.ConfigError) as caught:
        config.replay('[network]\ncorrelation_key = "00112233445566"\n')
    assert "0011" not in str(caught.value)


def test_a_file_is_bounded():
    with pytest.raises(config.ConfigError, match="longer"):
        config.read("#" * (config.MAX_OCTETS + 1), config.ReplayConfig)


def test_lines_of_nested_tables():
    text = "top = 1\n[a.b]\nc = 1\n[[d]]\ne = 1\n[[d]]\nf = 2\n"
    assert config.line_of(text, "$.a.b.c") == 3
    assert config.line_of(text, "$.a.b.x") == 2
    assert config.line_of(text, "$.d[1].f") == 7
    assert config.line_of(text, "$.top") == 1
    assert config.line_of(text, "$.nowhere") == 0
    assert config.line_of(text, "") == 0


# The file of a daemon

LAB = """\
[service]
lab = true
[kms]
identity = "sip:kms.example.com"
element = "kms-1"
store = "kms.db"
seal = "seal"
[kms.users]
listen = "127.0.0.1:0"
certificate = "kms.pem"
key = "tls"
[kms.peers]
certificate = "kms.pem"
key = "tls"
ca = "ca.pem"
[[kms.peers.peer]]
identity = "sip:kms.example.net"
url = "https://kms.example.net"
name = "kms.example.net"
psk_id = "one"
credential = "peer-1"
[[kms.peers.peer]]
identity = "sip:kms.example.org"
url = "https://kms.example.org"
name = "kms.example.org"
psk_id = "two"
credential = "peer-2"
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_file_of_ours_loads(path):
    found = config.daemon(decided(path.read_text()), config.DaemonConfig)
    if path.stem == "midcall":
        assert found.service.lab
    else:
        assert config.roles(found) == (path.stem,) and not found.service.lab


def test_whether_tickets_are_kept_is_left_to_who_runs_the_service():
    """TS 33.107 7A.3.1: a national option. A laboratory has chosen, the file for production has not."""
    lab = config.daemon((ROOT / "config/midcall.toml").read_text(), config.DaemonConfig)
    assert lab.poi is not None and lab.poi.tickets.keep
    text = (ROOT / "config/poi.toml").read_text()
    with pytest.raises(config.ConfigError, match=r"poi.tickets: Object missing required field `keep`") as error:
        config.daemon(text, config.DaemonConfig)
    assert text.splitlines()[error.value.line - 1] == "[poi.tickets]"


@pytest.mark.parametrize("role", ROLES)
def test_secrets_of_a_file_have_the_names_that_its_unit_gives(role):
    read = config.daemon(decided((ROOT / f"config/{role}.toml").read_text()), config.DaemonConfig)
    names: list[str] = []
    config.placed(getattr(read, role), lambda name: names.append(name) or name)  # type: ignore[func-returns-value]
    assert all(name.startswith(f"{role}_") for name in names)
    assert bool(names) == (role != "tap")


def test_what_a_file_of_ours_has_in_comments_can_be_taken_in():
    """A commented table is one that loads."""
    for path in SHIPPED:
        text = re.sub(r"^# (?=\[|[a-z_]+ = )", "", path.read_text(), flags=re.MULTILINE)
        config.daemon(text, config.DaemonConfig)


def test_files_of_one_host_agree():
    """Ports are of one role each, and what one asks another answers."""
    read = {
        role: config.daemon(decided((ROOT / f"config/{role}.toml").read_text()), config.DaemonConfig) for role in ROLES
    }
    poi, df, tap, kms, admf = (getattr(read[role], role) for role in ("poi", "df", "tap", "kms", "admf"))
    assert poi.x2.to == df.x2.listen and df.kms.url == f"https://{kms.xk.listen}"
    assert df.tap.door == tap.door
    elements = {each.role: each for each in admf.element}
    for role, element in (("poi", poi.x1), ("df", df.x1)):
        assert elements[role].url == f"https://{element.listen}" and element.admf == admf.admf
        assert (elements[role].ne, elements[role].element) == (element.ne, element.element)
        assert element.admf_url.rpartition(":")[2] == admf.x1.listen.rpartition(":")[2]
    assert elements["poi"].x2 == df.x2.listen
    listens = [poi.x1.listen, poi.hep.tls.listen, poi.li.listen, kms.users.listen, kms.xk.listen]
    listens += [df.x1.listen, df.x2.listen, df.li.listen, admf.x1.listen, admf.people.listen]
    listens += [each.operator.listen for each in read.values() if not each.operator.listen.startswith("unix:")]
    assert len({each.rpartition(":")[2] for each in listens}) == len(listens) == 15


def test_the_key_that_signs_is_a_credential_of_the_service():
    text = (ROOT / "config/df.toml").read_text() + '[df.integrity]\nsigning_key = "integrity.key"\n'
    with pytest.raises(config.ConfigError, match=r"a service has it as a credential, df.signing_key") as error:
        config.daemon(text, config.DaemonConfig)
    assert error.value.line == len(text.splitlines())


def test_the_file_of_a_laboratory_has_the_roles_that_need_no_rights():
    found = config.daemon((ROOT / "config/midcall.toml").read_text(), config.DaemonConfig)
    assert set(config.roles(found)) == set(ROLES) - {"tap"}
    assert found.df is not None and found.df.tap is None


def test_secrets_are_placed_wherever_they_stand():
    found = config.daemon(LAB, config.DaemonConfig)
    kms = config.placed(found, lambda name: f"/run/{name}").kms
    assert (kms.seal, kms.users.key, kms.peers.key) == ("/run/seal", "/run/tls", "/run/tls")
    assert [peer.credential for peer in kms.peers.peer] == ["/run/peer-1", "/run/peer-2"]
    assert kms.users.certificate == "kms.pem"


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("lab = true", "lab = false", 0, "log.li: missing"),
        ('seal = "seal"', 'seal = "/etc/seal"', 7, "kms.seal: a path"),
        ('credential = "peer-2"', 'credential = "../peer-2"', 27, "kms.peers.peer.credential: a path"),
        ("[service]", "[servce]", 1, "unknown field `servce`"),
        ("lab = true", "stop_seconds = 0", 2, "service.stop_seconds: "),
        ("lab = true", 'lab = true\n[log]\nli = "fd:x"', 4, "log.li: "),
        ("lab = true", 'lab = true\n[operator]\nlisten = "9464"', 4, "operator.listen: "),
    ],
)
def test_what_is_wrong_in_it_is_named_with_its_line(old, new, line, said):
    with pytest.raises(config.ConfigError) as error:
        config.daemon(LAB.replace(old, new), config.DaemonConfig)
    assert error.value.line == line and said in error.value.reason


def test_a_foreign_point_of_interception_is_among_those_that_may_come():
    text = (ROOT / "config" / "midcall.toml").read_text()
    peers = 'peers = ["urn:midcall:lab:poi"'
    found = config.daemon(text.replace("[df.x2]", '[df.x2]\nforeign = ["urn:midcall:lab:poi"]'), config.DaemonConfig)
    assert found.df is not None and found.df.x2.foreign == ("urn:midcall:lab:poi",) and peers in text
    with pytest.raises(config.ConfigError, match=r"df\.x2\.foreign: a name that is not in peers"):
        config.daemon(text.replace("[df.x2]", '[df.x2]\nforeign = ["urn:other"]'), config.DaemonConfig)


def test_keys_of_a_file_are_for_laboratories():
    text = LAB.replace("lab = true", 'lab = false\n[log]\nli = "li.log"').replace("[kms]", '[kms]\nlab_keys = "K.toml"')
    with pytest.raises(config.ConfigError, match="line 6: kms.lab_keys: only in a laboratory"):
        config.daemon(text, config.DaemonConfig)


def test_a_file_without_a_role():
    with pytest.raises(config.ConfigError, match="no role's table"):
        config.daemon("[service]\nlab = true\n", config.DaemonConfig)


def test_hi1_notifications_are_sent_only_where_somebody_asks_for_them():
    assert config.replay("[profile]\nhi1 = true\n").profile.hi1
    assert not config.replay("[profile]\n").profile.hi1
    with pytest.raises(config.ConfigError, match="line 2: profile.hi1: "):
        config.replay('[profile]\nhi1 = "yes"\n')


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('x2 = "127.0.0.1:9992"', "# x2", "x2: a POI has one"),
        ('name = "Ben Example"', 'name = "ann  EXAMPLE"', "name: given twice"),
        ('peer = "urn:example:ben"', 'peer = "urn:example:ann"', "peer: given twice"),
        ('ne = "poi-1"', 'ne = "df-1"', "ne: given twice"),
        ('role = "auditor"', 'role = "root"', "Invalid enum value"),
    ],
)
def test_an_admf_has_one_role_for_each_person_and_one_name_for_each_element(old, new, said):
    text = (ROOT / "config/admf.toml").read_text()
    assert old in text
    with pytest.raises(config.ConfigError, match=said):
        config.daemon(text.replace(old, new, 1), config.DaemonConfig)


def test_dfs_that_share_tasks_say_where_their_x2_is_and_may_have_one_name():
    """Or a POI says where its DF is: not both."""
    text = (ROOT / "config/admf.toml").read_text()
    df = text[text.index('[[admf.element]]\nrole = "df"') : text.index('[[admf.element]]\nrole = "poi"')]
    first = df.replace('"https://127.0.0.1:8446"', '"https://127.0.0.1:8446"\nx2 = "127.0.0.1:9992"')
    second = first.replace('ne = "df-1"', 'ne = "df-2"').replace("9992", "9993")
    shared = text.replace('x2 = "127.0.0.1:9992"', "").replace(df, first + second)
    found = config.daemon(shared, config.DaemonConfig).admf
    assert found is not None and [each.element for each in found.element] == ["df-1", "df-1", "poi-1"]
    for old, new, said in (
        ('element = "poi-1"', 'element = "df-1"', "element: given twice"),
        (":9993", ":9992", "x2: given twice"),
        ('x2 = "127.0.0.1:9993"', "", "x2: a POI has one, and nobody else; or each DF"),
        ('url = "https://127.0.0.1:8445"', 'url = "https://127.0.0.1:8445"\nx2 = "127.0.0.1:9992"', "or each DF"),
    ):
        assert old in shared
        with pytest.raises(config.ConfigError, match=said):
            config.daemon(shared.replace(old, new, 1), config.DaemonConfig)
