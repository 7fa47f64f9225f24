#include "keyferry/sink/libraries.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

constexpr ByteView one = "#!lua name=one\nreturn 1";
constexpr ByteView one_changed = "#!lua name=one\nreturn 2";
constexpr ByteView two = "#!js  api_version=1.0 name=two\r\nreturn 2";

bool take(Libraries& libraries, std::vector<ByteView> args) {
  args.insert(args.begin(), "function");
  return libraries.take(args);
}

TEST(Libraries, AreKnownByTheNameInTheirFirstLine) {
  EXPECT_EQ(library_name(one), "one");
  EXPECT_EQ(library_name(two), "two");
  EXPECT_EQ(library_name("#!lua\nname=late"), "");
  EXPECT_EQ(library_name(""), "");
}

TEST(Libraries, AreKnownByNameHoweverTheServerTakesIt) {
  EXPECT_EQ(library_name("#!lua NAME=Lib"), "Lib");
  EXPECT_EQ(library_name("#!lua name=\"lib\""), "lib");
  EXPECT_EQ(library_name("#!lua 'Name=lib'\nreturn 1"), "lib");
  EXPECT_EQ(library_name("#!lua name=\"l\\x69b\""), "") << "not understood";
}

TEST(Libraries, WhoseNameIsNotUnderstoodAreNeverTakenForEachOther) {
  Libraries libraries;
  EXPECT_EQ(libraries.add("#!lua name=\\a\n1"), Libraries::Known::no);
  EXPECT_EQ(libraries.add("#!lua name=\\b\n2"), Libraries::Known::no);
  EXPECT_EQ(libraries.add("#!lua name=\\a\n1"), Libraries::Known::same);
  EXPECT_TRUE(take(libraries, {"DELETE", "a"})) << "may be one of them";
  EXPECT_TRUE(take(libraries, {"LOAD", "#!lua name=\\a\n1"}));
  EXPECT_FALSE(take(libraries, {"LOAD", "#!lua name=\\a\n1"}));
}

TEST(Libraries, OfASnapshotAreTakenOnceAndToldApartByTheirCode) {
  Libraries libraries;
  EXPECT_EQ(libraries.add(one), Libraries::Known::no);
  EXPECT_EQ(libraries.add(two), Libraries::Known::no);
  EXPECT_EQ(libraries.add(one), Libraries::Known::same);
  EXPECT_EQ(libraries.add(one_changed), Libraries::Known::other);
  EXPECT_EQ(libraries.add(one), Libraries::Known::same) << "the first one stays";
  libraries.clear();
  EXPECT_EQ(libraries.add(one_changed), Libraries::Known::no);
}

TEST(Libraries, TakeEachChangeFromTheFirstStreamThatTellsOfIt) {
  Libraries libraries;
  libraries.add(one);
  EXPECT_FALSE(take(libraries, {"LOAD", one})) << "is in the snapshot";
  EXPECT_TRUE(take(libraries, {"load", "REPLACE", one_changed}));
  EXPECT_FALSE(take(libraries, {"load", "REPLACE", one_changed}));
  EXPECT_TRUE(take(libraries, {"DELETE", "one"}));
  EXPECT_FALSE(take(libraries, {"DELETE", "one"}));
  EXPECT_FALSE(take(libraries, {"FLUSH"}));
  EXPECT_TRUE(take(libraries, {"LOAD", two}));
  EXPECT_TRUE(take(libraries, {"FLUSH", "ASYNC"}));
  EXPECT_TRUE(take(libraries, {"LOAD", two}));
}

TEST(Libraries, LetPassWhatTheyDoNotKnow) {
  Libraries libraries;
  EXPECT_TRUE(take(libraries, {"RESTORE", "payload"}));
  EXPECT_TRUE(take(libraries, {}));
  EXPECT_TRUE(take(libraries, {"LOAD"}));
}

}  // namespace
}  // namespace keyferry
