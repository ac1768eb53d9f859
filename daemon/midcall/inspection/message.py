"""A MIKEY message as data: every field where it stands, and what is still needed before it gives keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from imswire import mikey
from imswire.mikey import values as v
from imswire.mikey.fields import Field, Group, fields
from imswire.mikey.message import MikeyMessage
from imswire.mikey.numbers import DataType


def mikey_message(octets: bytes) -> dict[str, Any]:
    """Header and payloads of a message with all their fields and offsets; MikeyError when it is none."""
    message = mikey.parse(octets)
    return {
        "type": mikey.type_name(message.header.data_type),
        "octets": len(octets),
        "csb_id": f"{message.header.csb_id:08x}",
        "payloads": [_group(each) for each in fields(octets)],
        "missing": missing(message),
        "remarks": list(_remarks(message)),
    }


def _group(group: Group) -> dict[str, Any]:
    found: dict[str, Any] = {
        "offset": group.offset,
        "octets": group.octets,
        "payload": group.name,
        "fields": [_field(each) for each in group.fields],
    }
    if group.inside:
        found["inside"] = [_group(each) for each in group.inside]
    return found


def _field(field: Field) -> dict[str, Any]:
    value = field.value.hex() if isinstance(field.value, bytes) else field.value
    found: dict[str, Any] = {"offset": field.offset, "octets": field.octets, "name": field.name, "value": value}
    if field.meaning:
        found["meaning"] = field.meaning
    return found


# What is missing


def missing(message: MikeyMessage) -> list[str]:
    """What one needs besides this message to derive the keys of its crypto sessions; one line each."""
    asks = _NEEDS.get(message.header.data_type)
    return [] if asks is None else list(asks(message))


def _transfer_init(message: MikeyMessage) -> Iterator[str]:
    ticket = message.first(v.Ticket)
    if ticket is None:
        yield "the messages of the initial exchange: this one is a CSB update and has no ticket of its own"
        return
    flags = ticket.policy.flags
    yield _opener(ticket)
    if flags.i:
        yield "unforked MPKr and TGK (flag I): a RESOLVE_RESP made for another responder is of no use"
        yield "IDRr and RANDRkms of the TRANSFER_RESP that answers (flag I)"
    if flags.g:
        yield "RANDRr of the TRANSFER_RESP that answers (flag G)"
    if flags.f:
        yield "the map of crypto sessions of the TRANSFER_RESP that answers (flag F): it is the valid one"
    if flags.m:
        yield "the KEMAC of the TRANSFER_RESP that answers, if it has one (flag M)"


def _opener(ticket: v.Ticket) -> str:
    """Who can open the ticket (RFC 6043 4.1.1 modes, Appendix A)."""
    flags = ticket.policy.flags
    if not flags.d and not flags.e:
        return "the TPK, which only Initiator and Responder share (mode 4: D=0, E=0): no KMS can help"
    try:
        named = mikey.tpk_id(ticket)
    except mikey.MikeyError:
        return "MPKi and the keys in the ticket: its data is not that of a base ticket, only its KMS can tell"
    which = "" if named is None else f" {named.decode('utf-8', 'backslashreplace')!r}"
    return f"MPKi and the keys in the ticket: from who has the TPK{which}, or by RESOLVE_INIT from the KMS"


def _transfer_resp(message: MikeyMessage) -> Iterator[str]:
    yield "the TRANSFER_INIT that it answers, with the ticket"
    yield "MPKi and the keys in the ticket, from the KMS"
    if message.rand(mikey.RandRole.KMS) is not None:
        yield "unforked MPKr and TGK (the answer has a RANDRkms: keys are forked)"


def _request(message: MikeyMessage) -> Iterator[str]:
    yield f"the pre-shared key {_psk(message)}, or the answer of the KMS"


def _public_request(_: MikeyMessage) -> Iterator[str]:
    yield "the private key of the KMS, which opens the envelope key in PKE"


def _kms_answer(_: MikeyMessage) -> Iterator[str]:
    yield "the message that it answers: its RAND and octets are covered by the MAC"
    yield "the pre-shared or envelope key of that message"


def _psk(message: MikeyMessage) -> str:
    found = message.identity(mikey.IdRole.PSK)
    return "of the subscriber" if found is None else repr(found.data.decode("utf-8", "backslashreplace"))


def _needs(*lines: str) -> Callable[[MikeyMessage], Iterator[str]]:
    return lambda _: iter(lines)


_DH = _needs("the DH secret of one of the two users: no third party can derive the keys")
_IBAKE = _needs("an ephemeral secret of one of the two users: the KMS cannot derive the keys")
_NEEDS: dict[int, Callable[[MikeyMessage], Iterator[str]]] = {
    DataType.PSK_INIT: _needs("the pre-shared key of the two users"),
    DataType.PSK_RESP: _needs(
        "the message that it answers, which has the keys, and the pre-shared key of the two users"
    ),
    DataType.PK_INIT: _needs("the private key of the responder, which opens the envelope key in PKE"),
    DataType.PK_RESP: _needs("the message that it answers, which has the keys, and the private key of the responder"),
    DataType.DH_INIT: _DH,
    DataType.DH_RESP: _DH,
    DataType.DHHMAC_INIT: _DH,
    DataType.DHHMAC_RESP: _DH,
    DataType.RSA_R_INIT: _needs("the RSA-R response, and the private key of the initiator"),
    DataType.RSA_R_RESP: _needs("the message that it answers, and the private key of the initiator"),
    DataType.REQUEST_INIT_PSK: _request,
    DataType.REQUEST_INIT_PK: _public_request,
    DataType.REQUEST_RESP: _kms_answer,
    DataType.TRANSFER_INIT: _transfer_init,
    DataType.TRANSFER_RESP: _transfer_resp,
    DataType.RESOLVE_INIT_PSK: _request,
    DataType.RESOLVE_INIT_PK: _public_request,
    DataType.RESOLVE_RESP: _kms_answer,
    DataType.IBAKE_I_MESSAGE_1: _IBAKE,
    DataType.IBAKE_R_MESSAGE_1: _IBAKE,
    DataType.IBAKE_I_MESSAGE_2: _IBAKE,
    DataType.IBAKE_R_MESSAGE_2: _IBAKE,
    DataType.SAKKE: _needs("the receiver's secret key of the period, or the master secret of the receiver's KMS"),
}


# What is worth saying


def _remarks(message: MikeyMessage) -> Iterator[str]:
    for ticket in message.all(v.Ticket):
        broken = mikey.contradiction(ticket.policy.flags)
        if broken is not None:
            yield f"TICKET: the flags contradict each other: {broken}"
        yield f"TICKET: flags {ticket.policy.flags or 'none'}: {_mode(ticket.policy.flags)}"
    kemac = message.first(v.Kemac)
    if kemac is not None and kemac.encr_data and kemac.encr_alg == mikey.EncrAlg.NULL:
        yield "KEMAC: not encrypted; its keys are not shown"


def _mode(flags: v.Flags) -> str:
    """The mode of RFC 6043 4.1.1, by who shares the TPK."""
    modes = {
        (True, True): "mode 1: made and resolved by the KMS",
        (True, False): "mode 2: made by the KMS, the Responder can open it",
        (False, True): "mode 3: made by the Initiator, resolved by the KMS",
        (False, False): "mode 4: between Initiator and Responder alone",
    }
    return modes[flags.d, flags.e] + (", keys are forked for each responder" if flags.i else "")
