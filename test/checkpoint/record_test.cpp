#include "keyferry/checkpoint/record.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

Record some_record() {
  Record record;
  record.generation = 3;
  record.state = Record::State::complete;
  record.owns_target = true;
  record.db = 7;
  record.options = 0xabcdef;
  record.judged = 100;
  record.replid = std::string(39, 'a') + "0";
  record.offset = 12345678901;
  return record;
}

Bytes text_of(const Record& record) {
  Bytes text;
  append_record(text, record);
  return text;
}

TEST(Record, ComesBackAsItWasWritten) {
  Record loading = some_record();
  loading.state = Record::State::loading;
  loading.owns_target = false;
  for (const Record& record : {some_record(), loading}) {
    const auto back = parse_record(text_of(record));
    ASSERT_TRUE(back) << text_of(record);
    EXPECT_EQ(*back, record);
  }
}

TEST(Record, IgnoresWhatLaterVersionsAdd) {
  const auto back = parse_record(text_of(some_record()) + " shards=4");

  ASSERT_TRUE(back);
  EXPECT_EQ(*back, some_record());
}

TEST(Record, RefusesEveryTruncationAndOtherText) {
  const Bytes text = text_of(some_record());
  // Cut inside the last number it is another number: the offset must not be below `judged` then.
  for (std::size_t n = 0; n + 9 < text.size(); ++n)
    EXPECT_FALSE(parse_record(text.substr(0, n))) << n;
  EXPECT_FALSE(parse_record("keyferry2" + text.substr(9)));
  EXPECT_FALSE(parse_record("hello"));
  EXPECT_FALSE(parse_record(text.substr(0, text.size() - 11) + "99"));  // below judged
}

TEST(Record, NamesItsKeysInOneSlot) {
  const OwnKeys keys = own_keys("l1", "x");

  EXPECT_EQ(keys.record, "keyferry:{x}:l1");
  EXPECT_EQ(keys.lease, "keyferry:{x}:l1:lease");
  EXPECT_EQ(keys.fence, "keyferry:{x}:l1:fence");
  EXPECT_EQ(link_name("redis://a:1").size(), 12U);
  EXPECT_NE(link_name("redis://a:1"), link_name("redis://a:2"));
}

}  // namespace
}  // namespace keyferry
