import json

def tag(v):
    match v:
        case None: return ["none"]
        case bool(): return ["bool", v]
        case int(): return ["int", str(v)]
        case float(): return ["float", repr(v)]
        case str(): return ["str", v]
        case list(): return ["list", [tag(it) for it in v]]
        case dict(): return ["dict", [[key, tag(it)] for key, it in v.items()]]

def emit(v):
    print(json.dumps(tag(v)))
