"""When executions start: growth over the window, weekdays, working hours, and days on which costs spike."""

from bisect import bisect
from datetime import datetime, time, timedelta
from itertools import accumulate
from random import Random

_WEEKDAYS = (1.0, 1.1, 1.1, 1.05, 0.9, 0.22, 0.18)
_OFFICE_HOURS = (
    *(0.12, 0.08, 0.06, 0.06, 0.08, 0.15, 0.4, 0.9, 1.6, 2.0, 2.1, 1.9),
    *(1.4, 1.8, 2.0, 1.9, 1.7, 1.3, 0.9, 0.7, 0.5, 0.35, 0.25, 0.18),
)
_GROWTH = 1.8
"""The last day carries 1 + this many times the first day's traffic."""


def randomness(name: str) -> Random:
    """A generator that gives the same numbers for the same name, in every process."""
    return Random(name)  # noqa: S311  made-up traffic, no secrets


class Rhythm:
    """Draws instants of the `days` days up to `now`."""

    def __init__(self, days: int, seed: int, now: datetime) -> None:
        self.start = now - timedelta(days=days)
        self.now = now
        midnight = datetime.combine(self.start.date(), time(), tzinfo=now.tzinfo)
        self._midnights = [midnight + timedelta(days=day) for day in range((now.date() - midnight.date()).days + 1)]
        noise = randomness(f"{seed}/days")
        office = [
            _WEEKDAYS[day.weekday()] * (1 + _GROWTH * number / len(self._midnights)) * noise.lognormvariate(0, 0.18)
            for number, day in enumerate(self._midnights)
        ]
        self._office = list(accumulate(office))
        self._hours = list(accumulate(_OFFICE_HOURS))
        self._spikes = {
            day.date(): noise.uniform(3, 9) for day in noise.sample(self._midnights, k=1 + len(self._midnights) // 75)
        }

    def elapsed(self, instant: datetime) -> float:
        """How far into the window an instant lies, from 0 to 1."""
        return min(1.0, max(0.0, (instant - self.start) / (self.now - self.start)))

    def spike(self, instant: datetime) -> float:
        """By what factor prompts are longer than usual that day: 1 on most."""
        return self._spikes.get(instant.date(), 1.0)

    def instant(self, rng: Random, *, scheduled: bool) -> datetime:
        """When an execution starts: people's in working hours, scheduled ones on the full hour of any day."""
        while True:
            if scheduled:
                day, hour = rng.choice(self._midnights), rng.randrange(24)
                drawn = day + timedelta(hours=hour, seconds=rng.uniform(0, 4))
            else:
                day = self._midnights[bisect(self._office, rng.random() * self._office[-1])]
                hour = bisect(self._hours, rng.random() * self._hours[-1])
                drawn = day + timedelta(hours=hour, seconds=rng.uniform(0, 3600))
            # The first and the last day of the window are partial.
            if self.start <= drawn <= self.now:
                return drawn.replace(microsecond=drawn.microsecond // 1000 * 1000)
