#!/usr/bin/env python3
"""Proves that each check can fail, and passes what is allowed, on small trees written for the purpose."""
import importlib.machinery
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

import house_rules
import include_rules
import tree
import tree_rules


class Tree(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.root = pathlib.Path(self._folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def include_problems(self, name, text):
        self.write(name, text)
        return [f"{path}:{line}: {why}" for path, line, why in include_rules.findings(self.root)]


class IncludeRules(Tree):
    def check_refused(self, name, text, part):
        problems = self.include_problems(name, text)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(part, problems[0])

    def check_allowed(self, name, text):
        self.assertEqual(self.include_problems(name, text), [])

    def test_lower_layer_and_own_folder_are_allowed(self):
        self.check_allowed("src/command/keys.cpp",
                           '#include "keyferry/command/keys.hpp"\n#include "keyferry/base/bytes.hpp"\n')

    def test_higher_layer_is_refused_with_its_line(self):
        self.check_refused("include/keyferry/base/bytes.hpp", '\n#include "keyferry/resp/resp.hpp"\n',
                           "bytes.hpp:2: base (layer 0) must not include resp (layer 1)")

    def test_folders_of_one_layer_do_not_know_each_other(self):
        self.check_refused("src/source/psync.cpp", '#include "keyferry/sink/lane.hpp"\n', "must not include sink")

    def test_resp_and_config_do_not_know_each_other(self):
        self.check_refused("src/resp/resp.cpp", '#  include "keyferry/config/uri.hpp"\n', "must not include config")

    def test_unknown_folders_are_refused(self):
        self.check_refused("src/util/x.cpp", "", "folder util is not in the layer table")
        (self.root / "src/util/x.cpp").unlink()
        self.check_refused("src/cli/x.cpp", '#include "keyferry/util/x.hpp"\n', "folder util is not in the layer")

    def test_spool_may_use_tasks_and_nothing_else_of_net(self):
        self.check_allowed("src/spool/spool.cpp", '#include "keyferry/net/task.hpp"\n')
        self.check_refused("src/spool/spool.cpp", '#include "keyferry/net/stream.hpp"\n', "must not include net")

    def test_pure_layers_stay_free_of_asio_and_beast(self):
        self.check_refused("src/checkpoint/lag.cpp", "#include <boost/asio/post.hpp>\n", "free of Asio")
        self.check_refused("src/checkpoint/lag.cpp", "#include <boost/beast/core.hpp>\n", "free of Asio")
        self.check_allowed("src/checkpoint/lag.cpp", "#include <boost/system/error_code.hpp>\n")

    def test_the_whole_of_asio_is_refused_everywhere(self):
        self.check_refused("src/net/task.cpp", "#include <boost/asio.hpp>\n", "drags in everything")

    def test_co_spawn_stays_in_its_files(self):
        self.check_refused("src/sink/lane.cpp", "void f() { asio::co_spawn(x, y, z); }\n", "nobody awaits")
        (self.root / "src/sink/lane.cpp").unlink()
        for name in ("src/main.cpp", "src/net/task.cpp", "src/admin/http.cpp", "src/cli/run_link.cpp",
                     "src/admin/resp_listener.cpp", "test/support/run_coro.hpp"):
            self.check_allowed(name, "void f() { asio::co_spawn(x, y, z); }\n")

    def test_detached_is_refused_even_in_tests(self):
        self.check_refused("test/net/task_test.cpp", "auto x = asio::detached;\n", "loses its result")

    def test_only_cli_prints(self):
        for line in ('std::cout << 1;', 'std::cerr << 1;', 'printf("x");', 'std::printf("x");', 'fmt::print("x");',
                     'puts("x");'):
            self.check_refused("src/sink/lane.cpp", f"void f() {{ {line} }}\n", "only cli prints")
        (self.root / "src/sink/lane.cpp").unlink()
        self.check_allowed("src/cli/cli.cpp", 'void f() { fmt::print("x"); std::cout << 1; }\n')
        self.check_allowed("src/base/error.cpp", 'void f() { std::fprintf(stderr, "x"); std::snprintf(a, 1, ""); }\n')

    def test_words_in_comments_strings_and_includes_are_no_findings(self):
        self.check_allowed("src/net/x.cpp",
                           '// co_spawn std::cout\n#include <boost/asio/co_spawn.hpp>\nauto x = "detached";\n')


class TreeRules(Tree):
    def problems(self):
        return list(tree_rules.findings(self.root))

    def test_known_names_are_allowed(self):
        self.write("README.md", "")
        self.write("src/base/x.cpp", "\n" * 600)
        self.write("build/junk.txt", "\n" * 1000)
        self.assertEqual(self.problems(), [])

    def test_an_unexpected_name_at_the_top_is_refused(self):
        self.write("notes.txt", "")
        self.assertIn("notes.txt: not expected", self.problems()[0])

    def test_a_long_file_is_refused(self):
        self.write("src/base/x.cpp", "\n" * 601)
        self.assertIn("x.cpp: 601 lines", self.problems()[0])


class Files(Tree):
    def test_git_lists_untracked_and_leaves_out_ignored_and_deleted_files(self):
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        self.write(".gitignore", "/ignored.cpp\n")
        self.write("ignored.cpp", "")
        self.write("src/new.cpp", "")
        self.write("src/gone.cpp", "")
        subprocess.run(["git", "-C", str(self.root), "add", "src/gone.cpp"], check=True)
        (self.root / "src/gone.cpp").unlink()

        self.assertEqual([str(path) for path in tree.all_files(self.root)], [".gitignore", "src/new.cpp"])
        self.assertEqual([str(path) for path in tree.code_files(self.root)], ["src/new.cpp"])


class HouseRules(unittest.TestCase):
    def rules_broken(self, body):
        text = house_rules.blank("Task<int> f() {\n" + body + "\n}\n")
        found = []
        house_rules.block(text, 0, len(text), found)
        return sorted({why[:2] for _, why in found})

    def test_a_choice_between_awaits_breaks_rule_3(self):
        self.assertEqual(self.rules_broken("auto x = c ? co_await g() : co_await h();"), ["R3"])
        self.assertEqual(self.rules_broken("co_await g(c ? 1 : 2); c ? a() : b();"), [])

    def test_braces_in_an_await_statement_break_rule_1(self):
        self.assertEqual(self.rules_broken("co_await g(Pair{1, 2});"), ["R1"])
        self.assertEqual(self.rules_broken("auto x = co_await g({1, 2});"), ["R1"])

    def test_a_capturing_coroutine_lambda_breaks_rule_2(self):
        self.assertIn("R2", self.rules_broken("auto x = [y]() -> Task<int> { co_return y; };"))

    def test_named_locals_and_captureless_lambdas_pass(self):
        self.assertEqual(self.rules_broken("Pair p{1, 2};\nco_await g(std::move(p));"), [])
        self.assertEqual(self.rules_broken("if (x) {\n  co_await g(1);\n}"), [])
        self.assertEqual(self.rules_broken("auto x = [](int y) -> Task<int> { co_return y; };"), [])


class Format(Tree):
    def test_a_badly_formatted_file_fails_the_formatter(self):
        style = (tree.ROOT / ".clang-format").read_text(encoding="utf-8")
        self.write(".clang-format", style)
        self.write("bad.cpp", "int  f( ) {return 1 ;}\n")
        self.write("good.cpp", "int f() {\n  return 1;\n}\n")

        def code(name):
            return subprocess.run(["clang-format-14", "--dry-run", "-Werror", name], cwd=self.root, check=False,
                                  capture_output=True).returncode

        self.assertNotEqual(code("bad.cpp"), 0)
        self.assertEqual(code("good.cpp"), 0)


class Tidy(Tree):
    def test_a_finding_fails_until_it_is_gone_and_a_clean_file_is_remembered(self):
        loader = importlib.machinery.SourceFileLoader("tidy", str(pathlib.Path(__file__).parent / "tidy"))
        tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", loader))
        loader.exec_module(tidy)
        path = self.root / "x.cpp"
        self.write("compile_commands.json", json.dumps(
            [{"directory": str(self.root), "file": str(path), "command": f"clang++-19 -std=c++20 -c {path}"}]))
        self.write(".clang-tidy", (tree.ROOT / ".clang-tidy").read_text(encoding="utf-8"))

        path.write_text("int BadName() {\n  return 1;\n}\n", encoding="utf-8")
        self.assertIn("readability-identifier-naming", tidy.run_tidy(path, self.root, ""))
        self.assertFalse((self.root / "tidy-clean").exists())

        path.write_text("int good_name() {\n  return 1;\n}\n", encoding="utf-8")
        self.assertEqual(tidy.run_tidy(path, self.root, ""), "")
        self.assertEqual(len(list((self.root / "tidy-clean").iterdir())), 1)


if __name__ == "__main__":
    sys.exit(unittest.main())
