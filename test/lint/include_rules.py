#!/usr/bin/env python3
"""Who may include what, and which words stay in which files. Exit 1 on a finding.

An include only leads to a lower layer or into the own folder; folders of one layer do not include each other.
"""
import pathlib
import re
import sys

import house_rules
import tree

LAYERS = {
    "base": 0,
    "resp": 1, "config": 1,
    "command": 2,
    "rdb": 3, "transform": 3, "cluster": 3, "checkpoint": 3,
    "net": 4, "spool": 4,
    "source": 5, "sink": 5,
    "verify": 6,
    "pipeline": 7,
    "admin": 8,
    "cli": 9,
}
HIGHEST_PURE_LAYER = 3  # these know no Asio: quick to compile, testable without an event loop

# (folder, header): the spool writes files from coroutines, so it shares the task vocabulary of its layer.
EXCEPTIONS = {("spool", "keyferry/net/task.hpp")}

# Word -> (why, files that may hold it). Every coroutine has a parent that waits for it, so starting one is rare.
WORDS = [
    (re.compile(r"\bco_spawn\b"), "co_spawn starts a coroutine that nobody awaits",
     {"src/main.cpp", "src/cli/inspect_source.cpp", "src/cli/run_link.cpp", "src/net/task.cpp", "src/admin/http.cpp",
      "src/admin/resp_listener.cpp"}),
    (re.compile(r"\bdetached\b"), "a detached coroutine loses its result", set()),
    (re.compile(r"\bstd::c(out|err)\b|(?<![\w])v?printf\s*\(|\bputs\s*\(|\bfmt::print\s*\("),
     "only cli prints to the terminal; others log", None),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]', re.M)


def folder_of(path):
    """The layer folder of src/<folder>/... or include/keyferry/<folder>/..., else None (main, asio.cpp, tests)."""
    parts = path.parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "keyferry") and len(parts) > 3:
        return parts[2]
    return None


def include_finding(folder, header):
    """Why `folder` may not include `header`, or None."""
    layer = LAYERS[folder]
    if header == "boost/asio.hpp":
        return "<boost/asio.hpp> drags in everything; include net/task.hpp or the part needed"
    if layer <= HIGHEST_PURE_LAYER and re.match(r"boost/(asio|beast)\b", header):
        return f"layer {layer} ({folder}) must stay free of Asio and Beast"
    match = re.match(r"keyferry/(\w+)/", header)
    if not match or match[1] == folder or (folder, header) in EXCEPTIONS:
        return None
    other = match[1]
    if other not in LAYERS:
        return f"folder {other} is not in the layer table"
    if LAYERS[other] >= layer:
        return f"{folder} (layer {layer}) must not include {other} (layer {LAYERS[other]})"
    return None


def findings(root):
    for path in tree.code_files(root):
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        folder = folder_of(path)
        if folder is not None and folder not in LAYERS:
            yield path, 1, f"folder {folder} is not in the layer table"
            continue
        if folder is not None:
            for match in INCLUDE.finditer(text):
                why = include_finding(folder, match[1])
                if why:
                    yield path, text.count("\n", 0, match.start(1)) + 1, why
        # Strings and comments may mention the words, includes name headers after them.
        yield from word_findings(path, INCLUDE.sub("", house_rules.blank(text)), folder)


def word_findings(path, text, folder):
    is_product = path.parts[0] in ("src", "include")
    for pattern, why, allowed in WORDS:
        if allowed is None and (not is_product or folder == "cli"):
            continue
        if allowed is not None and path.as_posix() in allowed:
            continue
        if allowed and not is_product:  # tests and benchmarks have their own runners
            continue
        for match in pattern.finditer(text):
            yield path, text.count("\n", 0, match.start()) + 1, why


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else tree.ROOT
    found = list(findings(root))
    for path, line, why in found:
        print(f"{path}:{line}: {why}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
