#include "support/key_reader.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace keyferry::test {

namespace {

// Elements are written with their length, so no two values share a text.
void put(std::string& out, const std::string& element) {
  out += std::to_string(element.size());
  out += ':';
  out += element;
  out += ' ';
}

// Servers print the same double with 17 digits or with the fewest that round-trip.
std::string same_double(const std::string& text) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.17g", std::strtod(text.c_str(), nullptr));
  return buffer;
}

std::string in_order(const Reply& reply) {
  std::string out;
  for (const Reply& item : reply.items)
    put(out, item.text);
  return out;
}

std::string sorted(const Reply& reply, std::size_t width) {
  std::vector<std::string> rows;
  for (std::size_t i = 0; i + width <= reply.items.size(); i += width) {
    std::string row;
    for (std::size_t k = 0; k < width; ++k)
      put(row, reply.items[i + k].text);
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end());
  std::string out;
  for (const std::string& row : rows)
    out += row;
  return out;
}

std::string with_scores(const Reply& reply) {
  std::string out;
  for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    put(out, reply.items[i].text);
    out += same_double(reply.items[i + 1].text) + ' ';
  }
  return out;
}

// Throws when it is not there: a renamed field must not pass as "nothing to compare".
const Reply& required(const Reply& map, const char* name) {
  const Reply* field = map.field(name);
  if (field == nullptr)
    throw std::runtime_error(std::string("XINFO STREAM FULL has no field ") + name);
  return *field;
}

const std::string& text_of(const Reply& map, const char* name) {
  return required(map, name).text;
}

std::string group_text(const Reply& group, const ReadFeatures& features) {
  std::string out =
      "\ngroup " + text_of(group, "name") + " last " + text_of(group, "last-delivered-id");
  if (features.entries_read) out += " read " + text_of(group, "entries-read");
  for (const Reply& entry : required(group, "pending").items) {
    out += "\n pending " + entry.items.at(0).text + " of " + entry.items.at(1).text +
           " delivered " + std::to_string(entry.items.at(3).integer);
  }
  std::vector<std::string> names;
  for (const Reply& consumer : required(group, "consumers").items) {
    // Before Redis 7.0 a consumer without pending entries was not told to replicas.
    const bool shared = features.stream_counters || !required(consumer, "pending").items.empty();
    if (shared) names.push_back(text_of(consumer, "name"));
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names)
    out += "\n consumer " + name;
  return out;
}

// XINFO STREAM key FULL COUNT 0: everything, in named fields that grew over the versions.
std::string stream_text(const Reply& info, const ReadFeatures& features) {
  std::string out = "last " + text_of(info, "last-generated-id");
  if (features.stream_counters) {
    out += " added " + text_of(info, "entries-added") + " max-deleted " +
           text_of(info, "max-deleted-entry-id");
  }
  std::vector<std::string> texts;
  for (const Reply& group : required(info, "groups").items)
    texts.push_back(group_text(group, features));
  std::sort(texts.begin(), texts.end());
  for (const std::string& text : texts)
    out += text;
  for (const Reply& entry : required(info, "entries").items) {
    out += "\n" + entry.items.at(0).text + " " + in_order(entry.items.at(1));
  }
  return out;
}

std::string value_text(const std::string& type, const Reply& reply, const ReadFeatures& features) {
  // The key went away or changed its type between two questions: compare() looks again.
  if (reply.is_error()) return "(error) " + reply.text;
  if (type == "string") return reply.text;
  if (type == "list") return in_order(reply);
  if (type == "set") return sorted(reply, 1);
  if (type == "hash") return sorted(reply, 2);
  if (type == "zset") return with_scores(reply);
  return stream_text(reply, features);
}

Args value_command(const std::string& type, const std::string& key) {
  if (type == "string") return {"GET", key};
  if (type == "list") return {"LRANGE", key, "0", "-1"};
  if (type == "set") return {"SMEMBERS", key};
  if (type == "hash") return {"HGETALL", key};
  if (type == "zset") return {"ZRANGE", key, "0", "-1", "WITHSCORES"};
  if (type == "stream") return {"XINFO", "STREAM", key, "FULL", "COUNT", "0"};
  throw std::runtime_error("compare cannot read type " + type + " of " + key);
}

std::int64_t server_now_ms(const Reply& time) {
  return std::atoll(time.items.at(0).text.c_str()) * 1000 +
         std::atoll(time.items.at(1).text.c_str()) / 1000;
}

// The expiry of each field that has one, appended to the hash's text.
void add_field_ttls(RespClient& node, const std::string& key, const Reply& pairs,
                    std::string& value) {
  Args ask = {"HPEXPIRETIME", key, "FIELDS", std::to_string(pairs.items.size() / 2)};
  for (std::size_t i = 0; i < pairs.items.size(); i += 2)
    ask.push_back(pairs.items[i].text);
  const Reply times = node.command(ask);
  std::vector<std::string> rows;
  for (std::size_t i = 0; i < times.items.size(); ++i) {
    if (times.items[i].integer < 0) continue;
    std::string row = "\nfield expiry ";
    put(row, pairs.items[2 * i].text);
    rows.push_back(row + std::to_string(times.items[i].integer));
  }
  std::sort(rows.begin(), rows.end());
  for (const std::string& row : rows)
    value += row;
}

}  // namespace

std::vector<KeyImage> read_keys(RespClient& node, const std::vector<std::string>& keys,
                                const ReadFeatures& features) {
  for (const std::string& key : keys) {
    node.append({"TYPE", key});
    node.append({features.exact_expiry ? "PEXPIRETIME" : "PTTL", key});
  }
  node.append({"TIME"});
  node.flush();
  std::vector<KeyImage> images(keys.size());
  for (KeyImage& image : images) {
    image.type = node.read().text;
    image.expiry_ms = node.read().integer;
  }
  const std::int64_t now_ms = server_now_ms(node.read());
  for (KeyImage& image : images) {
    if (!features.exact_expiry && image.expiry_ms >= 0) image.expiry_ms += now_ms;
    if (image.expiry_ms < 0) image.expiry_ms = -1;
  }

  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (images[i].type != "none") node.append(value_command(images[i].type, keys[i]));
  }
  node.flush();
  std::vector<std::pair<std::size_t, Reply>> hashes;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (images[i].type == "none") continue;
    Reply reply = node.read();
    images[i].value = value_text(images[i].type, reply, features);
    if (features.field_ttl && images[i].type == "hash" && !reply.items.empty()) {
      hashes.emplace_back(i, std::move(reply));
    }
  }
  for (const auto& [i, pairs] : hashes)
    add_field_ttls(node, keys[i], pairs, images[i].value);
  return images;
}

}  // namespace keyferry::test
