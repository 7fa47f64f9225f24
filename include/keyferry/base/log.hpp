// Log lines: a fixed message, then key=value pairs; one line per event. info = phase changes and
// decisions, warn = recovered, error = needs a person, debug = per batch at most. spdlog stays
// hidden in log.cpp. Any thread may log.
#pragma once

#include <string_view>

#include <fmt/core.h>

namespace keyferry {

enum class LogLevel { debug, info, warn, error };

// Sets where lines go and from which level on. format: "text" or "json"; file: a path, or "" for
// standard error. Returns false when the file cannot be opened.
bool open_log(LogLevel level, std::string_view format, std::string_view file);

// Keeps one line at the bottom of the terminal on standard error: log lines go above it, the next
// call replaces it, "" removes it. Only for terminals.
void show_live_line(std::string_view line);

bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view line);

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::debug, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::info, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::warn, format, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log(LogLevel::error, format, std::forward<Args>(args)...);
}

}  // namespace keyferry
