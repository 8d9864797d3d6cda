"""What was measured, as a table, as Markdown and as JSON; and beside it the bars that Bindery sets itself."""

import statistics

from matrix import OURS, SERVICE

MB = 1e6


class Results:
    """Samples by case and contender."""

    def __init__(self):
        self.samples, self.batch, self.idle, self.pure, self.faults = {}, {}, {}, {}, []

    def add(self, case, contender, samples):
        self.batch[case.name] = case.batch
        self.samples.setdefault(case.name, {}).setdefault(contender, []).extend(samples)

    def seconds(self, case, contender):
        """The median of the contenders whose names begin so, the best of them."""
        found = [
            statistics.median(sample.seconds for sample in samples)
            for name, samples in self.samples.get(case, {}).items()
            if name.startswith(contender) and samples
        ]
        return min(found, default=None)

    def quantile(self, case, contender, share):
        samples = sorted(sample.seconds for sample in self.samples.get(case, {}).get(contender, []))
        return samples[min(len(samples) - 1, int(len(samples) * share))] if samples else None

    def memory(self, case, contender):
        found = [
            statistics.median(it.memory for it in samples)
            for name, samples in self.samples.get(case, {}).items()
            if name.startswith(contender) and samples and all(it.memory is not None for it in samples)
        ]
        return min(found, default=None)

    def rows(self):
        """One row a contender: case, contender, median, least, most, ratio to the best of ours, memory, count."""
        for case, contenders in self.samples.items():
            ours = min((it for it in (self.seconds(case, OURS), self.seconds(case, SERVICE)) if it), default=None)
            for name, samples in contenders.items():
                seconds = [sample.seconds for sample in samples]
                median = statistics.median(seconds)
                yield {
                    "case": case, "contender": name, "median": median, "least": min(seconds), "most": max(seconds),
                    "ratio": median / ours if ours else None, "memory": self.memory(case, name), "samples": len(samples),
                    "per_minute": 60 * self.batch[case] / median if self.batch[case] > 1 else None,
                }  # fmt: skip


def bars(results):
    """Each bar: what it says, its limit, what was measured, and whether that holds; what was not run is left out."""
    seconds, memory = results.seconds, results.memory

    def ratio(one, other):
        return one / other if one is not None and other is not None else None

    one, served = "one cell, command line", "one cell, warm service"
    apart, at_once = f"{SERVICE}, a run every 0.1 s", f"{SERVICE}, one after the other"
    warm = seconds(served, apart)
    lines, image = "100,000 lines", "20 MB image"
    big = "200 cells of 100 kB"
    many = seconds("200 cells", SERVICE)
    rate = lambda case, name: ratio(results.batch.get(case), seconds(case, name))
    listed = [
        ("one cell, command line: papermill ÷ bindery execute", ">=", 3.5, ratio(seconds(one, "papermill"), seconds(one, OURS))),
        ("one cell, command line: bindery execute ÷ bare client", "<=", 1.25, ratio(seconds(one, OURS), seconds(one, "bare"))),
        ("one cell, warm service, a run every 0.1 s: median, ms", "<=", 35, warm and warm * 1000),
        ("one cell, warm service: papermill ÷ bindery serve", ">=", 35, ratio(seconds(served, "papermill"), warm)),
        ("one cell, warm service: ploomber-engine ÷ bindery serve", ">=", 9, ratio(seconds(served, "ploomber"), warm)),
        ("one cell, warm service, a run every 0.1 s: p99 ÷ median", "<=", 4, ratio(results.quantile(served, apart, 0.99), warm)),
        ("one cell, warm service, one after the other: p99 ÷ median", "<=", 4, ratio(results.quantile(served, at_once, 0.99), seconds(served, at_once))),
        ("pandas and scikit-learn: papermill ÷ bindery serve", ">=", 20, ratio(seconds("pandas and scikit-learn", "papermill"), seconds("pandas and scikit-learn", SERVICE))),
        ("pandas and scikit-learn: ploomber-engine ÷ bindery serve", ">=", 12, ratio(seconds("pandas and scikit-learn", "ploomber"), seconds("pandas and scikit-learn", SERVICE))),
        ("batch of 40: papermill's best pool ÷ bindery serve", ">=", 8, ratio(seconds("batch of 40", "papermill"), seconds("batch of 40", SERVICE))),
        ("batch of 40: ploomber-engine's command line ÷ bindery serve", ">=", 5, ratio(seconds("batch of 40", "ploomber-engine, 2 at"), seconds("batch of 40", SERVICE))),
        ("batch of 400: its rate ÷ that of papermill's best pool", ">=", 8, ratio(rate("batch of 400", SERVICE), rate("batch of 40", "papermill"))),
        ("200 cells: bindery serve ÷ jupyter execute", "<=", 0.4, ratio(many, seconds("200 cells", "jupyter"))),
        ("200 cells: bindery serve ÷ papermill", "<=", 0.1, ratio(many, seconds("200 cells", "papermill"))),
        ("200 cells: ms per cell", "<=", 2.2, many and many * 1000 / 200),
        (f"{big}: bindery serve ÷ papermill", "<=", 0.07, ratio(seconds(big, SERVICE), seconds(big, "papermill"))),
        (f"{lines}: bindery execute ÷ nbclient", "<=", 0.7, ratio(seconds(lines, OURS), seconds(lines, "nbclient"))),
        (f"{lines}: bindery serve's memory above idle, MB", "<=", 60, memory(lines, SERVICE) and memory(lines, SERVICE) / MB),
        (f"{image}: memory, bindery execute ÷ nbclient", "<=", 0.6, ratio(memory(image, OURS), memory(image, "nbclient"))),
        (f"{image}: time, bindery execute ÷ nbclient", "<=", 1, ratio(seconds(image, OURS), seconds(image, "nbclient"))),
        ("cells of 50 kB: 400 ÷ 100, bindery serve", "<=", 4.4, ratio(seconds("400 cells of 50 kB", SERVICE), seconds("100 cells of 50 kB", SERVICE))),
        ("parse + inject + write 50 cells, ms", "<=", 2, results.pure.get("parse, inject and write/50 cells", {}).get("median_ms")),
    ]  # fmt: skip
    for text, sign, limit, value in listed:
        if value is not None:
            yield text, sign, limit, value, value >= limit if sign == ">=" else value <= limit


def duration(seconds):
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def size(count):
    return "" if count is None else f"{count / MB:.0f} MB"


def tables(results):
    """Heading and rows of each table, the first row its head."""
    rows = [("case", "contender", "median", "least–most", "× ours", "memory", "samples")]
    last = None
    for row in results.rows():
        rate = f", {row['per_minute']:.0f}/min" if row["per_minute"] else ""
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else ""
        spread = f"{duration(row['least'])}–{duration(row['most'])}"
        name = row["case"] if row["case"] != last else ""
        last = row["case"]
        rows.append((name, row["contender"], duration(row["median"]) + rate, spread, ratio, size(row["memory"]), str(row["samples"])))
    yield "Time, and the process's own peak memory", rows
    if results.idle:
        rows = [("service", "its own (RSS)", "with its kernels (PSS)")]
        rows += [(name, size(it["service"]), size(it["with kernels"])) for name, it in results.idle.items()]
        yield "Memory when nothing runs", rows
    if results.pure:
        rows = [("operation", "median")]
        rows += [(name, f"{it['median_ms']:.3f} ms") for name, it in results.pure.items()]
        yield "Without a kernel", rows
    held = [(text, f"{sign} {limit}", f"{value:.2f}", "yes" if good else "NO") for text, sign, limit, value, good in bars(results)]
    if held:
        yield "Bars", [("", "bar", "measured", "holds"), *held]


def text(results):
    parts = []
    for heading, rows in tables(results):
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        parts.append("\n".join([heading, "-" * len(heading), *lines]))
    return "\n\n".join(parts)


def markdown(results, about):
    parts = ["\n".join(f"- {name}: {value}" for name, value in about.items())]
    for heading, rows in tables(results):
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + " --- |" * len(rows[0]))
        parts.append(f"## {heading}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def as_json(results, about):
    named = [dict(zip(("text", "sign", "limit", "measured", "holds"), bar)) for bar in bars(results)]
    return {"about": about, "rows": list(results.rows()), "idle": results.idle, "pure": results.pure, "bars": named, "faults": results.faults}
