"""Types of single values, with their bounds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Operator = Annotated[str, Meta(min_length=1, max_length=16, pattern=r"^[\x20-\x7e]*$")]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Liid = Annotated[str, Meta(min_length=1, max_length=25, pattern=r"^[A-Za-z0-9._-]+$")]
NetworkOperator = Annotated[str, Meta(min_length=1, max_length=5, pattern=r"^[\x20-\x7e]*$")]
Positive = Annotated[int, Meta(ge=1)]
Address = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$")]
Door = Annotated[str, Meta(pattern=r"^(unix:.{1,100}|(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5})$")]
Names = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]
Filled = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(gt=0)]
Sink = Annotated[str, Meta(pattern=r"^(fd:[0-9]{1,3}|(?!fd:).*)$")]
Credential = Annotated[str, Meta(min_length=1, title="credential")]
"""A secret: the name of a credential in the file of a daemon; the path of its file once it is ``placed``."""
