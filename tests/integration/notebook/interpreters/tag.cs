using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

static class Cells {
    static string Text(string s) {
        return "\"" + string.Concat(s.Select(unit => "\\u" + ((int)unit).ToString("x4"))) + "\"";
    }

    static string Tag(object v) {
        if (v is bool) return "[\"bool\", " + ((bool)v ? "true" : "false") + "]";
        if (v is int || v is long || v is ulong || v is System.Numerics.BigInteger) return "[\"int\", \"" + v + "\"]";
        if (v is double) {
            var d = (double)v;
            if (double.IsNaN(d)) return "[\"float\", \"NaN\"]";
            if (double.IsInfinity(d)) return "[\"float\", \"" + (d > 0 ? "inf" : "-inf") + "\"]";
            if (d == 0) return "[\"float\", \"" + (1 / d > 0 ? "0" : "-0") + "\"]";
            return "[\"float\", \"" + d.ToString("E16", CultureInfo.InvariantCulture) + "\"]";
        }
        if (v is string) return "[\"str\", " + Text((string)v) + "]";
        if (v is Dictionary<string, Object>) {
            var entries = ((Dictionary<string, Object>)v).Select(e => "[" + Text(e.Key) + ", " + Tag(e.Value) + "]");
            return "[\"dict\", [" + string.Join(", ", entries) + "]]";
        }
        return "[\"list\", [" + string.Join(", ", ((IEnumerable)v).Cast<object>().Select(Tag)) + "]]";
    }

    static void emit(object v) {
        Console.WriteLine(Tag(v));
    }

    static void Main() {
