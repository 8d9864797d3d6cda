function tag(v) {
  if (v === null) return ["none"];
  switch (typeof v) {
    case "boolean": return ["bool", v];
    case "bigint": return ["int", String(v)];
    case "number": return ["float", Object.is(v, -0) ? "-0" : String(v)];
    case "string": return ["str", v];
  }
  return Array.isArray(v) ? ["list", v.map(tag)] : ["dict", Object.entries(v).map(([key, it]) => [key, tag(it)])];
}
function emit(v) { console.log(JSON.stringify(tag(v))); }
