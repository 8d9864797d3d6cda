text <- function(s) {
  codes <- utf8ToInt(enc2utf8(s))
  units <- unlist(lapply(codes, function(code)
    if (code > 0xffff) c(0xd800 + (code - 0x10000) %/% 0x400, 0xdc00 + (code - 0x10000) %% 0x400) else code))
  paste0('"', paste0(sprintf("\\u%04x", as.integer(units)), collapse = ""), '"')
}
tag <- function(v) {
  if (is.null(v)) return('["none"]')
  if (is.list(v)) {
    items <- vapply(v, tag, "")
    if (is.null(names(v))) return(paste0('["list", [', paste0(items, collapse = ", "), ']]'))
    keys <- vapply(names(v), text, "")
    return(paste0('["dict", [', paste0("[", keys, ", ", items, "]", collapse = ", "), ']]'))
  }
  stopifnot(length(v) == 1)
  if (is.logical(v)) return(if (v) '["bool", true]' else '["bool", false]')
  if (is.numeric(v)) return(sprintf('["float", "%s"]', if (is.finite(v)) sprintf("%.17g", v) else as.character(v)))
  paste0('["str", ', text(v), ']')
}
emit <- function(v) cat(tag(v), "\n", sep = "")
