#!/usr/bin/env python3
"""house_rules.py over every C++ file of the tree."""
import sys

import house_rules
import tree

if __name__ == "__main__":
    sys.argv[1:] = [str(tree.ROOT / path) for path in tree.code_files()]
    sys.exit(house_rules.main())
