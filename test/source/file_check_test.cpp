// Files as a source reads them: what is found wrong with them, and where.
#include "keyferry/source/file_check.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

namespace fs = std::filesystem;

Bytes read_bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class InputFiles : public testing::Test {
 protected:
  InputFiles() {
    std::string name = (fs::temp_directory_path() / "keyferry-files-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }
  ~InputFiles() override { fs::remove_all(folder_); }

  void write(const std::string& name, ByteView bytes) {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  // What is wrong with the file or set of that name; "" = nothing.
  std::string problem(const std::string& name, const FileCheckRules& rules = {}) {
    Uri uri;
    uri.kind = Uri::Kind::file;
    uri.path = (folder_ / name).string();
    const auto files = find_files(uri);
    if (!files) return files.error().what;
    const std::atomic<bool> stop{false};
    return check_files(*files, rules, stop).what;
  }

  fs::path folder_;
  const Bytes snapshot_ = read_bytes(KEYFERRY_TEST_DATA "/rdb/full_v10.rdb");
  const Bytes set_ = make_command({"SET", "a", "1"});
};

TEST_F(InputFiles, InOrderAreFoundToBe) {
  write("a.rdb", snapshot_);
  write("a.aof", set_ + "#TS:5\r\n" + set_);
  write("both.aof", snapshot_ + set_);
  write("none.aof", "");
  write("m.manifest", "file a.rdb seq 1 type b\nfile a.aof seq 1 type i\n");

  for (const char* name : {"a.rdb", "a.aof", "both.aof", "none.aof", "m.manifest", "."})
    EXPECT_EQ(problem(name), "") << name;
}

TEST_F(InputFiles, DamageIsNamedWithFileAndByte) {
  const std::string at = std::to_string(snapshot_.size() + set_.size());
  write("both.aof", snapshot_ + set_ + "*1\r\nx");
  write("b.aof", set_ + "*x");
  write("m.manifest", "file a.aof seq 1 type i\nfile b.aof seq 2 type i\n");
  write("a.aof", set_);
  write("cut.rdb", ByteView(snapshot_).substr(0, snapshot_.size() - 3));

  EXPECT_TRUE(problem("both.aof").starts_with("both.aof at byte " + at + ": "))
      << problem("both.aof");
  EXPECT_TRUE(problem("m.manifest").starts_with("b.aof at byte " + std::to_string(set_.size())))
      << problem("m.manifest");
  EXPECT_EQ(problem("cut.rdb").substr(0, 37), "cut.rdb: the snapshot is cut off: it ")
      << problem("cut.rdb");
}

TEST_F(InputFiles, TornEndIsDamageOnlyWhereNothingMayBeMissing) {
  FileCheckRules keep;
  keep.may_be_torn = true;
  write("a.aof", set_ + make_command({"MULTI"}) + set_);
  write("b.aof", set_);
  write("m.manifest", "file a.aof seq 1 type i\nfile b.aof seq 2 type i\n");

  EXPECT_TRUE(problem("a.aof").starts_with(
      "the last command is cut off: what is whole ends in a.aof at byte " +
      std::to_string(set_.size())))
      << problem("a.aof");
  EXPECT_EQ(problem("a.aof", keep), "");
  EXPECT_NE(problem("m.manifest", keep).find("ends inside a transaction"), std::string::npos);
}

TEST_F(InputFiles, BehindTheMomentAreNotLookedAt) {
  FileCheckRules rules;
  rules.until = 10;
  write("a.aof", set_ + "#TS:11\r\n*x");

  EXPECT_EQ(problem("a.aof", rules), "");
  EXPECT_NE(problem("a.aof"), "");
}

TEST_F(InputFiles, AreReadFromAnyByteOnCompressedOrNot) {
  Bytes text;
  for (int i = 0; i < 100000; ++i)
    text += std::to_string(i) + " ";
  Bytes gzip;
  Compressor compressor(Compression::gzip);
  compressor.write(text, gzip);
  compressor.finish(gzip);
  write("plain", text);
  write("gzip", gzip);
  for (const char* name : {"plain", "gzip"}) {
    for (const std::size_t from : {std::size_t{0}, std::size_t{1}, std::size_t{300001}}) {
      const fs::path path = folder_ / name;
      FileReader reader;
      ASSERT_FALSE(reader.open({path.string(), name, fs::file_size(path)}));
      ASSERT_FALSE(reader.skip(from));
      Bytes rest;
      Bytes piece(70000, '\0');
      while (true) {
        const auto read = reader.read(piece.data(), piece.size());
        ASSERT_TRUE(read.has_value()) << read.error().what;
        if (read->at_end) break;
        rest.append(piece, 0, read->size);
      }
      EXPECT_TRUE(rest == text.substr(from)) << name << " " << from;
      EXPECT_EQ(reader.file_bytes_read(), fs::file_size(path));
    }
    FileReader reader;
    const fs::path path = folder_ / name;
    ASSERT_FALSE(reader.open({path.string(), name, fs::file_size(path)}));
    EXPECT_TRUE(reader.skip(text.size() + 1).is(Errc::corrupt)) << name;
  }
}

TEST_F(InputFiles, HaveTheSameIdAsLongAsTheyOnlyGrowAtTheEnd) {
  const auto id = [this] {
    Uri uri;
    uri.path = (folder_ / "m.manifest").string();
    return find_files(uri).value().id;
  };
  write("a.aof", Bytes(2000, 'x').insert(0, set_));
  write("b.aof", Bytes(2000, 'x').insert(0, set_));
  write("m.manifest", "file a.aof seq 1 type i\nfile b.aof seq 2 type i\n");
  const std::string before = id();

  write("b.aof", Bytes(3000, 'x').insert(0, set_));
  EXPECT_EQ(id(), before);
  write("a.aof", Bytes(3000, 'x').insert(0, set_));
  EXPECT_NE(id(), before);
  EXPECT_EQ(before.size(), 40u);
}

}  // namespace
}  // namespace keyferry
