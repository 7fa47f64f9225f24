#include "e2e_links.hpp"

#include <cstdlib>
#include <stdexcept>

#include "support/keyspace.hpp"

namespace keyferry::bench {
namespace {

std::size_t dbsize(test::RespClient& server) {
  return static_cast<std::size_t>(server.must({"DBSIZE"}).integer);
}

// What follows `"name":` in a status, up to the next comma or brace; without a JSON parser, which
// would take CPU from those we measure.
std::string_view scalar(std::string_view json, const std::string& name) {
  const std::string wanted = "\"" + name + "\":";
  const std::size_t at = json.find(wanted);
  if (at == std::string_view::npos) return "";
  json.remove_prefix(at + wanted.size());
  return json.substr(0, json.find_first_of(",}"));
}

}  // namespace

test::ServerOptions source_options(bool notifies) {
  test::ServerOptions options;
  options.args = {"--repl-diskless-sync",
                  "yes",
                  "--repl-diskless-sync-delay",
                  "0",
                  "--client-output-buffer-limit",
                  "replica",
                  "0",
                  "0",
                  "0",
                  "--notify-keyspace-events",
                  notifies ? "AE" : ""};
  return options;
}

FerryLink::FerryLink(const Config& config)
    : exactly_once_(config.exactly_once), scan_(config.scan), ferry_(config.keyferry) {
  if (!config.cluster) {
    masters_.push_back(server_.emplace().client());
    return;
  }
  cluster_.emplace();
  for (std::size_t i = 0; i < cluster_->size(); ++i)
    masters_.push_back(cluster_->node(i).client());
}

void FerryLink::start(const test::RedisServer& source) {
  const std::string mode = exactly_once_ ? "exactly_once" : "at_least_once";
  ferry_.run(source.uri(), cluster_ ? cluster_->uri() : server_->uri(),
             {"--set", "delivery.mode=" + mode, "--set",
              std::string("source.mode=") + (scan_ ? "scan" : "psync"),
              // As it comes: the stream is not kept on disk.
              "--set", "spool.dir="});
}

// "" while nothing answers.
const std::string& FerryLink::status() {
  status_.clear();
  try {
    if (!http_.is_open()) http_.connect("127.0.0.1", ferry_.http_port());
    http_.append_raw("GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    http_.flush();
    std::size_t whole = std::string::npos;
    while (status_.size() < whole) {
      const std::string piece = http_.read_raw(65536);
      if (piece.empty()) throw std::runtime_error("closed");
      status_ += piece;
      const std::size_t length = status_.find("Content-Length: ");
      const std::size_t body = status_.find("\r\n\r\n");
      if (length == std::string::npos || body == std::string::npos) continue;
      whole = body + 4 + std::strtoul(status_.c_str() + length + 16, nullptr, 10);
    }
  } catch (const std::runtime_error&) {
    http_.close();
    status_.clear();
  }
  return status_;
}

bool FerryLink::has_snapshot(std::size_t keys_wanted) {
  if (all_keys() < keys_wanted) return false;
  const std::string_view phase = scalar(status(), "phase");
  return phase == "\"catch_up\"" || phase == "\"steady\"";
}

bool FerryLink::has_applied(std::int64_t offset, const std::string& last_key) {
  if (last_key != last_key_) {
    last_key_ = last_key;
    last_reader_ = reader(last_key);
  }
  if (last_reader_.must({"EXISTS", last_key}).integer == 0) return false;
  const std::string applied(scalar(status(), "applied_offset"));
  return !applied.empty() && std::atoll(applied.c_str()) >= offset;
}

std::size_t FerryLink::all_keys() {
  std::size_t sum = 0;
  for (test::RespClient& master : masters_)
    sum += dbsize(master);
  return sum;
}

std::size_t FerryLink::keys() {
  std::size_t sum = all_keys();
  // Records, lease and fence.
  if (!exactly_once_) return sum;
  for (test::RespClient& master : masters_)
    sum -= master.must({"KEYS", "keyferry:*"}).items.size();
  return sum;
}

test::RespClient FerryLink::reader(const std::string& key) const {
  if (server_) return server_->client();
  return cluster_->node(cluster_->owner(test::key_slot(key))).client();
}

void RawScan::start(const test::RedisServer& source) {
  test::ProcessOptions options;
  options.args = {"redis-cli", "-p", std::to_string(source.port()), "--scan"};
  process_ = test::Process(options);
}

NativeLink::NativeLink(const Config&) : client_(replica_.client(test::Millis{60000})) {}

void NativeLink::start(const test::RedisServer& source) {
  client_.must({"REPLICAOF", source.host(), std::to_string(source.port())});
}

// Nothing is read from the data set while it is being loaded; INFO answers.
bool NativeLink::has_snapshot(std::size_t) {
  const std::string info = client_.must({"INFO", "replication"}).text;
  return test::info_field(info, "master_link_status") == "up" &&
         test::info_field(client_.must({"INFO", "persistence"}).text, "loading") == "0";
}

bool NativeLink::has_applied(std::int64_t offset, const std::string&) {
  const std::string info = client_.must({"INFO", "replication"}).text;
  return std::atoll(test::info_field(info, "slave_repl_offset").c_str()) >= offset;
}

std::size_t NativeLink::keys() {
  return dbsize(client_);
}

test::RespClient NativeLink::reader(const std::string&) const {
  return replica_.client();
}

}  // namespace keyferry::bench
