#include "support/tls.hpp"

#include <stdexcept>

namespace keyferry::test {

Certificates::Certificates() {
  openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
           "-days", "2", "-subj", "/CN=keyferry test authority", "-keyout", key("ca"), "-out",
           ca()});
}

void Certificates::issue(const std::string& name, const std::string& alt_names,
                         const std::string& key_password) {
  const std::string request = directory_.file(name + ".csr");
  const std::string extensions = directory_.file(name + ".ext");
  write_file(extensions, "subjectAltName=" + alt_names + "\n");
  std::vector<std::string> args = {
      "req",     "-newkey", "ec",   "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=" + name,
      "-keyout", key(name), "-out", request};
  if (key_password.empty()) {
    args.push_back("-nodes");
  } else {
    args.insert(args.end(), {"-passout", "pass:" + key_password});
  }
  openssl(args);
  openssl({"x509", "-req", "-in", request, "-CA", ca(), "-CAkey", key("ca"), "-CAcreateserial",
           "-days", "2", "-extfile", extensions, "-out", cert(name)});
}

std::vector<std::string> Certificates::server_args(const std::string& name, std::uint16_t tls_port,
                                                   bool auth_clients) const {
  return {"--tls-port",         std::to_string(tls_port),
          "--tls-cert-file",    cert(name),
          "--tls-key-file",     key(name),
          "--tls-ca-cert-file", ca(),
          "--tls-auth-clients", auth_clients ? "yes" : "no"};
}

void Certificates::openssl(const std::vector<std::string>& args) const {
  ProcessOptions how;
  how.args = {"openssl"};
  how.args.insert(how.args.end(), args.begin(), args.end());
  how.output_file = directory_.file("output");
  Process process(how);
  if (process.wait(Millis{20000}) != 0) {
    throw std::runtime_error("openssl " + args.front() + ": " + tail_of(how.output_file, 5));
  }
}

}  // namespace keyferry::test
