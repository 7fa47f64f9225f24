#include "keyferry/cli/cli.hpp"

int main(int argc, char** argv) {
  return keyferry::run_cli(argc, argv);
}
