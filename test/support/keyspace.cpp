#include "support/keyspace.hpp"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace keyferry::test {

Endpoint Endpoint::of_uri(const std::string& uri) {
  Endpoint result;
  std::string rest = uri.substr(uri.find("://") == std::string::npos ? 0 : uri.find("://") + 3);
  rest = rest.substr(0, rest.find('/'));
  if (const auto at = rest.rfind('@'); at != std::string::npos) {
    const std::string login = rest.substr(0, at);
    const auto colon = login.find(':');
    result.user = colon == std::string::npos ? "" : login.substr(0, colon);
    result.password = login.substr(colon == std::string::npos ? 0 : colon + 1);
    rest = rest.substr(at + 1);
  }
  rest = rest.substr(0, rest.find(','));
  const auto colon = rest.rfind(':');
  result.host = rest.substr(0, colon);
  if (colon != std::string::npos)
    result.port = static_cast<std::uint16_t>(std::atoi(&rest[colon + 1]));
  return result;
}

// CRC16 XMODEM of the hash tag, bit by bit. Redis cluster specification, appendix A.
int key_slot(std::string_view key) {
  if (const auto open = key.find('{'); open != std::string_view::npos) {
    const auto end = key.find('}', open + 1);
    if (end != std::string_view::npos && end > open + 1) key = key.substr(open + 1, end - open - 1);
  }
  unsigned crc = 0;
  for (const char c : key) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
  }
  return static_cast<int>(crc & 0x3fffU);
}

std::string_view first_key(const Args& args) {
  static const std::map<std::string, std::size_t> positions = {
      {"MULTI", 99}, {"EXEC", 99},  {"SELECT", 99}, {"EVAL", 3},   {"FCALL", 3},
      {"BITOP", 2},  {"XGROUP", 2}, {"XINFO", 2},   {"OBJECT", 2}, {"DEBUG", 2}};
  const auto found = positions.find(args.at(0));
  std::size_t at = found == positions.end() ? 1 : found->second;
  if (args[0] == "XREADGROUP") {
    at =
        static_cast<std::size_t>(std::find(args.begin(), args.end(), "STREAMS") - args.begin()) + 1;
  }
  return at < args.size() ? std::string_view(args[at]) : std::string_view();
}

Keyspace::Keyspace(Endpoint endpoint, Millis timeout)
    : endpoint_(std::move(endpoint)), timeout_(timeout) {
  RespClient first = connect(endpoint_.host, endpoint_.port);
  const std::string info = first.must({"INFO", "everything"}).text;
  cluster_ = info_field(info, "cluster_enabled") == "1";
  valkey_ = !info_field(info, "valkey_version").empty();
  char dot = 0;
  int major = 0;
  int minor = 0;
  std::istringstream(info_field(info, "redis_version")) >> major >> dot >> minor;
  version_ = major * 100 + minor;
  // Fields with an expiry: Redis 7.4, Valkey 9.0.
  const int valkey_major = std::atoi(info_field(info, "valkey_version").c_str());
  hash_field_ttl_ = valkey_ ? valkey_major >= 9 : version_ >= 704;
  keeps_entries_read_ = valkey_ ? valkey_major >= 9 : version_ >= 800;
  if (cluster_) {
    learn_slots();
  } else {
    nodes_.push_back(std::move(first));
  }
}

RespClient Keyspace::connect(const std::string& host, std::uint16_t port) const {
  RespClient connection(host, port, timeout_);
  if (!endpoint_.password.empty()) {
    Args auth = {"AUTH"};
    if (!endpoint_.user.empty()) auth.push_back(endpoint_.user);
    auth.push_back(endpoint_.password);
    connection.must(auth);
  }
  if (selected_ != 0) connection.must({"SELECT", std::to_string(selected_)});
  return connection;
}

void Keyspace::learn_slots() {
  RespClient any = connect(endpoint_.host, endpoint_.port);
  slots_.assign(16384, 0);
  for (const Reply& range : any.must({"CLUSTER", "SLOTS"}).items) {
    const Reply& master = range.items.at(2);
    // An empty host means "the one you asked".
    const std::string host =
        master.items.at(0).text.empty() ? endpoint_.host : master.items.at(0).text;
    const auto port = static_cast<std::uint16_t>(master.items.at(1).integer);
    const std::string address = host + ":" + std::to_string(port);
    if (addresses_.count(address) == 0) {
      addresses_[address] = nodes_.size();
      nodes_.push_back(connect(host, port));
    }
    for (auto slot = range.items[0].integer; slot <= range.items[1].integer; ++slot) {
      slots_.at(static_cast<std::size_t>(slot)) = addresses_[address];
    }
  }
  if (nodes_.empty()) throw std::runtime_error("the cluster has no masters");
}

std::size_t Keyspace::node_of(std::string_view key) const {
  return cluster_ ? slots_[static_cast<std::size_t>(key_slot(key))] : 0;
}

void Keyspace::select(int db) {
  if (db == selected_) return;
  selected_ = db;
  for (RespClient& node : nodes_)
    node.must({"SELECT", std::to_string(db)});
}

std::vector<int> Keyspace::databases_with_keys() {
  std::set<int> found;
  for (RespClient& node : nodes_) {
    std::istringstream lines(node.must({"INFO", "keyspace"}).text);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind("db", 0) == 0) found.insert(std::atoi(line.c_str() + 2));
    }
  }
  return {found.begin(), found.end()};
}

std::vector<Reply> Keyspace::pipeline(const std::vector<Args>& commands) {
  std::vector<std::size_t> where;
  where.reserve(commands.size());
  for (const Args& args : commands) {
    where.push_back(node_of(first_key(args)));
    nodes_[where.back()].append(args);
  }
  for (RespClient& node : nodes_)
    node.flush();
  std::vector<Reply> replies;
  replies.reserve(commands.size());
  for (const std::size_t index : where)
    replies.push_back(nodes_[index].read());
  for (std::size_t i = 0; cluster_ && i < replies.size(); ++i) {
    if (replies[i].is_error()) replies[i] = follow(commands[i], where[i], std::move(replies[i]));
  }
  return replies;
}

namespace {

bool is_redirect(const Reply& reply) {
  static constexpr const char* kinds[] = {"MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN"};
  return reply.is_error() && std::any_of(std::begin(kinds), std::end(kinds), [&](const char* kind) {
           return reply.text.rfind(kind, 0) == 0;
         });
}

}  // namespace

std::size_t Keyspace::node_at(const std::string& address) {
  if (addresses_.count(address) == 0) {
    const auto colon = address.rfind(':');
    const auto port = static_cast<std::uint16_t>(std::atoi(&address[colon + 1]));
    addresses_[address] = nodes_.size();
    nodes_.push_back(connect(address.substr(0, colon), port));
  }
  return addresses_[address];
}

// "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "TRYAGAIN ...", "CLUSTERDOWN ...".
Reply Keyspace::follow(const Args& args, std::size_t node, Reply redirect) {
  for (int attempt = 0; attempt < 100 && is_redirect(redirect); ++attempt) {
    std::istringstream words(redirect.text);
    std::string kind;
    std::size_t slot = 0;
    std::string address;
    words >> kind >> slot >> address;
    if (kind == "MOVED" || kind == "ASK") {
      node = node_at(address);
      if (kind == "MOVED") slots_.at(slot) = node;
      if (kind == "ASK") nodes_[node].must({"ASKING"});
    } else {
      std::this_thread::sleep_for(Millis{20});
    }
    redirect = nodes_[node].command(args);
  }
  return redirect;
}

namespace {

const Args& keyed_command(const std::vector<Args>& group) {
  for (const Args& args : group) {
    if (!first_key(args).empty()) return args;
  }
  return group.front();
}

}  // namespace

std::vector<Reply> Keyspace::pipeline_groups(const std::vector<std::vector<Args>>& groups) {
  std::vector<std::size_t> where;
  for (const auto& group : groups) {
    where.push_back(node_of(first_key(keyed_command(group))));
    for (const Args& args : group)
      nodes_[where.back()].append(args);
  }
  for (RespClient& node : nodes_)
    node.flush();
  std::vector<std::vector<Reply>> answers(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    for (std::size_t k = 0; k < groups[i].size(); ++k)
      answers[i].push_back(nodes_[where[i]].read());
  }
  std::vector<Reply> replies;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (std::any_of(answers[i].begin(), answers[i].end(), is_redirect))
      answers[i] = repeat_group(groups[i]);
    for (Reply& reply : answers[i])
      replies.push_back(std::move(reply));
  }
  return replies;
}

// EXEC has refused the whole group; once the slot's move is over it can be sent to one place again.
std::vector<Reply> Keyspace::repeat_group(const std::vector<Args>& group) {
  if (group.size() == 1) return pipeline(group);
  for (int attempt = 0;; ++attempt) {
    learn_slots();
    std::vector<Reply> replies = nodes_[node_of(first_key(keyed_command(group)))].pipeline(group);
    if (attempt == 200 || std::none_of(replies.begin(), replies.end(), is_redirect)) return replies;
    std::this_thread::sleep_for(Millis{20});
  }
}
}  // namespace keyferry::test
