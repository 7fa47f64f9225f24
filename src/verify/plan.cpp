#include "keyferry/verify/plan.hpp"

#include "keyferry/config/option_value.hpp"

namespace keyferry {

VerifyPlan plan_of(const Options& options) {
  VerifyPlan plan;
  plan.level = options.verify_level;
  plan.part = parse_percent(options.verify_sample).value_or(1);
  plan.seed = options.verify_seed;
  plan.repair = options.verify_repair;
  plan.repair_extra = options.verify_repair_extra;
  return plan;
}

VerifyPlan merged(VerifyPlan plan, const VerifyRequest& wanted) {
  plan.level = wanted.level.value_or(plan.level);
  plan.part = wanted.part.value_or(plan.part);
  plan.repair = plan.repair || wanted.repair;
  plan.repair_extra = plan.repair_extra || wanted.repair_extra;
  return plan;
}

}  // namespace keyferry
