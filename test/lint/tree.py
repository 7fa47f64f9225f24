"""Which files the lint checks look at. Without git (or outside a work tree): everything but build output."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE_FOLDERS = ("src", "include", "test", "bench")
# What .gitignore leaves out, and git itself; only used where git cannot say.
IGNORED = {".git", "build", "keyferry-spool", ".cache", "__pycache__"}


def all_files(root=ROOT):
    """Tracked and untracked files that are not ignored, relative to `root`, sorted."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            check=True, capture_output=True).stdout.decode()
        names = {pathlib.Path(name) for name in listed.split("\0") if name}
    except (OSError, subprocess.CalledProcessError):
        names = set()
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in IGNORED]
            names.update(pathlib.Path(folder, name).relative_to(root) for name in files)
    return sorted(name for name in names if "__pycache__" not in name.parts and (root / name).is_file())


def code_files(root=ROOT):
    """The C++ files of all_files()."""
    return [name for name in all_files(root)
            if name.parts[0] in CODE_FOLDERS and name.suffix in (".cpp", ".hpp")]
