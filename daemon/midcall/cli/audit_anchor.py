"""midcall audit anchor: a witness on another host fetches the last head over an LI plane, and keeps it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from midcall.audit.checking import first_bad
from midcall.audit.comparing import forked, kept
from midcall.audit.heads import HeadError
from midcall.audit.lines import HeadLine, encode
from midcall.base import owner_only, tls
from midcall.base.https import HttpsClient, Unreachable
from midcall.base.tls import PeerName, TlsError
from midcall.base.tls_end import TlsEnd
from midcall.cli.audit import anchored, read_key
from midcall.cli.fail import DONE, DONE_WITH_ERRORS, UNREADABLE, USAGE, Failed, reason
from midcall.live.ladder import AUDIT_PATH, KIND

SECONDS = 10.0
MAX_ANSWER = 4_096
_FILE = click.Path(path_type=Path)


class _Answer(Struct):
    head: str


@click.command()
@click.option("--from", "url", required=True, metavar="URL", help="https://HOST:PORT of the LI plane of a POI or DF.")
@click.option("--out", type=_FILE, required=True, help="File of heads; a new one is put behind its end.")
@click.option("--key", type=_FILE, required=True, help="The audit's public key (PEM, Ed25519).")
@click.option("--cert", type=_FILE, required=True, help="Your certificate (PEM).")
@click.option("--cert-key", type=_FILE, required=True, help="Its key (PEM, mode 600).")
@click.option("--ca", type=_FILE, required=True, help="The CA of the element (PEM).")
@click.option("--crl", type=_FILE, help="Its revocation list (PEM).")
@click.option("--peer", "peers", multiple=True, metavar="NAME", help="In its certificate; default: the host.")
def anchor(
    url: str, out: Path, key: Path, cert: Path, cert_key: Path, ca: Path, crl: Path | None, peers: tuple[str, ...]
) -> int:
    """Keep the last head of an audit on this host: run it each minute.

    The status is 4, and nothing is kept, when the head contradicts those that are here already.
    """
    public = read_key(key)
    if not url.startswith("https://") or "/" in url.removeprefix("https://"):
        raise Failed(USAGE, f"{url}: https://HOST:PORT, without a path")
    try:
        identity = tls.Identity(cert, cert_key, ca, crl)
        end = TlsEnd(tls.client_context(identity, check_host=not peers), PeerName(*peers))
    except TlsError as error:
        raise Failed(USAGE, str(error)) from None
    text = asyncio.run(_asked(url, end))
    if not text:
        raise Failed(UNREADABLE, f"{url}: has no head yet")
    try:
        head = public.head(text)
    except HeadError as error:
        raise Failed(DONE_WITH_ERRORS, f"{url}: {error}") from None
    former = anchored(public, out) if out.exists() else []
    if text in former:
        click.echo(f"head {head.number}: kept already")
        return DONE
    heads = kept(public, [*former, text])
    found = forked(heads)
    if found is not None or heads[-1].text != text:
        said = "it is older than the last one" if found is None else first_bad(found)
        raise Failed(DONE_WITH_ERRORS, f"{url}: head {head.number} contradicts {out}: {said}")
    try:
        owner_only.extend(out, encode(HeadLine(text)) + b"\n")
    except OSError as error:
        raise Failed(UNREADABLE, f"{out}: {reason(error)}") from None
    click.echo(f"head {head.number} over {head.size} entries: kept")
    return DONE


async def _asked(url: str, end: TlsEnd) -> str:
    client = HttpsClient(url, end, 1)
    try:
        answer = await client.post(AUDIT_PATH, b"", KIND, SECONDS, MAX_ANSWER)
        if answer.status != 200:
            raise Failed(UNREADABLE, f"{url}: answers with status {answer.status}")
        return msgspec.json.decode(answer.body, type=_Answer).head
    except Unreachable as error:
        raise Failed(UNREADABLE, f"{url}: {error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Failed(UNREADABLE, f"{url}: answers with something that is no head") from None
    finally:
        await client.close()
