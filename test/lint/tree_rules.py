#!/usr/bin/env python3
"""The shape of the tree: nothing unexpected at the top, no file too long to hold in one head. Exit 1 on a finding."""
import pathlib
import sys

import tree

TOP_LEVEL = {
    ".ci", ".clang-format", ".clang-tidy", ".dockerignore", ".gitattributes", ".gitignore", "CMakeLists.txt",
    "CMakePresets.json", "Dockerfile", "LICENSE", "README.md", "bench", "config", "include", "src", "test",
}
MAX_LINES = 600
LINE_LIMITED = {".cpp", ".hpp", ".py", ".txt", ".cmake", ".sh", ""}  # "": scripts
NO_SOURCE = ("test/data/",)


def findings(root):
    files = tree.all_files(root)
    for name in sorted({path.parts[0] for path in files} - TOP_LEVEL):
        yield f"{name}: not expected at the top of the tree (see TOP_LEVEL in tree_rules.py)"
    for path in files:
        if path.suffix not in LINE_LIMITED or path.as_posix().startswith(NO_SOURCE) or path.name == "LICENSE":
            continue
        lines = (root / path).read_bytes().count(b"\n")
        if lines > MAX_LINES:
            yield f"{path}: {lines} lines, split it (limit {MAX_LINES})"


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else tree.ROOT
    found = list(findings(root))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
