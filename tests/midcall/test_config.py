"""Configuration: defaults, what is refused, and errors that say where."""

from __future__ import annotations

import pytest

from midcall import config

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
