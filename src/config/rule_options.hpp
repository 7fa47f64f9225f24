// The rows of the option groups filter, databases and transform. Internal to config.
#pragma once

#include <vector>

#include "keyferry/config/option_table.hpp"

namespace keyferry {

void add_rule_options(std::vector<OptionDef>& table);

}  // namespace keyferry
