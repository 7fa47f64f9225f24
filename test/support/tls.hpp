// Certificates for tests: an authority of its own, certificates that it signed, made with the
// openssl program in a temporary folder. Files are PEM.
#pragma once

#include <string>
#include <vector>

#include "support/process.hpp"

namespace keyferry::test {

class Certificates {
 public:
  Certificates();

  std::string ca() const { return directory_.file("ca.pem"); }
  std::string cert(const std::string& name) const { return directory_.file(name + ".pem"); }
  std::string key(const std::string& name) const { return directory_.file(name + ".key"); }

  // Makes `name`.pem and `name`.key. alt_names as OpenSSL writes them:
  // "DNS:localhost,IP:127.0.0.1". A key password encrypts the key.
  void issue(const std::string& name, const std::string& alt_names,
             const std::string& key_password = "");

  // redis-server arguments for a TLS port beside the plain one, with the certificate `name`.
  std::vector<std::string> server_args(const std::string& name, std::uint16_t tls_port,
                                       bool auth_clients = false) const;

 private:
  void openssl(const std::vector<std::string>& args) const;

  TempDir directory_;
};

}  // namespace keyferry::test
