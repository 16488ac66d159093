"""A pytest plugin that writes one line per test: outcome, seconds, name."""

import os

RESULTS = os.environ["INTEROP_RESULTS"]
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


def pytest_runtest_logreport(report):
    record = _records.setdefault(report.nodeid, Record())
    record.add(report)
    if report.when == "teardown":
        path, _, test = report.nodeid.partition("::")
        name = os.path.basename(path) + "::" + test
        with open(RESULTS, "a", encoding="utf-8") as results:
            results.write(f"{record.outcome} {record.seconds:.1f} {name}\n")
