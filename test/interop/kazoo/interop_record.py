"""A pytest plugin that writes one line per test (outcome, seconds, name) and limits what comes after a test, too.

pytest-timeout lets its timer go off once per test. When that was in the test itself, nothing limits `tearDown`, and
kazoo's join there the threads that such a test has left waiting: that would never end.
"""

import os
import signal

import pytest

RESULTS = os.environ["INTEROP_RESULTS"]
# Seconds.
CLEAN_UP_LIMIT = 60
PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"


class Record:
    """What the phases of one test came to."""

    def __init__(self):
        self.outcome = PASSED
        self.seconds = 0.0

    def add(self, report):
        self.seconds += report.duration
        if report.failed:
            self.outcome = FAILED
        elif report.skipped and self.outcome == PASSED:
            self.outcome = SKIPPED


_records = {}


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item, settings):
    result = yield
    # The handler stands; the timer now goes off again and again until the test is over.
    signal.setitimer(signal.ITIMER_REAL, settings.timeout, CLEAN_UP_LIMIT)
    return result


def pytest_runtest_logreport(report):
    record = _records.setdefault(report.nodeid, Record())
    record.add(report)
    if report.when == "teardown":
        path, _, test = report.nodeid.partition("::")
        name = os.path.basename(path) + "::" + test
        with open(RESULTS, "a", encoding="utf-8") as results:
            results.write(f"{record.outcome} {record.seconds:.1f} {name}\n")
