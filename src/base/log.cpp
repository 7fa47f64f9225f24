#include "keyferry/base/log.hpp"

#include <memory>
#include <string>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "keyferry/base/bytes.hpp"

namespace keyferry {
namespace {

spdlog::level::level_enum spd_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

bool json_lines = false;

}  // namespace

bool open_log(LogLevel level, std::string_view format, std::string_view file) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    if (file.empty()) {
      logger = std::make_shared<spdlog::logger>("keyferry",
                                                std::make_shared<spdlog::sinks::stderr_sink_mt>());
    } else {
      logger = std::make_shared<spdlog::logger>(
          "keyferry", std::make_shared<spdlog::sinks::basic_file_sink_mt>(std::string(file)));
    }
  } catch (const spdlog::spdlog_ex&) {
    return false;
  }
  json_lines = format == "json";
  logger->set_pattern(json_lines
                          ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})"
                          : "%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->set_level(spd_level(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return true;
}

bool log_enabled(LogLevel level) {
  return spdlog::default_logger_raw()->should_log(spd_level(level));
}

void log_line(LogLevel level, std::string_view line) {
  // In JSON the line is a string literal, so quotes, backslashes and control bytes must be escaped.
  if (!json_lines) {
    spdlog::default_logger_raw()->log(spd_level(level), "{}", line);
    return;
  }
  std::string quoted;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '"' || byte == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20) {
      quoted += fmt::format("\\u{:04x}", byte);
    } else {
      quoted += c;
    }
  }
  spdlog::default_logger_raw()->log(spd_level(level), "{}", quoted);
}

}  // namespace keyferry
