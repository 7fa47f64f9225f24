// What a link's status says about its target; the same for every kind of source.
#pragma once

#include "keyferry/pipeline/status.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

void describe_sink(const RedisSink& sink, Status& status);

// "host:port", the path of a unix socket, or the name of a master that Sentinels know.
std::string shown_host(const Uri& uri);

}  // namespace keyferry
