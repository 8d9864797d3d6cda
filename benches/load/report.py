"""What was measured, as text and as Markdown."""


def tables(results):
    """Heading and rows of each table, the first row its head."""
    rows = [("database", "workers", "executions", "submitted/s", "executed/s", "failed", "bytes each", "processor ms each")]
    for it in results:
        used = ", ".join(f"{name} {part['own']:.1f} + {part['kernels']:.1f}" for name, part in it["processor_ms_per_execution"].items())
        rows.append((
            it["database"], f"{it['workers']} × {it['concurrency']}", str(it["executions"]), f"{it['submitted_per_second']:.0f}",
            f"{it['executions_per_second']:.1f}", str(it["failed"]), f"{it['bytes_per_execution']['database']:.0f}", used,
        ))  # fmt: skip
    yield "A burst (processor: own + kernels')", rows
    rows = [("database", "workers", "load", "from … to", "p50", "p90", "p99", "most")]
    for it in results:
        for load, times in (("burst", it), ("one at a time", it["idle"])):
            for name in ("submit_to_start", "start_to_end", "submit_to_end", "request_to_answer"):
                if found := times.get(name):
                    shown = (milliseconds(found[share]) for share in ("p50", "p90", "p99", "max"))
                    rows.append((it["database"], f"{it['workers']} × {it['concurrency']}", load, name.replace("_", " "), *shown))
    yield "Times", rows


def milliseconds(value):
    return f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.1f} s"


def text(results):
    lines = []
    for heading, rows in tables(results):
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines += ["", heading, ""]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def markdown(results, about):
    lines = []
    for heading, (head, *rows) in tables(results):
        lines += [f"## {heading}", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        lines += [f"| {' | '.join(row)} |" for row in rows] + [""]
    return "\n".join([*lines, *(f"- {name}: {value}" for name, value in about.items())]) + "\n"
