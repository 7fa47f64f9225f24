#include "keyferry/config/option_value.hpp"

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

TEST(OptionValue, ReadsSizesWithEveryUnit) {
  EXPECT_EQ(parse_size("0"), 0);
  EXPECT_EQ(parse_size("-1"), -1);
  EXPECT_EQ(parse_size("4096"), 4096);
  EXPECT_EQ(parse_size("3KiB"), 3072);
  EXPECT_EQ(parse_size("3 MiB"), 3145728);
  EXPECT_EQ(parse_size("3GiB"), 3221225472);
  EXPECT_EQ(parse_size("3KB"), 3000);
  EXPECT_EQ(parse_size("3MB"), 3000000);
  EXPECT_EQ(parse_size("3GB"), 3000000000);
}

TEST(OptionValue, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "KiB", " KiB", "x", "1.5GiB", "1TB", "1 ", " 1", "1kib", "-1KiB", "1  KiB", "1KiBKiB",
        "0x10", "9223372036854775808", "9007199254740992KiB"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_size("9007199254740991KiB"), std::numeric_limits<std::int64_t>::max() - 1023);
}

TEST(OptionValue, ShowsSizesInTheShortestExactForm) {
  EXPECT_EQ(format_size(256 * 1024 * 1024), "256MiB");
  EXPECT_EQ(format_size(1536), "1536");
  EXPECT_EQ(format_size(2048), "2KiB");
  EXPECT_EQ(format_size(std::int64_t{8} << 30), "8GiB");
  EXPECT_EQ(format_size(1000), "1000");
  EXPECT_EQ(format_size(0), "0");
  EXPECT_EQ(format_size(-1), "-1");
}

TEST(OptionValue, ReadsBackEverySizeItShows) {
  for (std::int64_t bytes = -1; bytes < (std::int64_t{1} << 42); bytes = bytes * 3 + 5) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes);
    EXPECT_EQ(parse_size(format_size(bytes * 1024)), bytes * 1024);
  }
}

TEST(OptionValue, ReadsWholeNumbersOnly) {
  EXPECT_EQ(parse_integer("-7"), -7);
  for (const char* text : {"", "-", "7.0", "7 ", "+7", "seven", "9223372036854775808"}) {
    EXPECT_EQ(parse_integer(text), std::nullopt) << text;
  }
}

TEST(NearestName, FindsSlipsOnly) {
  const std::vector<std::string> names = {"source.uri", "target.uri", "log.level"};

  EXPECT_EQ(nearest_name("source.url", names), "source.uri");
  EXPECT_EQ(nearest_name("taget.uri", names), "target.uri");
  EXPECT_EQ(nearest_name("log.levle", names), "log.level");
  EXPECT_EQ(nearest_name("filter.keys", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), names), "");
}

}  // namespace
}  // namespace keyferry
