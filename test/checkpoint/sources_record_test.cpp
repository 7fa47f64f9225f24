#include "keyferry/checkpoint/sources_record.hpp"

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(SourcesRecord, IsReadAsItWasWritten) {
  for (const bool owns : {false, true}) {
    for (const bool complete : {false, true}) {
      const SourcesRecord record{owns, complete};
      Bytes text;
      append_sources_record(text, record);

      const auto read = parse_sources_record(text);

      ASSERT_TRUE(read) << text;
      EXPECT_EQ(*read, record) << text;
    }
  }
}

TEST(SourcesRecord, IgnoresWhatALaterVersionAdds) {
  const auto read = parse_sources_record("keyferry1 target=own state=complete more=1");

  ASSERT_TRUE(read);
  EXPECT_TRUE(read->owns_target && read->is_complete);
}

TEST(SourcesRecord, RefusesEverythingElse) {
  for (const char* text :
       {"", "keyferry1", "keyferry1 target=own", "keyferry1 target=own state=no",
        "keyferry1 target=me state=complete", "keyferry1 state=complete target=own",
        "keyferry2 target=own state=complete"}) {
    EXPECT_FALSE(parse_sources_record(text)) << text;
  }
}

}  // namespace
}  // namespace keyferry
