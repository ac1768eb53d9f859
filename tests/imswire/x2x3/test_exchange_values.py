"""Values of the private format show no messages and no identities."""

from imswire.x2x3.exchange_values import CALLER, Dialog, Exchange, Kept, Moment, Session, Update

KEPT = Kept(b"a=crypto:1 secret", Moment(1, 2), 3)


def test_redacted():
    exchange = Exchange(0, CALLER, KEPT, KEPT, (Update(CALLER, KEPT),))
    session = Session(
        "sip:alice@x", Dialog("call-id", "t1", "t2"), KEPT.at, KEPT.at, CALLER, offer=KEPT, exchanges=(exchange,)
    )
    shown = repr(session) + repr(session.dialog)
    assert not any(word in shown for word in ("secret", "alice", "call-id", "t1")) and "<17 octets>" in shown
