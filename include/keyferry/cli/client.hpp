// The commands that talk to a running keyferry over HTTP: status, drain, pause, resume,
// stop, cutover.
#pragma once

#include <map>
#include <string>

#include "keyferry/verify/summary.hpp"

namespace keyferry {

struct ClientOptions {
  std::string http;        // HOST:PORT; "" = KEYFERRY_HTTP_LISTEN, else 127.0.0.1:8484
  std::string token_file;  // "" = KEYFERRY_HTTP_TOKEN_FILE
  bool watch = false;
  bool json = false;
  std::string pause_timeout;  // cutover: like 10s, 500ms; "" = as configured there
  std::string verify;         // cutover: "sample" or ""
};

using Environment = std::map<std::string, std::string>;

// Both return exit codes: 0; 2 for a bad address or token file, 3 when nobody answers or it says
// no.
int status_command(const ClientOptions& options, const Environment& environment);
int control_command(const std::string& verb, const ClientOptions& options,
                    const Environment& environment);

// POST /cutover, then waits for the outcome and prints it.
// Has a running keyferry compare (`query`: that of POST /verify), and waits for the end of it.
// `summary`: how it ended.
int verify_running(const std::string& query, const ClientOptions& options,
                   const Environment& environment, VerifySummary& summary);

int cutover_command(const ClientOptions& options, const Environment& environment);

}  // namespace keyferry
