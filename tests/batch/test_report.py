"""Tests of a job's progress, task names, figures, and HTML report."""

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.batch.invented import BEGIN, SERVER, invented_job, outcome
from vortex_hep.batch.report.advice import ADVICE, advice
from vortex_hep.batch.report.naming import task_key
from vortex_hep.batch.report.page import MOST_FILES, report_page, write_report
from vortex_hep.batch.report.plots import MOST_ROWS, TIME_BINS, busy_fractions
from vortex_hep.batch.report.progress import TOLD_FAILURES, watching
from vortex_hep.batch.report.series import Series
from vortex_hep.batch.report.summary import KEPT_FAILURES, SLOWEST, summarise
from vortex_hep.batch.report.summarytext import MOST_FAILURES, failure_lines, summary_text
from vortex_hep.batch.states import Order, Outcome, Reason

NASTY = '<script>alert(1)</script>\n\x1b[31mred & "quoted"'
FAILURES = {2: (Reason.NO_SPACE, NASTY), 5: (Reason.NO_SPACE, "quota"), 8: (Reason.DENIED, "no")}


@pytest.fixture
def job(tmp_path):
    """Thirty files: 25 done, three failed, two waiting."""
    journal = invented_job(tmp_path / "job's.sqlite", 30, failures=FAILURES, left=2)
    yield journal
    journal.close()


def test_figures(job):
    summary = summarise(job, seconds=61.0)
    rows = [row.outcome for row in job.rows() if row.outcome is not None and row.outcome.ok]
    assert (summary.done, summary.failed, summary.waiting) == (25, 3, 2)
    assert summary.exit_code == 1
    assert summary.total.original_bytes == sum(o.source_size for o in rows)
    assert summary.total.stored_bytes == sum(o.target_size for o in rows)
    assert summary.total.seconds == pytest.approx(sum(sum(o.stages.values()) for o in rows))
    assert summary.total.adopted == sum(o.adopted for o in rows)
    assert sum(t.done for t in summary.datasets.values()) == 25
    assert set(summary.datasets) == {"ttbar", "<b>dy & jets</b>"}
    assert list(summary.reasons.items()) == [("no space", 2), ("no permission", 1)]
    assert summary.groups["Jet"] == (25 * 1_600_000, 25 * 300_000)
    times = [file.seconds for file in summary.slowest]
    assert len(times) == SLOWEST
    assert times == sorted(times, reverse=True)
    assert times[0] == pytest.approx(max(sum(o.stages.values()) for o in rows))
    assert len(summary.series.ratios) == 25
    assert sum(map(np.isnan, summary.series.speeds)) == summary.total.adopted
    assert len(summary.series.names) == 3


def test_exit_code_of_a_job_that_is_complete(tmp_path):
    journal = invented_job(tmp_path / "j.sqlite", 4)
    assert summarise(journal).exit_code == 0
    journal.close()


def test_text(job):
    text = summary_text(summarise(job, seconds=61.0))
    assert "compress: 25 of 30 files done (3 were there already), 3 failed, 2 waiting" in text
    assert "in 1 min 1 s" in text
    assert re.search(r"files 25\.00 MB, archives .* MB, ratio 1\.\d\d", text)
    assert re.search(r"ttbar +\d+ +\d+ +\d+", text)
    assert f"model {'ab' * 32}" in text
    assert "slowest files" in text
    assert "no space (2 files): free space" in text
    assert max(map(len, text.splitlines())) < 130


def test_failures_are_one_line_each_and_counted_beyond_twenty(tmp_path):
    failures = dict.fromkeys(range(30), (Reason.NETWORK, f"{SERVER}/x: {NASTY}"))
    journal = invented_job(tmp_path / "j.sqlite", 30, failures=failures)
    lines = failure_lines(summarise(journal))
    journal.close()
    assert len(lines) == MOST_FAILURES + 1
    assert all(line.isprintable() for line in lines)
    assert lines[-1].startswith("... and 10 more files: vortex-hep jobs show ")
    assert "network" in lines[0]
    assert "file00000.root" in lines[0]


def test_every_reason_has_advice():
    assert set(ADVICE) == set(Reason)
    assert advice("made up") == advice(None) == ADVICE[Reason.OTHER]


class Page(HTMLParser):
    """What is on a page: tags with their attributes, text, and open tags."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[tuple[str, dict[str, Any]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_whole_and_stands_alone(job, tmp_path):
    write_report(job, tmp_path / "job.html")
    text = (tmp_path / "job.html").read_text()
    page = Page(text)
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert "script" not in names
    assert "link" not in names
    assert "b" not in names  # data sets and messages are text
    for _, attrs in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") for name in attrs)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    whole = "".join(page.text)
    assert "<script>alert(1)</script>" in whole
    assert "<b>dy & jets</b>" in whole
    for part in ("25 of 30 files done, 3 failed, 2 waiting", "quota", advice("no permission")):
        assert part in whole
    assert f"{SERVER}/set1/file00029.root" in whole


def test_plots_are_named_described_and_drawn(job):
    text = report_page(job)
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert len(plots) == 4
    for plot in plots:
        svg = ElementTree.fromstring(plot)
        assert svg.get("role") == "img"
        named = {element.get("id"): element.text for element in svg.iter()}
        for label in svg.attrib["aria-labelledby"].split():
            assert named[label]
    assert "25 files: median 1." in plots[0]
    assert "Jet takes 7.50 MB" in plots[2]
    assert "$\\mu$ &lt;x&gt;" in plots[2]
    assert "3 workers" in plots[3]


def test_page_of_a_job_that_did_nothing_yet(tmp_path):
    journal = invented_job(tmp_path / "j.sqlite", 3, left=3)
    page = Page(report_page(journal))
    journal.close()
    assert "0 of 3 files done, 3 waiting." in page.text
    assert "svg" not in [tag for tag, _ in page.tags]


def test_pages_of_many_files_stay_small(tmp_path):
    count = 3000
    failures = dict.fromkeys(range(0, count, 2), (Reason.DAMAGED, "x" * 2000))
    journal = invented_job(tmp_path / "j.sqlite", count, failures=failures)
    text = report_page(journal)
    journal.close()
    assert len(text) < 5_000_000
    assert f"The first {KEPT_FAILURES:,} of 1,500" in text
    assert f"The first {MOST_FILES:,} of {count:,}" in text


def test_busy_fractions_of_workers():
    series = Series()
    for worker, started, finished in (("a", 0, 50), ("a", 50, 100), ("b", 25, 75), ("b", 75.1, 76)):
        series.work(Outcome(0, 1, True, worker=worker, started=BEGIN + started,
                            finished=BEGIN + finished))  # fmt: skip
    busy, span = busy_fractions(series)
    assert span == 100
    assert busy.shape == (2, TIME_BINS)
    np.testing.assert_allclose(busy[0], 1)
    np.testing.assert_allclose(busy[1].mean() * 100, 50.9)
    assert busy[1][0] == busy[1][-1] == 0


def test_many_workers_share_rows():
    series = Series()
    for n in range(3 * MOST_ROWS):
        series.work(Outcome(0, 1, True, worker=f"w{n}", started=BEGIN, finished=BEGIN + 10))
    busy, _ = busy_fractions(series)
    assert busy.shape == (MOST_ROWS, TIME_BINS)
    np.testing.assert_allclose(busy, 1)


class Recorder:
    """A progress that remembers."""

    def __init__(self):
        self.amount: float = 0
        self.postfix: dict[str, Any] = {}
        self.notes: list[str] = []

    def task(self, label, total, unit="B"):
        self.label, self.total, self.unit = label, total, unit
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def advance(self, n=1, **postfix):
        self.amount += n
        self.postfix = postfix

    def note(self, text):
        self.notes.append(text)


def test_progress_counts_bytes_files_ratio_and_failures(tmp_path):
    journal = invented_job(tmp_path / "j.sqlite", 40, left=30)
    shown = Recorder()
    with watching(shown, "compress", journal.counts()) as watch:
        assert shown.unit == "B"
        assert shown.postfix["files"] == "10/40"
        rows = journal.take(30, BEGIN)
        watch.update([outcome(rows[0].number, 1, place=10)], retried=2)
        assert shown.amount == 1_000_010
        assert shown.postfix["files"] == "11/40"
        assert shown.postfix["retried"] == 2
        assert float(shown.postfix["ratio"]) > 1
        bad = [Outcome(r.number, 1, False, reason="network", error=NASTY) for r in rows[1:]]
        watch.update(bad)
    journal.close()
    assert shown.postfix["failed"] == 29
    assert shown.amount == shown.total
    assert len(shown.notes) == TOLD_FAILURES + 1
    assert all(note.isprintable() for note in shown.notes)


def order(number, attempt):
    return Order(number, f"{SERVER}/a{number}.root", None, attempt, 1, None)


def test_names_of_tasks_tell_what_is_done():
    from distributed.utils import key_split_group

    key = task_key("compress", [order(7, 1), order(8, 1)], job="3f")
    assert key_split_group(key) == "compress"
    assert key[1] == "a7.root #7 and 1 more"
    keys = {key, task_key("compress", [order(7, 2)], job="3f"), task_key("compress", [order(7, 2)])}
    assert len(keys) == 3


def tell(orders):
    """What a task on a worker does with its outcomes."""
    from vortex_hep.batch.report.metrics import count

    count("compress", [
        Outcome(o.number, 1, o.number != 3, source_size=3_000_000, target_size=1_000_000)
        for o in orders
    ])  # fmt: skip


def test_workers_show_figures_on_the_dashboard():
    from distributed import Client, LocalCluster

    from vortex_hep.batch.report.metrics import FiguresPlugin

    tell([order(1, 1)])  # on no worker: nothing happens
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(FiguresPlugin())
        tasks = [
            client.submit(tell, [order(n, 1)], key=task_key("compress", [order(n, 1)]))
            for n in range(4)
        ]
        client.gather(tasks)
        worker = next(iter(cluster.workers.values()))
        shown = {name: metric(worker) for name, metric in worker.metrics.items()}
        groups = set(cluster.scheduler.task_groups)
    assert "compress" in groups
    assert (shown["files done"], shown["files failed"]) == (3, 1)
    assert (shown["MB in"], shown["MB out"], shown["ratio"]) == (9, 3, "3.00")
