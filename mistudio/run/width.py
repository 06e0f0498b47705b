"""How many calls may be in flight: as many as wanted, fewer while the server limits the rate."""


class Width:
    """Additive increase, multiplicative decrease (Chiu and Jain 1989), as for congestion in networks.

    A rate-limit answer halves the width, but only once for the calls that were in flight together; each width of calls
    without one makes it wider by one, up to what was wanted.
    """

    def __init__(self, wanted: int):
        self.wanted = wanted
        self._width = float(wanted)
        self._deaf = 0

    def __int__(self) -> int:
        return int(self._width)

    def landed(self, *, limited: bool, in_flight: int) -> None:
        """A call has landed.

        Args:
            limited: the server limited the rate since the last call landed.
            in_flight: calls still under way; they were sent at the old width and say nothing of the new one.
        """
        deaf, self._deaf = self._deaf, max(0, self._deaf - 1)
        if not limited:
            self._width = min(float(self.wanted), self._width + 1 / self._width)
        elif not deaf:
            self._width, self._deaf = max(1.0, self._width / 2), in_flight
