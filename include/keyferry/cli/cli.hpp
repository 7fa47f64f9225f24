// The command line: reads it, prints help and usage problems, hands the rest to one function per
// command. The only folder that prints to the terminal. CLI11 stays hidden in cli.cpp.
#pragma once

#include <map>
#include <string>

#include "keyferry/config/options.hpp"

namespace keyferry {

// The whole program; returns its exit code (interface "Exit codes").
int run_cli(int argc, char** argv);

// `keyferry run`: loads the options, opens the log, runs the link.
int run_command(const CommandLine& command_line);

// The process' environment.
std::map<std::string, std::string> environment();

// "keyferry: <problem>" on standard error, once for each line of `problems`.
void print_problems(const std::string& problems);

}  // namespace keyferry
