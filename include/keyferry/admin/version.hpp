// The version of this program, as CMake's project() has it. Pure.
#pragma once

namespace keyferry {

const char* version();

}  // namespace keyferry
