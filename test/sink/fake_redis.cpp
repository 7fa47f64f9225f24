#include "sink/fake_redis.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyferry/command/keys.hpp"
#include "keyferry/resp/command_parser.hpp"

namespace keyferry::test {

struct FakeRedis::Client {
  int fd = -1;
  std::string in;
  std::string out;
  int db = 0;
  bool asking = false;
  bool in_multi = false;
  bool is_dirty = false;
  bool holds_data_replies = false;
  bool is_cut = false;
  std::vector<Words> queued;
};

namespace {

std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string upper(std::string text) {
  for (char& c : text)
    c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return text;
}

std::vector<std::string> keys_of(const Words& words) {
  std::vector<std::string> keys;
  if (words[0] == "MSET") {
    for (std::size_t i = 1; i < words.size(); i += 2)
      keys.push_back(words[i]);
  } else if (words[0] == "DEL") {
    keys.assign(words.begin() + 1, words.end());
  } else if (words.size() > 1 && words[0] != "FLUSHALL" && words[0] != "FUNCTION") {
    keys.push_back(words[1]);
  }
  return keys;
}

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

FakeRedis::FakeRedis(std::shared_ptr<FakeStore> store, std::size_t node)
    : store_(std::move(store)), node_(node) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("fake redis cannot listen");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

FakeRedis::~FakeRedis() {
  stopping_ = true;
  thread_.join();
  for (const auto& client : clients_)
    ::close(client->fd);
  ::close(listener_);
}

void FakeRedis::refuse(Refusal refusal) {
  const std::lock_guard lock(store_->mutex);
  refusals_.push_back(std::move(refusal));
}

void FakeRedis::gate(std::size_t commands) {
  const std::lock_guard lock(store_->mutex);
  gate_ = commands;
}

void FakeRedis::cut_after(std::size_t commands) {
  const std::lock_guard lock(store_->mutex);
  cut_ = commands;
}

void FakeRedis::run() {
  while (!stopping_) {
    std::vector<pollfd> polled{{listener_, POLLIN, 0}};
    for (const auto& client : clients_)
      polled.push_back({client->fd, POLLIN, 0});
    ::poll(polled.data(), polled.size(), 5);
    for (std::size_t i = clients_.size(); i > 0; --i) {
      const bool readable = (polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0;
      if (readable && !serve(*clients_[i - 1])) {
        ::close(clients_[i - 1]->fd);
        clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
    }
    for (const auto& client : clients_)
      flush(*client);
    if ((polled[0].revents & POLLIN) != 0) accept_one();
  }
}

void FakeRedis::accept_one() {
  const int fd = ::accept(listener_, nullptr, nullptr);
  if (fd < 0) return;
  clients_.push_back(std::make_unique<Client>());
  clients_.back()->fd = fd;
  ++taken_;
}

// Reads what is there and answers whole commands; false when the connection has ended.
bool FakeRedis::serve(Client& client) {
  char buffer[64 * 1024];
  const ssize_t n = ::recv(client.fd, buffer, sizeof buffer, 0);
  if (n <= 0) return false;
  client.in.append(buffer, static_cast<std::size_t>(n));
  std::size_t used = 0;
  while (!client.is_cut) {
    std::vector<ByteView> args;
    const CommandParse parsed = parse_command(ByteView(client.in).substr(used), args);
    if (parsed.status == CommandParse::Status::corrupt) return false;
    if (parsed.status == CommandParse::Status::need_more) break;
    Words words(args.begin(), args.end());
    words[0] = upper(words[0]);
    used += parsed.size;
    answer(client, words);
  }
  client.in.erase(0, used);
  return !client.is_cut && flush(client);
}

bool FakeRedis::flush(Client& client) {
  {
    const std::lock_guard lock(store_->mutex);
    if (client.out.empty() || (client.holds_data_replies && gate_ > 0)) return true;
  }
  client.holds_data_replies = false;
  for (std::size_t at = 0; at < client.out.size();) {
    const ssize_t n =
        ::send(client.fd, client.out.data() + at, client.out.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  client.out.clear();
  return true;
}

void FakeRedis::answer(Client& client, const Words& words) {
  const std::lock_guard lock(store_->mutex);
  if (answer_control(client, words)) return;
  client.holds_data_replies = true;
  if (gate_ > 0) --gate_;
  const std::vector<std::string> keys = keys_of(words);
  std::string error = refusal_of(words, keys.empty() ? "" : keys[0]);
  if (error.empty()) error = redirect_of(client, keys);
  if (!client.in_multi) client.asking = false;
  if (!error.empty()) {
    client.is_dirty = true;
    client.out += "-" + error + "\r\n";
  } else if (client.in_multi) {
    client.queued.push_back(words);
    client.out += "+QUEUED\r\n";
  } else {
    client.out += apply(client, words, false);
  }
}

bool FakeRedis::answer_control(Client& client, const Words& words) {
  const std::string& name = words[0];
  std::string reply = "+OK\r\n";
  if (name == "PING") {
    reply = "+PONG\r\n";
  } else if (name == "INFO") {
    reply = bulk(info());
  } else if (name == "COMMAND" || name == "MODULE") {
    reply = "*0\r\n";
  } else if (name == "CLUSTER") {
    reply = words.at(1) == "SLOTS" ? cluster_slots() : "-ERR unknown subcommand 'SHARDS'\r\n";
  } else if (name == "ASKING") {
    client.asking = true;
  } else if (name == "MULTI") {
    client.in_multi = true;
    client.is_dirty = false;
    client.queued.clear();
  } else if (name == "EXEC") {
    answer_exec(client);
    return true;
  } else if (name == "SELECT") {
    if (store_->is_cluster && store_->databases == 1 && words.at(1) != "0") {
      reply = "-ERR SELECT is not allowed in cluster mode\r\n";
    } else if (std::stoi(words.at(1)) >= store_->databases) {
      reply = "-ERR DB index is out of range\r\n";
    } else if (client.in_multi) {
      client.queued.push_back(words);
      reply = "+QUEUED\r\n";
    } else {
      client.db = std::stoi(words.at(1));
    }
  } else if (name != "CLIENT") {
    return false;
  }
  client.out += reply;
  return true;
}

void FakeRedis::answer_exec(Client& client) {
  client.in_multi = client.asking = false;
  const std::string error = refusal_of({"EXEC"}, "");
  if (client.is_dirty || !error.empty()) {
    client.out +=
        "-" +
        (client.is_dirty ? "EXECABORT Transaction discarded because of previous errors." : error) +
        "\r\n";
    return;
  }
  client.out += "*" + std::to_string(client.queued.size()) + "\r\n";
  for (const Words& words : std::exchange(client.queued, {}))
    client.out += apply(client, words, true);
}

std::string FakeRedis::refusal_of(const Words& words, const std::string& key) {
  for (Refusal& refusal : refusals_) {
    if (refusal.times <= 0 || refusal.name != words[0]) continue;
    if (!refusal.key.empty() && refusal.key != key) continue;
    --refusal.times;
    return refusal.error;
  }
  return "";
}

// MOVED, ASK or TRYAGAIN as a node of a cluster would say; empty when the command may run here.
std::string FakeRedis::redirect_of(const Client& client, const std::vector<std::string>& keys) {
  if (!store_->is_cluster || keys.empty()) return "";
  const Slot slot = slot_of(keys[0]);
  for (const std::string& key : keys) {
    if (slot_of(key) != slot) return "CROSSSLOT Keys in request don't hash to the same slot";
  }
  const auto address = [&](std::size_t node) {
    return std::to_string(slot) + " 127.0.0.1:" + std::to_string(store_->ports[node]);
  };
  const std::size_t owner = store_->owner[slot];
  const auto migration = store_->migrating.find(slot);
  const bool migrates = migration != store_->migrating.end();
  std::size_t moved = 0;
  for (const std::string& key : keys)
    moved += migrates && migration->second.moved.contains(key) ? 1 : 0;
  if (owner == node_) {
    if (moved == 0) return "";
    if (moved < keys.size()) return "TRYAGAIN Multiple keys request during rehashing of slot";
    return "ASK " + address(migration->second.to);
  }
  if (migrates && migration->second.to == node_ && client.asking) {
    return moved == keys.size() ? "" : "TRYAGAIN Multiple keys request during rehashing of slot";
  }
  return "MOVED " + address(owner);
}

std::string FakeRedis::apply(Client& client, const Words& words, bool in_group) {
  const std::string& name = words[0];
  if (name == "SELECT") {
    client.db = std::stoi(words[1]);
    return "+OK\r\n";
  }
  const std::string place = std::to_string(client.db) + "/";
  const std::string text = (client.db == 0 ? "" : std::to_string(client.db) + ": ") + joined(words);
  store_->log.push_back({text, node_, in_group});
  if (cut_ > 0 && --cut_ == 0) client.is_cut = true;
  auto& values = store_->values;
  if (name == "SET") {
    values[place + words.at(1)] = words.at(2);
  } else if (name == "MSET") {
    for (std::size_t i = 1; i + 1 < words.size(); i += 2)
      values[place + words[i]] = words[i + 1];
  } else if (name == "RPUSH") {
    values[place + words.at(1)] = joined(Words(words.begin() + 2, words.end()));
  } else if (name == "DEL" || name == "UNLINK") {
    for (std::size_t i = 1; i < words.size(); ++i)
      values.erase(place + words[i]);
  } else if (name == "APPEND") {
    values[place + words.at(1)] += words.at(2);
  } else if (name == "INCR") {
    std::string& value = values[place + words.at(1)];
    if (value.find_first_not_of("0123456789") != std::string::npos) {
      return "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    }
    value = std::to_string(value.empty() ? 1 : std::stoi(value) + 1);
    return ":" + value + "\r\n";
  } else if (name == "FLUSHALL") {
    // A node holds only its own slots.
    std::erase_if(values, [&](const auto& entry) {
      return !store_->is_cluster ||
             store_->owner[slot_of(ByteView(entry.first).substr(2))] == node_;
    });
  }
  return "+OK\r\n";
}

std::string FakeRedis::cluster_slots() const {
  std::string ranges;
  std::size_t count = 0;
  for (std::size_t first = 0; first < slot_count;) {
    std::size_t last = first;
    while (last + 1 < slot_count && store_->owner[last + 1] == store_->owner[first])
      ++last;
    ranges += "*3\r\n:" + std::to_string(first) + "\r\n:" + std::to_string(last) + "\r\n";
    ranges += "*2\r\n" + bulk("127.0.0.1") + ":" +
              std::to_string(store_->ports[store_->owner[first]]) + "\r\n";
    ++count;
    first = last + 1;
  }
  return "*" + std::to_string(count) + "\r\n" + ranges;
}

std::string FakeRedis::info() const {
  std::string text = "# Server\r\nredis_version:7.0.15\r\nredis_mode:";
  text += store_->is_cluster ? "cluster\r\n" : "standalone\r\n";
  text +=
      "run_id:fake" + std::to_string(node_) + "\r\n# Replication\r\nrole:master\r\n# Keyspace\r\n";
  if (!store_->values.empty())
    text += "db0:keys=" + std::to_string(store_->values.size()) + ",expires=0\r\n";
  return text;
}

FakeTarget::FakeTarget(std::size_t cluster_nodes) : store_(std::make_shared<FakeStore>()) {
  store_->is_cluster = cluster_nodes > 0;
  if (store_->is_cluster) store_->databases = 1;
  const std::size_t count = std::max<std::size_t>(1, cluster_nodes);
  const std::lock_guard lock(store_->mutex);
  for (std::size_t i = 0; i < count; ++i) {
    nodes_.push_back(std::make_unique<FakeRedis>(store_, i));
    store_->ports.push_back(nodes_.back()->port());
  }
  for (std::size_t slot = 0; slot < slot_count; ++slot)
    store_->owner[slot] = slot * count / slot_count;
}

std::size_t FakeTarget::owner_index(const std::string& key) const {
  const std::lock_guard lock(store_->mutex);
  return store_->owner[slot_of(key)];
}

FakeRedis& FakeTarget::owner_of(const std::string& key) {
  return *nodes_[owner_index(key)];
}

void FakeTarget::set_databases(int databases) {
  const std::lock_guard lock(store_->mutex);
  store_->databases = databases;
}

void FakeTarget::assign(Slot slot, std::size_t node) {
  const std::lock_guard lock(store_->mutex);
  store_->owner[slot] = node;
  store_->migrating.erase(slot);
}

void FakeTarget::migrate(const std::string& slot_of_key, std::size_t to,
                         std::set<std::string> moved) {
  const std::lock_guard lock(store_->mutex);
  store_->migrating[slot_of(slot_of_key)] = {to, std::move(moved)};
}

void FakeTarget::end_migration(Slot slot) {
  const std::lock_guard lock(store_->mutex);
  const auto found = store_->migrating.find(slot);
  if (found == store_->migrating.end()) return;
  store_->owner[slot] = found->second.to;
  store_->migrating.erase(found);
}

std::string FakeTarget::value(const std::string& key, int db) const {
  const std::lock_guard lock(store_->mutex);
  const auto found = store_->values.find(std::to_string(db) + "/" + key);
  return found == store_->values.end() ? "(none)" : found->second;
}

std::map<std::string, std::string> FakeTarget::values() const {
  const std::lock_guard lock(store_->mutex);
  return store_->values;
}

std::vector<FakeStore::Applied> FakeTarget::log() const {
  const std::lock_guard lock(store_->mutex);
  return store_->log;
}

Words FakeTarget::applied() const {
  Words texts;
  for (const FakeStore::Applied& applied : log())
    texts.push_back(applied.text);
  return texts;
}

}  // namespace keyferry::test
