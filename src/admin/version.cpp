#include "keyferry/admin/version.hpp"

namespace keyferry {

const char* version() {
  return KEYFERRY_VERSION;
}

}  // namespace keyferry
