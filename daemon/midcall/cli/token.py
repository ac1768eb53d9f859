"""Keys of people that never leave a token: PKCS#11, by the extra ``hsm`` (python-pkcs11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct

from midcall.base import credentials
from midcall.base.warrant import Envelope, envelope
from midcall.base.warrant.envelope import Signature
from midcall.cli.fail import USAGE, Failed

ED25519 = "1.3.101.112"
POINT_OCTETS = 32
MAX_PIN = 256
_FILE = click.Path(path_type=Path)


class Token(Struct, frozen=True):
    """Where a key is: the module of a token's maker, the token by its label, the key by its own."""

    module: Path
    token: str
    label: str
    pin_file: Path | None = None


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Those of a command that takes a key in a token."""
    for each in reversed(
        (
            click.option("--module", type=_FILE, help="PKCS#11 module: the key is in a token."),
            click.option("--token", "token_label", metavar="LABEL", help="With --module: which token."),
            click.option("--label", default="approval", show_default=True, help="With --module: which key in it."),
            click.option("--pin-file", type=_FILE, help="With --module: file with the PIN, mode 600; else asked."),
        )
    ):
        command = each(command)
    return command


def chosen(
    key: Path | None, module: Path | None, token_label: str | None, label: str, pin_file: Path | None
) -> Token | None:
    """The token of a command's options; None: the key is a file. Failed."""
    if (key is None) == (module is None):
        raise Failed(USAGE, "either --key FILE, or --module FILE with --token LABEL")
    if module is None:
        return None
    if not token_label:
        raise Failed(USAGE, "--module needs --token LABEL")
    return Token(module, token_label, label, pin_file)


class TokenKey:
    """A key in a token that is open."""

    def __init__(self, sign: Callable[[bytes], bytes], public: Ed25519PublicKey) -> None:
        self._sign = sign
        self.public = public

    def sign(self, read: Envelope) -> Signature:
        """One signature, made in the token."""
        return envelope.signature(read, self.public, self._sign)


@contextmanager
def opened(token: Token) -> Iterator[TokenKey]:
    """Failed: no such module, token or key, or another PIN."""
    with _session(token) as (pkcs11, session):
        try:
            private = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=token.label)
            public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=token.label)
        except pkcs11.NoSuchKey:
            raise Failed(USAGE, f"--label: no such key in the token {token.token}, or only half of one") from None
        eddsa = pkcs11.Mechanism.EDDSA
        yield TokenKey(lambda octets: bytes(private.sign(octets, mechanism=eddsa)), _public(pkcs11, public))


def generated(token: Token) -> Ed25519PublicKey:
    """A new key in the token, which never leaves it. Failed: there is one of that label."""
    with _session(token, write=True) as (pkcs11, session):
        if list(session.get_objects({pkcs11.Attribute.LABEL: token.label})):
            raise Failed(USAGE, f"--label: the token {token.token} has something of that name")
        from pkcs11.util.ec import encode_named_curve_parameters

        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(ED25519)}
        domain = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
        mechanism = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
        public, _ = domain.generate_keypair(mechanism=mechanism, label=token.label, store=True)
        return _public(pkcs11, public)


@contextmanager
def _session(token: Token, *, write: bool = False) -> Iterator[tuple[Any, Any]]:
    try:
        import pkcs11
        from pkcs11.exceptions import PKCS11Error
    except ImportError:
        raise Failed(USAGE, "--module: PKCS#11 needs python-pkcs11: the extra hsm of this package") from None
    try:
        with (
            pkcs11.lib(str(token.module))
            .get_token(token_label=token.token)
            .open(user_pin=_pin(token), rw=write) as session
        ):
            yield pkcs11, session
    except (PKCS11Error, RuntimeError) as error:
        # A module's own words may be anything; its kind names what happened.
        raise Failed(USAGE, f"--module: {token.token}: {type(error).__name__}") from None


def _pin(token: Token) -> str:
    if token.pin_file is None:
        return str(click.prompt(f"PIN of {token.token}", hide_input=True, err=True))
    try:
        return bytes(credentials.text(token.pin_file, MAX_PIN)).decode("utf-8").strip()
    except (credentials.CredentialError, UnicodeDecodeError) as error:
        raise Failed(USAGE, str(error)) from None


def _public(pkcs11: Any, public: Any) -> Ed25519PublicKey:
    """EC_POINT is the point in an OCTET STRING, or with some makers as it is. Failed."""
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    if len(point) == POINT_OCTETS + 2 and point[:2] == b"\x04\x20":
        point = point[2:]
    if len(point) != POINT_OCTETS:
        raise Failed(USAGE, "--label: no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(point)
