#include "support/keyferry.hpp"

#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "support/resp_client.hpp"

namespace keyferry::test {

HttpResponse http_request(std::uint16_t port, const std::string& method, const std::string& path,
                          const std::string& body, Millis limit) {
  RespClient connection("127.0.0.1", port, limit);
  connection.append_raw(method + " " + path +
                        " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" +
                        "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  connection.flush();
  std::string text;
  for (std::string piece = connection.read_raw(65536); !piece.empty();
       piece = connection.read_raw(65536)) {
    text += piece;
  }
  const auto end = text.find("\r\n\r\n");
  if (text.rfind("HTTP/1.", 0) != 0 || end == std::string::npos) {
    throw std::runtime_error("no HTTP answer to " + method + " " + path + ": " +
                             text.substr(0, 200));
  }
  return {std::atoi(text.c_str() + 9), text.substr(0, end), text.substr(end + 4)};
}

// Of JSON's forms only what a status holds is needed, and each of it is YAML.
std::string json_field(const std::string& json, const std::string& path) {
  try {
    YAML::Node node = YAML::Load(json);
    std::istringstream names(path);
    for (std::string name; std::getline(names, name, '.');) {
      const YAML::Node child =
          node.IsSequence() ? node[static_cast<std::size_t>(std::atoi(name.c_str()))] : node[name];
      if (!child.IsDefined()) return "";
      node.reset(child);
    }
    if (node.IsNull()) return "null";
    return node.IsScalar() ? node.Scalar() : YAML::Dump(node);
  } catch (const YAML::Exception&) {
    return "";
  }
}

Keyferry::Keyferry(std::string binary) : binary_(std::move(binary)) {
  if (const char* other = std::getenv("KEYFERRY_TEST_BINARY")) binary_ = other;
}

void Keyferry::run(const std::string& source, const std::string& target,
                   const std::vector<std::string>& more) {
  std::vector<std::string> args = {"run",
                                   "--source",
                                   source,
                                   "--target",
                                   target,
                                   "--http",
                                   "127.0.0.1:" + std::to_string(http_port_),
                                   "--set",
                                   "admin.resp_listen=127.0.0.1:" + std::to_string(resp_port_),
                                   "--set",
                                   "spool.dir=" + spool_dir()};
  args.insert(args.end(), more.begin(), more.end());
  start(args);
}

void Keyferry::start(const std::vector<std::string>& args) {
  if (is_running()) throw std::runtime_error("keyferry is still running");
  ProcessOptions how;
  how.args = {binary_};
  how.args.insert(how.args.end(), args.begin(), args.end());
  how.env = env_;
  how.output_file = directory_.file("output");
  how.directory = directory_.path();
  process_ = Process(how);
}

std::string Keyferry::status(const std::string& path) const {
  try {
    return json_field(http_get("/status").body, path);
  } catch (const std::runtime_error&) {
    return "";
  }
}

bool Keyferry::wait_until(const std::function<bool(const std::string&)>& done, Millis limit) {
  bool reached = false;
  wait_for(limit, [&] {
    if (!is_running()) return true;
    try {
      reached = done(http_get("/status").body);
    } catch (const std::runtime_error&) {
      // not listening yet
    }
    return reached;
  });
  return reached;
}

bool Keyferry::wait_status(const std::string& path, const std::string& value, Millis limit) {
  return wait_until([&](const std::string& json) { return json_field(json, path) == value; },
                    limit);
}

}  // namespace keyferry::test
