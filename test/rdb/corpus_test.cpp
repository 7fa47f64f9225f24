// Every snapshot of a corpus of real servers, and hostile DUMP payloads. The corpus is no part of
// the tree: the variable KEYFERRY_CORPUS names its folder.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "builder.hpp"
#include "decode.hpp"
#include "keyferry/rdb/dump.hpp"
#include "keyferry/rdb/restore.hpp"
#include "read_elements.hpp"

namespace keyferry::rdb {
namespace {

namespace fs = std::filesystem;
using test::decode;
using test::Reading;

class Corpus : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("KEYFERRY_CORPUS");
    if (folder == nullptr) GTEST_SKIP() << "KEYFERRY_CORPUS is not set: no corpus to read";
    root_ = folder;
    ASSERT_TRUE(fs::is_directory(root_)) << root_;
  }

  std::vector<fs::path> files(const fs::path& folder, const char* extension) const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(root_ / folder)) {
      if (entry.path().extension() == extension) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path root_;
};

std::vector<ByteView> pieces_of(ByteView bytes, std::size_t size) {
  std::vector<ByteView> pieces;
  for (std::size_t at = 0; at < bytes.size(); at += size)
    pieces.push_back(bytes.substr(at, size));
  return pieces;
}

Reading read_in_pieces(ByteView bytes, std::size_t size) {
  return decode<test::SharedBuffer>(pieces_of(bytes, size));
}

// Reads values whole and takes their elements out of the raw bytes: lines as a reader with limit 0
// gives them.
Reading read_values_whole(ByteView bytes) {
  RdbReader reader;
  Reading elements;
  Reading reading =
      decode<test::SharedBuffer>(pieces_of(bytes, bytes.size()), reader, [&](const Event& event) {
        if (event.kind != Event::Kind::key || event.type == type::module_2) {
          elements.add(event, reader.dialect());
          return;
        }
        Event big = event;
        big.kind = Event::Kind::big_key;
        elements.add(big, reader.dialect());
        const test::Elements value = test::read_elements<test::SharedBuffer>(
            pieces_of(event.value, event.value.size()), event.type, reader.dialect(),
            &reader.templates());
        EXPECT_EQ(value.status, ElementReader::Status::end) << value.problem;
        EXPECT_EQ(value.consumed, event.value.size());
        elements.lines.insert(elements.lines.end(), value.lines.begin(), value.lines.end());
        big.kind = Event::Kind::big_key_end;
        elements.add(big, reader.dialect());
      });
  reading.lines = elements.lines;
  return reading;
}

// What MANIFEST.tsv says about each snapshot: path -> whether it is valid.
std::map<std::string, bool> manifest(const fs::path& root) {
  std::map<std::string, bool> out;
  std::ifstream in(root / "MANIFEST.tsv");
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> columns(1);
    for (const char c : line) {
      if (c == '\t') {
        columns.emplace_back();
      } else {
        columns.back() += c;
      }
    }
    if (columns.size() > 7 && columns[0].ends_with(".rdb")) {
      out[columns[0]] = columns[7].starts_with("valid");
    }
  }
  return out;
}

TEST_F(Corpus, ReadsEveryValidSnapshotAndRefusesTheOthers) {
  int valid = 0;
  int refused = 0;
  for (const auto& [path, is_valid] : manifest(root_)) {
    SCOPED_TRACE(path);
    const Bytes bytes = test::read_file(root_ / path);

    const Reading streamed =
        test::decode_with_limit<test::SharedBuffer>(pieces_of(bytes, bytes.size()), 0);

    EXPECT_EQ(streamed.ended(), is_valid) << streamed.error;
    EXPECT_EQ(test::decode_with_limit<test::SharedBuffer>(pieces_of(bytes, 997), 0).lines,
              streamed.lines);
    if (is_valid) {
      const Reading whole = read_values_whole(bytes);
      EXPECT_TRUE(whole.ended()) << whole.error;
      EXPECT_EQ(whole.lines, streamed.lines);
      EXPECT_EQ(read_in_pieces(bytes, 997).lines, read_in_pieces(bytes, bytes.size()).lines);
      ++valid;
    } else {
      EXPECT_NE(streamed.error, "");
      ++refused;
    }
  }
  EXPECT_GT(valid, 330);
  EXPECT_GT(refused, 10);
}

TEST_F(Corpus, WaitsAtTheCutsOfEverySmallSnapshot) {
  int count = 0;
  for (const auto& [path, is_valid] : manifest(root_)) {
    const Bytes bytes = test::read_file(root_ / path);
    if (!is_valid || bytes.size() > 20'000 || path.find("with_module.rdb") != std::string::npos)
      continue;
    SCOPED_TRACE(path);
    const std::size_t step = 1 + bytes.size() / 200;
    for (std::size_t size = 1; size < bytes.size(); size += step) {
      const Reading cut =
          test::decode_with_limit(pieces_of(ByteView(bytes).substr(0, size), size), 100);
      EXPECT_EQ(cut.status, RdbReader::Status::need_more) << size << " " << cut.error;
    }
    ++count;
  }
  EXPECT_GT(count, 200);
}

// Every byte of every small snapshot damaged once: the reader ends or refuses, and never crashes;
// the checksum lets nothing pass.
TEST_F(Corpus, SurvivesDamageInEverySmallSnapshot) {
  int count = 0;
  for (const auto& [path, is_valid] : manifest(root_)) {
    Bytes bytes = test::read_file(root_ / path);
    if (!is_valid || bytes.size() > 3000) continue;
    SCOPED_TRACE(path);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const char good = bytes[at];
      bytes[at] = static_cast<char>(good ^ (1 << (at % 8)));
      const Reading reading = test::decode_with_limit(pieces_of(bytes, bytes.size()), 10);
      EXPECT_LE(reading.lines.size(), bytes.size());
      bytes[at] = good;
    }
    ++count;
  }
  EXPECT_GT(count, 150);
}

TEST_F(Corpus, PayloadsAreWhatDumpAnswered) {
  for (const char* server : {"redis-5.0.14", "redis-6.0.20", "redis-7.0.15", "redis-7.2.6"}) {
    std::set<Bytes> dumps;
    for (const fs::path& path : files(fs::path("generated/dump-payloads") / server, ".dump")) {
      dumps.insert(test::read_file(path));
    }
    const Bytes bytes = test::read_file(root_ / "generated" / server / "full.rdb");
    const std::vector<ByteView> pieces{bytes};
    RdbReader reader;
    int equal = 0;

    decode<test::SharedBuffer>(pieces, reader, [&](const Event& event) {
      if (event.kind != Event::Kind::key) return;
      Bytes command;
      append_restore(command, event, reader.dialect(), {}, false);
      const std::size_t payload_size = 1 + event.value.size() + 10;
      const std::size_t tail_size = Bytes("\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n").size();
      const std::size_t at = command.size() - tail_size - payload_size;
      equal += static_cast<int>(dumps.count(command.substr(at, payload_size)));
    });

    // The others are tables, whose order differs between SAVE and DUMP.
    EXPECT_GE(equal, 48) << server;
  }
}

// Why a payload is refused; empty when it is not.
std::string refusal(ByteView payload, bool trust_checksum = false) {
  Bytes bytes(payload);
  if (trust_checksum && bytes.size() > 8) bytes.replace(bytes.size() - 8, 8, 8, '\0');
  const auto dump = parse_dump(bytes);
  if (!dump) return dump.error().what;
  if (!ElementReader::can_read(dump->type, dump->dialect)) return "no elements";
  for (const std::size_t size : {dump->value.size() + 1, std::size_t{1}}) {
    const test::Elements value =
        test::read_elements(pieces_of(dump->value, size), dump->type, dump->dialect);
    if (value.status == ElementReader::Status::need_more) return "cut";
    if (value.status == ElementReader::Status::error) return value.problem;
    if (value.consumed != dump->value.size()) return "bytes behind the value";
    if (value.lines.empty()) return "no elements";
  }
  return "";
}

TEST_F(Corpus, ReadsEveryPayloadOfTheServers) {
  int count = 0;
  for (const fs::path& path : files("generated/dump-payloads", ".dump")) {
    const Bytes bytes = test::read_file(path);
    const bool is_module = bytes.at(0) == type::module_2;
    EXPECT_EQ(refusal(bytes), is_module ? "no elements" : "") << path;
    ++count;
  }
  EXPECT_GT(count, 500);
}

// What all three servers refuse and we read, and why that is right.
const std::map<std::string, const char*>& read_all_the_same() {
  // Nothing here keeps the elements of a collection, so a second one is only told once more: the
  // target refuses it in a RESTORE and takes the last one of commands.
  constexpr const char* twice = "an element is there twice";
  static const std::map<std::string, const char*> payloads = {
      {"003-corrupt-payload-valid-zipped-hash-header-dup-records", twice},
      {"016-corrupt-payload-stream-with-duplicate-consumers", twice},
      {"018-corrupt-payload-hash-listpack-with-duplicate-records", twice},
      {"019-corrupt-payload-hash-duplicate-records", twice},
      {"029-corrupt-payload-fuzzer-findings-leak-in-rdbloading-due-to-dup-entry-in", twice},
      {"044-corrupt-payload-fuzzer-findings-valgrind-invalid-read", twice},
      {"067-corrupt-payload-fuzzer-findings-set-with-duplicate-elements-causes-sdi", twice},
      {"079-corrupt-payload-stream-with-duplicate-consumer-pel-entry", twice},
      {"073-corrupt-payload-stream-length-inconsistent-with-valid-entries",
       "so are streams in snapshots of real servers; the entries themselves count"},
      {"080-restore-key-with-future-rdb-version-strict-version-check",
       "a version of tomorrow, with a type of today"},
      {"081-restore-rejects-zipmap-with-overlong-field-length-encoding-cve-2026-25",
       "snapshots of Redis 2.4 have such lengths"},
  };
  return payloads;
}

// Payloads made to crash servers, as deep as they come: with their checksum taken as right. The
// index says how three servers answered; those that all refuse one are followed, but for those
// above.
TEST_F(Corpus, RefusesHostilePayloads) {
  int count = 0;
  std::ifstream index(root_ / "corrupt/INDEX.tsv");
  std::string line;
  std::getline(index, line);
  while (std::getline(index, line)) {
    const std::string path = line.substr(0, line.find('\t'));
    const Bytes bytes = test::read_file(root_ / "corrupt" / path);
    const bool all_refuse = line.find("reload ok") == std::string::npos;
    const std::string why = refusal(bytes, true);
    const bool is_known = read_all_the_same().contains(fs::path(path).stem().string());
    if (all_refuse) {
      EXPECT_EQ(why.empty(), is_known) << path << ": " << why;
    }
    ++count;
  }
  EXPECT_GT(count, 70);
}

}  // namespace
}  // namespace keyferry::rdb
