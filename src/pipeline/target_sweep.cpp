#include "keyferry/pipeline/target_sweep.hpp"

#include <map>

#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"

namespace keyferry {

Task<Error> TargetSweep::run() {
  found_ = 0;
  const std::vector<Endpoint> masters = common_.sink.nodes().map().masters();
  for (const Endpoint& master : masters) {
    Error error = co_await sweep_node(master);
    connection_ = nullptr;
    if (error) co_return with_context("target " + to_string(master), std::move(error));
  }
  if (found_ > 0) log_info("target looked through: keys_the_source_lacks={}", found_);
  co_return Error();
}

void TargetSweep::stop() {
  stopping_ = true;
  if (connection_ != nullptr) connection_->close();
}

Task<Error> TargetSweep::sweep_node(Endpoint node) {
  Connection connection(common_.executor);
  connection_ = &connection;
  const HostPort host{node.host, node.port};
  Error error = co_await connection.open(common_.options.target, host, "sweep");
  if (error) co_return error;
  Bytes command = make_command({"INFO", "keyspace"});
  auto info =
      co_await connection.call(std::move(command), Millis(common_.options.target.reply_timeout_ms));
  if (!info) co_return info.error();
  const SourceReading reading = read_source(info->text);
  for (const auto& [db, keys] : reading.keys) {
    error = co_await sweep_db(db);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> TargetSweep::sweep_db(std::int32_t db) {
  const Millis limit(common_.options.target.reply_timeout_ms);
  Bytes select = make_command({"SELECT", std::to_string(db)});
  auto selected = co_await connection_->call(std::move(select), limit);
  if (!selected) co_return selected.error();
  std::string cursor = "0";
  do {
    Bytes scan = make_command({"SCAN", cursor, "COUNT", "1000"});
    auto page = co_await connection_->call(std::move(scan), limit);
    if (!page) co_return page.error();
    if (page->items.size() != 2)
      co_return Error(Errc::refused_by_peer, "SCAN: " + escaped(page->text));
    cursor = page->items[0].text;
    Error error = co_await sweep_page(db, page->items[1]);
    if (error) co_return error;
  } while (cursor != "0" && !stopping_);
  co_return Error();
}

Task<Error> TargetSweep::sweep_page(std::int32_t db, const RespValue& keys) {
  std::map<ScanNode*, std::vector<Bytes>> by_node;
  for (const RespValue& key : keys.items) {
    if (is_own_key(key.text) || !common_.rules.wants(db, key.text)) continue;
    if (ScanNode* const node = node_of_(key.text)) by_node[node].push_back(key.text);
  }
  for (const auto& [node, names] : by_node) {
    auto there = co_await node->exist(db, names);
    if (!there) co_return there.error();
    for (std::size_t i = 0; i < names.size(); ++i) {
      if ((*there)[i]) continue;
      node->change(db, names[i]);
      ++found_;
    }
    node->wake();
  }
  co_return Error();
}

}  // namespace keyferry
