"""From the account of a call to its ladder: which rung was reached at the mediation functions, and why the next not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from midcall.df3 import ContentMediation
from midcall.events import Terms
from midcall.handover import Completeness
from midcall.live.df_account import Account, ForkAccount, Media
from midcall.live.df_account import media as media_of
from midcall.live.ladder import Fork, Reason, Rung, State, TaskLadder, many, moment, unauthenticated


class Product(Struct, frozen=True):
    """Where the product of an LIID goes: whether its links are up, why not, and the equation of the intercept."""

    is_up: bool
    why: str = ""
    completeness: tuple[Completeness, ...] = ()


class At(Struct, frozen=True):
    """What is the same for all forks: the warrant's terms, whether there are media here at all, where product goes."""

    terms: Terms
    has_media: bool
    product: Product


def tasks(
    accounts: Mapping[str, Account],
    terms: Mapping[str, Terms],
    products: Mapping[str, Product],
    df3: ContentMediation,
    *,
    has_media: bool,
) -> Iterator[TaskLadder]:
    """A call under each task that is ordered; ``products``: by LIID."""
    for xid, account in accounts.items():
        if xid in terms:
            at = At(terms[xid], has_media, products.get(terms[xid].liid) or Product(False))
            yield task(xid, account, at, df3)


def task(xid: str, account: Account, at: At, df3: ContentMediation) -> TaskLadder:
    """A call under one task, and how its dialogs stand at DF3."""
    forks = [
        fork(number, account, found, media_of(df3.look(xid, dialog), found), at)
        for number, (dialog, found) in enumerate(account.forks.items(), 1)
    ]
    return TaskLadder(xid, account.mid_call, tuple(forks or [nothing(account)]), at.terms.liid)


def nothing(account: Account) -> Fork:
    """A call of which no event was taken in."""
    said = f"{account.outside} outside the window of the task, and none within"
    counts = {"outside_window": account.outside}
    return Fork(1, (Rung("events", State.MISSING, said, Reason.OUTSIDE_WINDOW, counts),))


def fork(number: int, account: Account, found: ForkAccount, media: Media, at: At) -> Fork:
    """The ladder of one dialog."""
    return Fork(number, tuple(_rungs(account, found, media, at)), media.streams)


def _rungs(account: Account, found: ForkAccount, media: Media, at: At) -> Iterator[Rung]:
    yield _events(account)
    if not at.terms.content:
        yield Rung("content", State.MISSING, "the warrant allows events only", Reason.IRI_ONLY)
    else:
        yield _session(found)
        if found.lines:
            yield _keys(found, at.terms)
            yield _armed(found, media, at)
            yield _packets(found, media)
            if media.seen:
                yield _content(found, media)
    yield _handed_over(media, at.product)
    if found.ended:
        yield Rung("ended", State.DONE, found.ended)


def _events(account: Account) -> Rung:
    said = f"{many(account.events, 'message')} taken in, {moment(account.first)} to {moment(account.last)}"
    said += unauthenticated(account.unauthenticated)
    if account.outside:
        said += f"; {account.outside} outside the window were not"
    counts = {"events": account.events, "outside_window": account.outside}
    if account.unauthenticated:
        counts["unauthenticated"] = account.unauthenticated
    if account.removed:
        removed = sorted(account.removed.items())
        said += "; taken out of their records: " + ", ".join(f"{count} {kind}" for kind, count in removed)
        counts |= {f"removed_{kind}": count for kind, count in removed}
    return Rung("events", State.DONE, said, counts=counts)


def _session(found: ForkAccount) -> Rung:
    faults = "; ".join(found.faults)
    if not found.planned or not (found.offered or found.answered):
        return Rung(
            "session", State.MISSING, faults or "the POI has reported no session description", Reason.NO_SESSION
        )
    if not found.lines:
        said = faults or "no line of RTP in it that is not refused"
        return Rung("session", State.MISSING, said, Reason.UNREADABLE if found.faults else Reason.NO_MEDIA)
    said = f"{many(found.lines, 'media line')}, {found.secure} encrypted" + (f"; {faults}" if faults else "")
    counts = {"lines": found.lines, "secure": found.secure}
    if found.answered:
        return Rung("session", State.DONE, said, counts=counts)
    return Rung("session", State.WAITING, f"{said}; not answered yet", Reason.NO_ANSWER, counts)


def _keys(found: ForkAccount, terms: Terms) -> Rung:
    counts = {"asked": found.asked, "open": len(found.open), "keys": found.contexts}
    if not found.secure:
        return Rung("keys", State.NOT_NEEDED, "its media are not encrypted", counts=counts)
    failures = "; ".join(found.failures)
    if found.contexts:
        whose = "; the agency decrypts" if terms.keys_to_lemf else ""
        said = f"{many(found.contexts, 'session key')}, {many(found.asked, 'question')} to the KMS{whose}"
        return Rung("keys", State.DONE, f"{said}; {failures}" if failures else said, counts=counts)
    if found.open:
        return Rung("keys", State.WAITING, "the KMS is being asked", Reason.KMS_ASKED, counts)
    if found.failures:
        return Rung("keys", State.MISSING, failures, _why(found), counts)
    if not found.answered or found.pending:
        return Rung("keys", State.WAITING, "they depend on an answer that was not seen yet", Reason.NO_ANSWER, counts)
    said = "the POI sent no ticket exchange" if not found.exchanges else "the KMS was not asked"
    return Rung("keys", State.MISSING, said, Reason.NO_KEYS if found.exchanges else Reason.NO_TICKET, counts)


def _why(found: ForkAccount) -> Reason:
    """The KMS's own word first: whatever else failed, failed without it."""
    if any(each.startswith("KMS") for each in found.failures):
        return Reason.KMS_REFUSED
    return Reason.NO_KEYS if found.exchanges else Reason.NO_TICKET


def _armed(found: ForkAccount, media: Media, at: At) -> Rung:
    if not at.has_media:
        said = "this DF has no tap, and no POI has sent it X3"
        return Rung("armed", State.MISSING, said, Reason.NO_TAP)
    if found.final is not None or found.ended:
        return Rung("armed", State.DONE, "until the dialog was over")
    if not media.places:
        return Rung("armed", State.MISSING, "no line has an address: on hold, or refused", Reason.NO_MEDIA)
    return Rung(
        "armed", State.DONE, f"{many(media.places, 'place')} of media and RTCP", counts={"places": media.places}
    )


def _packets(found: ForkAccount, media: Media) -> Rung:
    counts = {"seen": media.seen, "held": media.held} | {f"dropped_{name}": n for name, n in media.dropped.items()}
    if media.seen:
        said = "; ".join(filter(None, (f"{media.seen} seen at the dialog's places", _dropped(media))))
        return Rung("packets", State.DONE, said, counts=counts)
    said = "none was seen: held, silent, or on a way that neither tap nor X3 is on"
    waits = not found.ended and (not found.answered or found.pending)
    return Rung("packets", State.WAITING if waits else State.MISSING, said, Reason.NO_PACKETS, counts)


def _content(found: ForkAccount, media: Media) -> Rung:
    counts = {name: count for name, count in media.sums.items() if count}
    said = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
    if media.content:
        return Rung("content", State.DONE, said, counts=counts)
    if media.held:
        said = f"{media.held} wait for keys" + (f"; {said}" if said else "")
        waits = bool(found.open) or not found.answered or found.pending
        return Rung("content", State.WAITING if waits else State.MISSING, said, Reason.HELD, counts)
    if media.sums.get("tag_failures"):
        return Rung("content", State.MISSING, f"no key opens them: {said}", Reason.TAG_FAILURES, counts)
    if media.sums.get("without_key"):
        return Rung("content", State.MISSING, f"there is no key for them: {said}", Reason.WITHOUT_KEY, counts)
    said = "; ".join(filter(None, (said, _dropped(media))))
    return Rung("content", State.MISSING, said, Reason.DROPPED, counts)


def _dropped(media: Media) -> str:
    """What of the packets belongs to no stream; empty: all do."""
    dropped = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in media.dropped.items())
    return f"dropped: {dropped}" if dropped else ""


def _handed_over(media: Media, product: Product) -> Rung:
    records = media.content + media.sums.get("rtcp", 0)
    counts = {"records": records}
    told = [f"{many(records, 'content record')} of this dialog"]
    refused: list[str] = []
    for each in product.completeness:
        gone = sum(each.refused.values())
        counts |= {
            f"{each.interface}_{name}": value
            for name, value in (("delivered", each.delivered), ("queued", each.queued), ("refused", gone))
        }
        told.append(f"{each.interface.upper()} of the intercept: {each.delivered} delivered, {each.queued} queued")
        refused += [f"{each.interface.upper()}: {count} refused: {why}" for why, count in each.refused.items() if count]
    said = "; ".join((*told, *refused))
    if not product.is_up:
        why = product.why or "not connected yet"
        return Rung("handed over", State.MISSING, f"no link to the agency: {why}; {said}", Reason.LEMF_DOWN, counts)
    if refused:
        # Of the whole intercept: whether they were this call's, nobody has counted.
        return Rung("handed over", State.DONE, said, Reason.HANDOVER_REFUSED, counts)
    return Rung("handed over", State.DONE, said, counts=counts)
