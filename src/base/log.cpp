#include "keyferry/base/log.hpp"

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
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

// The line at the bottom of the terminal; log lines and the live line take turns.
std::mutex terminal_mutex;
std::string live_line;

void write_stderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
}

// Standard error; a live line is taken away before a log line and put back after it.
class StderrSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::lock_guard lock(terminal_mutex);
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    std::string out;
    if (!live_line.empty()) out = "\r\x1b[K";
    out.append(text.data(), text.size());
    write_stderr(out + live_line);
  }
  void flush_() override { std::fflush(stderr); }
};

}  // namespace

bool open_log(LogLevel level, std::string_view format, std::string_view file) {
  std::shared_ptr<spdlog::logger> logger;
  try {
    if (file.empty()) {
      logger = std::make_shared<spdlog::logger>("keyferry", std::make_shared<StderrSink>());
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

void show_live_line(std::string_view line) {
  const std::lock_guard lock(terminal_mutex);
  live_line = line;
  write_stderr("\r\x1b[K" + live_line);
  std::fflush(stderr);
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
