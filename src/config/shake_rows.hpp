// One row per option of RedisShake: what it becomes. Names and defaults are those of v4.6.2 (its
// shake.toml and the structures behind it); v3's are turned into them first. Internal to
// config/shake.
#pragma once

#include <array>
#include <string_view>

namespace keyferry {

enum class Carry {
  text,        // as it is
  list,        // as it is, a list
  commands,    // a list of names; theirs write XGROUP-CREATE
  groups,      // a list of groups; theirs write SORTED_SET
  words,       // by `how`: "theirs=ours ..."
  log_level,   // by `how`, where it is one of ours
  local_port,  // a port on all interfaces there, on loopback here
  psync,       // "host:port@command,..."
  not_needed,  // `how` says why
  missing      // `how` says what to do instead
};

struct ShakeRow {
  std::string_view theirs;
  std::string_view usual;  // nothing is said about this value ("[]" is the empty list)
  Carry carry;
  std::string_view ours;  // "" for not_needed and missing
  std::string_view how = {};
};

inline constexpr std::array shake_rows = {
    ShakeRow{"sync_reader.sync_rdb", "true", Carry::text, "snapshot.enabled"},
    ShakeRow{"sync_reader.sync_aof", "true", Carry::text, "stream.enabled"},
    ShakeRow{"sync_reader.prefer_replica", "false", Carry::missing, "",
             "write the address of the replica into source.uri"},
    ShakeRow{"sync_reader.try_diskless", "", Carry::not_needed, "",
             "a diskless snapshot is always asked for"},
    ShakeRow{"scan_reader.dbs", "[]", Carry::list, "filter.allow.databases"},
    ShakeRow{"scan_reader.scan", "true", Carry::text, "snapshot.enabled"},
    ShakeRow{"scan_reader.prefer_replica", "false", Carry::text, "source.prefer_replica"},
    ShakeRow{"scan_reader.count", "1", Carry::text, "source.scan.count"},
    ShakeRow{"scan_reader.skip_unknown_type", "[]", Carry::missing, "",
             "see snapshot.on_unknown_module"},
    ShakeRow{"aof_reader.timestamp", "0", Carry::text, "source.aof.until"},
    ShakeRow{"redis_writer.off_reply", "false", Carry::not_needed, "", "every reply is judged"},
    ShakeRow{"file_writer.type", "cmd", Carry::not_needed, "",
             "the end of the file's name says what it holds"},

    ShakeRow{"filter.allow_keys", "[]", Carry::list, "filter.allow.keys"},
    ShakeRow{"filter.allow_key_prefix", "[]", Carry::list, "filter.allow.prefixes"},
    ShakeRow{"filter.allow_key_suffix", "[]", Carry::list, "filter.allow.suffixes"},
    ShakeRow{"filter.allow_key_regex", "[]", Carry::list, "filter.allow.regexes"},
    ShakeRow{"filter.allow_db", "[]", Carry::list, "filter.allow.databases"},
    ShakeRow{"filter.allow_command", "[]", Carry::commands, "filter.allow.commands"},
    ShakeRow{"filter.allow_command_group", "[]", Carry::groups, "filter.allow.groups"},
    ShakeRow{"filter.block_keys", "[]", Carry::list, "filter.block.keys"},
    ShakeRow{"filter.block_key_prefix", "[]", Carry::list, "filter.block.prefixes"},
    ShakeRow{"filter.block_key_suffix", "[]", Carry::list, "filter.block.suffixes"},
    ShakeRow{"filter.block_key_regex", "[]", Carry::list, "filter.block.regexes"},
    ShakeRow{"filter.block_db", "[]", Carry::list, "filter.block.databases"},
    ShakeRow{"filter.block_command", "[]", Carry::commands, "filter.block.commands"},
    ShakeRow{"filter.block_command_group", "[]", Carry::groups, "filter.block.groups"},
    ShakeRow{"filter.function", "", Carry::missing, "",
             "a script of RedisShake calls its own functions; write it anew for "
             "transform.script_file, databases.map or transform.key_prefix"},

    ShakeRow{"advanced.dir", "data", Carry::not_needed, "", "only spool.dir is written to"},
    ShakeRow{"advanced.ncpu", "", Carry::not_needed, "", "one thread moves the data"},
    ShakeRow{"advanced.pprof_port", "0", Carry::not_needed, "", "perf reads the program as it is"},
    ShakeRow{"advanced.status_port", "0", Carry::local_port, "http.listen"},
    ShakeRow{"advanced.log_file", "shake.log", Carry::text, "log.file"},
    ShakeRow{"advanced.log_level", "info", Carry::log_level, "log.level",
             "debug=debug info=info warn=warn"},
    ShakeRow{"advanced.log_interval", "5", Carry::not_needed, "",
             "a progress line comes every few seconds"},
    ShakeRow{"advanced.log_rotation", "", Carry::not_needed, "", "logrotate or the journal do it"},
    ShakeRow{"advanced.log_max_size", "", Carry::not_needed, "", "logrotate or the journal do it"},
    ShakeRow{"advanced.log_max_age", "", Carry::not_needed, "", "logrotate or the journal do it"},
    ShakeRow{"advanced.log_max_backups", "", Carry::not_needed, "",
             "logrotate or the journal do it"},
    ShakeRow{"advanced.log_compress", "", Carry::not_needed, "", "logrotate or the journal do it"},
    ShakeRow{"advanced.rdb_restore_command_behavior", "", Carry::words, "snapshot.on_existing_key",
             "panic=fail rewrite=replace skip=skip ignore=skip"},
    ShakeRow{"advanced.pipeline_count_limit", "", Carry::not_needed, "",
             "what is unanswered is bounded by limits.memory_max_bytes"},
    ShakeRow{"advanced.target_redis_max_qps", "300000", Carry::text, "limits.target_ops_per_s"},
    ShakeRow{"advanced.target_redis_client_max_querybuf_len", "", Carry::not_needed, "",
             "what is unanswered is bounded by limits.memory_max_bytes"},
    ShakeRow{"advanced.target_redis_proto_max_bulk_len", "", Carry::not_needed, "",
             "values above snapshot.restore_max_bytes, or that the target cannot read as they are, "
             "go element by element"},
    ShakeRow{"advanced.aws_psync", "", Carry::psync, "source.psync_command"},
    ShakeRow{"advanced.empty_db_before_sync", "false", Carry::words, "target.before",
             "true=flush false=keep"},
    ShakeRow{"module.target_mbbloom_version", "", Carry::not_needed, "",
             "module values travel as they are"},
};

// What describes an end, and is put together into an address.
inline constexpr std::array shake_end_keys = {"cluster",  "address",    "username", "password",
                                              "tls",      "tls_config", "sentinel", "master",
                                              "filepath", "ksn"};

}  // namespace keyferry
