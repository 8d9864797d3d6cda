"""Writes tests/fixtures/notebook/paths.json: templates of paths, and what papermill makes of them.

    python path_fixtures.py

Made with papermill 2.7.0 on Python 3.11. `pm` is fixed, as tests/integration/notebook/path_template.rs has it.
"""

import datetime
import json
from pathlib import Path

from papermill.parameterize import parameterize_path

OUT = Path(__file__).parent.parent / "fixtures" / "notebook" / "paths.json"
UTC = datetime.timezone.utc
PM = {
    "run_uuid": "3b241101-e2bb-4255-8caf-4136c566a962",
    "current_datetime_local": datetime.datetime(2026, 3, 4, 15, 6, 7, 89),
    "current_datetime_utc": datetime.datetime(2026, 3, 4, 14, 6, 7, tzinfo=UTC),
}
PARAMETERS = {
    "s": "text", "i": 42, "neg": -7, "f": 0.1, "big": 123456789012345678901234567890, "large": 1234567.891, "e": 1e20, "t": True,
    "n": None, "l": [1, "a'b", 2.5, None, [True]], "d": {"k": "v", "x": {"y": 3}}, "u": "é", "inf": float("inf"), "nan": float("nan"), "z": 0.0,
}
TEMPLATES = """
plain.ipynb {s}.ipynb a/{s}/{i}.ipynb {{s}} {{{s}}} }} {{ { } {s {s}} s} {} {0} {0.x} {missing} {s}{missing} {s!r} {s!s} {l} {d} {l!r} {n} {t} {f} {e} {big} {inf} {nan} {neg} {large}
{l[0]} {l[1]} {l[9]} {l[x]} {l[4][0]} {d[k]} {d[x][y]} {d[x]} {d[nope]} {d.k} {s.upper} {d[k} {d[]} {d[k]x} {d..k} {s:} {s:10} {s:>10} {s:^10} {s:*^11} {s:<10}| {s:.2} {s:5.2} {s:s} {s:d} {s:05} {s:=5} {s:+} {s:,}
{i:5} {i:05} {i:<5}| {i:^5}| {i:+} {i:d} {i:x} {i:X} {i:#x} {i:#06x} {i:b} {i:#b} {i:o} {i:e} {i:.2f} {i:f} {i:g} {i:%} {i:.2} {i:s} {i:08.3f} {i:n} {neg:05} {neg:=5} {neg:+05d} {neg:<5}| {neg:x} {neg:#x} {big:,} {big:_} {big:d} {big:40} {big:x}
{f:.2f} {f:8.3f} {f:08.3f} {f:e} {f:.3e} {f:E} {f:g} {f:.3g} {f:%} {f:.1%} {f:+.1f} {f:.0f} {f:.20f} {f:10} {f:.3} {f:d} {f:s} {large:,} {large:,.2f} {large:.2f} {large:g} {large:.3} {large:.10g} {large:012,.1f} {large:e} {large:_.2f} {e:g} {e:f} {e:.3} {e:,.0f} {inf:f} {inf:F} {inf:8} {nan:f} {z:g} {z:.3} {z:e} {z:.2f}
{i:010,} {i:,} {big:050,} {neg:06,} {t:d} {t:5} {t:f} {t!s:5} {n:5} {l:5} {n!s:>6} {s:{i}} {f:{i}.{l[0]}f} {s:{missing}} {s:{i:{i}}} {s!x} {s!} {s!r:>10} {i!r:5} {u!r} {u:>3} {s:>5>} {i:z} {i:-} {i:\\ } {i:\\ 5} {f:.} {i:#d} {i:c}
{pm[run_uuid]} {pm[run_uuid]:.8} {pm[current_datetime_utc]} {pm[current_datetime_local]} {pm[current_datetime_utc]:%Y-%m-%d} {pm[current_datetime_utc]:%Y%m%dT%H%M%S%z} {pm[current_datetime_local]:%Y-%m-%d_%H-%M-%S.%f%z%Z}
{pm[current_datetime_utc]:%a_%A_%b_%B_%d_%e_%j_%w_%u_%U_%W_%V_%G} {pm[current_datetime_utc]:%I_%p_%y_%%_%c_%x_%X_%F_%T_%D_%R_%h_%C_%Z} {pm[current_datetime_utc].year} {pm[current_datetime_local].microsecond:06} {pm[current_datetime_local].month:02}-{pm[current_datetime_local].day:02} {pm[current_datetime_utc]!s:.10}
{pm[nope]} {pm[current_datetime_utc].nope} {pm[current_datetime_utc][year]} {s:%Y} out-{pm[current_datetime_local]:%H:%M}.ipynb
""".split()
TEMPLATES += ["{ s }", "{s }", "{i: }", "{i: 5}", "a b {s} c", "{s: >7}", "{i:é>5}", "é{u}", "{pm[current_datetime_utc]:%d %b}"]


def row(template):
    try:
        return {"template": template, "path": parameterize_path(template, {"pm": PM, **PARAMETERS})}
    except Exception as fault:
        return {"template": template, "fault": f"{type(fault).__name__}: {fault}"}


rows = [row(template) for template in dict.fromkeys(TEMPLATES)]
lines = ",\n".join(json.dumps(it, ensure_ascii=False) for it in rows)
OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
print(OUT.name, len(rows), sum("fault" in it for it in rows))
