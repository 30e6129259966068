"""A clock for the tests of benchmarks."""


class Clock:
    """In the place of `time`: it moves by what is slept, however busy the machine is."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
