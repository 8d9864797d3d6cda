function text(s)
    isvalid(s) || error("the text is not UTF-8")
    io = IOBuffer()
    for c in s
        code = UInt32(c)
        if code > 0xffff
            code -= 0x10000
            print(io, "\\u", string(0xd800 + (code >> 10), base = 16), "\\u", string(0xdc00 + (code & 0x3ff), base = 16))
        else
            print(io, "\\u", string(code, base = 16, pad = 4))
        end
    end
    return "\"" * String(take!(io)) * "\""
end
tag(::Nothing) = "[\"none\"]"
tag(v::Bool) = "[\"bool\", $v]"
tag(v::Integer) = "[\"int\", \"$v\"]"
tag(v::AbstractFloat) = "[\"float\", \"$v\"]"
tag(v::AbstractString) = "[\"str\", $(text(v))]"
tag(v::AbstractVector) = "[\"list\", [" * join(map(tag, collect(Any, v)), ", ") * "]]"
tag(v::AbstractDict) = "[\"dict\", [" * join(["[$(text(k)), $(tag(it))]" for (k, it) in v], ", ") * "]]"
emit(v) = println(tag(v))
