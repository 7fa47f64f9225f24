// What one comparison is to do: as the options say, or as POST /verify asks for. Plain data.
#pragma once

#include <cstdint>
#include <optional>

#include "keyferry/config/options.hpp"

namespace keyferry {

struct VerifyPlan {
  VerifyLevel level = VerifyLevel::digest;
  double part = 1;  // of the keys
  std::int64_t seed = 1;
  bool repair = false;
  bool repair_extra = false;
};
VerifyPlan plan_of(const Options& options);

// What is asked for while a link runs; nullopt: as the options say.
struct VerifyRequest {
  std::optional<VerifyLevel> level;
  std::optional<double> part;
  bool repair = false;
  bool repair_extra = false;
};
VerifyPlan merged(VerifyPlan plan, const VerifyRequest& wanted);

}  // namespace keyferry
