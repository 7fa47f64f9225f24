// The one command that comes while something stands in its way, with nothing behind it that would
// set things going again: it must arrive all the same.
#include "e2e/link.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

constexpr Millis arrival_max{8000};
constexpr Millis trouble_lasts{300};

template <class Target>
testing::AssertionResult arrives(const RedisServer& source, const Target& target, Keyferry& link) {
  const auto end = std::chrono::steady_clock::now() + arrival_max;
  std::string difference;
  do {
    difference = describe(compare(source, target));
    if (difference.empty()) return testing::AssertionSuccess();
    std::this_thread::sleep_for(Millis{10});
  } while (std::chrono::steady_clock::now() < end);
  return testing::AssertionFailure() << difference << link.output();
}

// One that may be repeated; and where nothing is, one that may not, and several in one.
std::vector<std::string> kinds_of(const std::string& delivery) {
  if (delivery == "exactly_once") return {"absolute", "relative", "group"};
  return {"absolute"};
}

void send(const RedisServer& source, const std::string& kind, const std::string& tag) {
  RespClient client = source.client();
  if (kind == "absolute") {
    client.must({"SET", "{" + tag + "}absolute", tag});
  } else if (kind == "relative") {
    client.must({"INCR", "{" + tag + "}relative"});
  } else {
    client.must({"MULTI"});
    client.must({"SET", "{" + tag + "}absolute", "in a group"});
    client.must({"INCR", "{" + tag + "}relative"});
    client.must({"EXEC"});
  }
}

void refuse_memory(const RedisServer& node, bool refuses) {
  node.command({"CONFIG", "SET", "maxmemory", refuses ? "1" : "0"});
}

void kill_clients(const RedisServer& node) {
  node.command({"CLIENT", "KILL", "TYPE", "normal"});
}

class LastCommandCluster : public testing::TestWithParam<std::string> {
 protected:
  LastCommandCluster() {
    link_.run(source_.uri(), target_.uri(), {"--set", "delivery.mode=" + GetParam()});
    wait_streaming(link_);
  }

  // `before` it is sent, `after` it has waited for a while; both know the slot.
  void play(const std::string& name, const std::function<void(int slot)>& before,
            const std::function<void(int slot)>& after = {}) {
    for (const std::string& kind : kinds_of(GetParam())) {
      const std::string tag = name + ":" + kind;
      const int slot = key_slot("{" + tag + "}");
      before(slot);
      send(source_, kind, tag);
      if (after) {
        std::this_thread::sleep_for(trouble_lasts);
        after(slot);
      }
      EXPECT_TRUE(arrives(source_, target_, link_)) << tag;
    }
  }

  std::size_t next_owner(int slot) const { return (target_.owner(slot) + 1) % target_.size(); }
  RedisServer& owner(int slot) { return target_.node(target_.owner(slot)); }

  RedisServer source_ = source_server();
  RedisCluster target_;
  Keyferry link_{KEYFERRY_BINARY};
};

TEST_P(LastCommandCluster, ArrivesInASlotThatHasMoved) {
  play("moved", [&](int slot) { target_.move_slot(slot, next_owner(slot)); });
  play("and back", [&](int slot) {
    target_.move_slot(slot, next_owner(slot));
    target_.move_slot(slot, next_owner(slot));
  });
}

TEST_P(LastCommandCluster, ArrivesInASlotThatIsHalfMoved) {
  std::size_t to = 0;
  play(
      "half moved", [&](int slot) { target_.begin_move(slot, to = next_owner(slot)); },
      [&](int slot) {
        target_.migrate_keys(slot, to);
        target_.finish_move(slot, to);
      });
}

TEST_P(LastCommandCluster, ArrivesWhenItsNodeTakesCommandsAgain) {
  play(
      "no memory", [&](int slot) { refuse_memory(owner(slot), true); },
      [&](int slot) { refuse_memory(owner(slot), false); });
  std::size_t stopped = 0;
  const auto stop = [&](int slot) { target_.node(stopped = target_.owner(slot)).sigstop(); };
  play("stopped", stop, [&](int) { target_.node(stopped).sigcont(); });
  play("connections lost", [&](int slot) { kill_clients(owner(slot)); });
  play(
      "connections lost meanwhile",
      [&](int slot) {
        owner(slot).command({"CLIENT", "PAUSE", "600", "WRITE"});
      },
      [&](int slot) { kill_clients(owner(slot)); });
}

INSTANTIATE_TEST_SUITE_P(Each, LastCommandCluster, testing::Values("exactly_once", "at_least_once"),
                         [](const auto& of) { return of.param; });

class LastCommandStandalone : public testing::TestWithParam<std::string> {};

TEST_P(LastCommandStandalone, ArrivesWhenTheTargetTakesCommandsAgain) {
  RedisServer source = source_server();
  RedisServer target;
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--set", "delivery.mode=" + GetParam()});
  wait_streaming(link);
  const auto play = [&](const std::string& name, const std::function<void()>& before,
                        const std::function<void()>& after) {
    for (const std::string& kind : kinds_of(GetParam())) {
      before();
      send(source, kind, name);
      std::this_thread::sleep_for(trouble_lasts);
      after();
      EXPECT_TRUE(arrives(source, target, link)) << name << ", " << kind;
    }
  };

  play(
      "no memory", [&] { refuse_memory(target, true); }, [&] { refuse_memory(target, false); });
  play(
      "stopped", [&] { target.sigstop(); }, [&] { target.sigcont(); });
  play(
      "connections lost", [&] { kill_clients(target); }, [] {});
  play(
      "connections lost meanwhile",
      [&] {
        target.command({"CLIENT", "PAUSE", "600", "WRITE"});
      },
      [&] { kill_clients(target); });
}

INSTANTIATE_TEST_SUITE_P(Each, LastCommandStandalone,
                         testing::Values("exactly_once", "at_least_once"),
                         [](const auto& of) { return of.param; });

}  // namespace
}  // namespace keyferry::test
