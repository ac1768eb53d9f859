"""The link to the audit: what is said to it, and the client that every acting role has.

::

    intent = await client.intent(Act.TASK_ACTIVATE, client.digest(Kind.TASK, xid))   # NotAudited: do not do it
    ...
    intent.done()                                                                    # or refused(code), failed(code)
"""

from midcall.base.audit_link.blocking import announced
from midcall.base.audit_link.client import AuditClient, AuditLink, Intent, NotAudited, log_unaudited
from midcall.base.audit_link.values import Act, Kind, Note, Outcome, Phase, Role, digest

__all__ = [
    "Act",
    "AuditClient",
    "AuditLink",
    "Intent",
    "Kind",
    "NotAudited",
    "Note",
    "Outcome",
    "Phase",
    "Role",
    "announced",
    "digest",
    "log_unaudited",
]
