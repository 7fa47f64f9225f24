// `keyferry verify`: compares both ends, tells what differs, repairs it where asked to.
#pragma once

#include "keyferry/config/options.hpp"

namespace keyferry {

// What only this command takes; "" = as the options say.
struct VerifyLine {
  std::string level;
  std::string sample;
  std::string report_file;
  bool repair = false;
  bool repair_extra = false;
  bool running = false;  // by the instance that runs the link, which can repair in order with it
  std::string token_file;
  bool json = false;  // everything on standard output is JSON lines, the summary is the last
};

int verify_command(CommandLine command_line, const VerifyLine& verify);

}  // namespace keyferry
