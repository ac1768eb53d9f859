"""What somebody has to look at: alarms that stand, and those that are over, the oldest of which make room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import structs

from midcall.admf.values import Alarm, AlarmKind

MAX_ALARMS = 2_000
Key = tuple[str, str, str]


def key_of(alarm: Alarm) -> Key:
    return alarm.kind.name, alarm.element, alarm.subject


class Alarms:
    """By kind, element and subject. Every change is to be fetched with ``changes``, and kept."""

    def __init__(self, alarms: tuple[Alarm, ...] = ()) -> None:
        self._alarms = {key_of(each): each for each in sorted(alarms, key=lambda each: each.since)}
        self._alike: defaultdict[tuple[str, str], dict[Key, None]] = defaultdict(dict)
        for key in self._alarms:
            self._alike[key[:2]][key] = None
        self._changed: dict[Key, Alarm | None] = {}

    def __iter__(self) -> Iterator[Alarm]:
        return iter(self._alarms.values())

    @property
    def standing(self) -> tuple[Alarm, ...]:
        return tuple(each for each in self._alarms.values() if not each.until)

    def stands(self, kind: AlarmKind, element: str = "", subject: str = "") -> bool:
        alarm = self._alarms.get((kind.name, element, subject))
        return alarm is not None and not alarm.until

    def found(self, kind: AlarmKind, element: str, subject: str, detail: str, wall: int) -> bool:
        """Whether that is new."""
        key = kind.name, element, subject
        if self.stands(kind, element, subject):
            return False
        self._drop(key)
        if len(self._alarms) >= MAX_ALARMS:
            self._make_room()
        self._alike[key[:2]][key] = None
        self._alarms[key] = self._changed[key] = Alarm(kind, element, subject, detail, wall)
        return True

    def over(self, kind: AlarmKind, element: str, subject: str, wall: int) -> bool:
        """Whether there was one."""
        key = kind.name, element, subject
        alarm = self._alarms.get(key)
        if alarm is None or alarm.until:
            return False
        self._alarms[key] = self._changed[key] = structs.replace(alarm, until=max(wall, 1))
        return True

    def changes(self) -> dict[Key, Alarm | None]:
        """Since the last call; None: it made room."""
        found, self._changed = self._changed, {}
        return found

    def unkept(self, changes: Iterable[tuple[Key, Alarm | None]]) -> None:
        """These could not be kept."""
        for key, alarm in changes:
            self._changed.setdefault(key, alarm)

    def _make_room(self) -> None:
        """One that is over, or else the oldest, of the kind and element of which there are most: an element that tells
        much, or holds much, hides nothing of what was found elsewhere."""
        most = max(self._alike.values(), key=len)
        oldest = next((key for key in most if self._alarms[key].until), next(iter(most)))
        self._drop(oldest)
        self._changed[oldest] = None

    def _drop(self, key: Key) -> None:
        if self._alarms.pop(key, None) is not None:
            alike = self._alike[key[:2]]
            del alike[key]
            if not alike:
                del self._alike[key[:2]]
