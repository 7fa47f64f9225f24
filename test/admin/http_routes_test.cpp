#include "keyferry/admin/http_routes.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

constexpr std::int64_t started_ms = 1'000'000;

struct Site {
  StatusBoard board;
  std::vector<ControlVerb> verbs;
  bool accepts = true;
  HttpRoutes routes{board, 1000,
                    [this](ControlVerb verb) {
                      verbs.push_back(verb);
                      return accepts;
                    },
                    started_ms};

  HttpReply get(const std::string& target, std::int64_t now_ms = started_ms) const {
    return routes.answer({"GET", target, "", "", ""}, now_ms);
  }
  HttpReply post(const std::string& target) const {
    return routes.answer({"POST", target, "", "", ""}, started_ms);
  }
  void publish(Status status) { board.publish(std::make_shared<const Status>(std::move(status))); }
};

Status steady(std::int64_t lag_bytes) {
  Status status;
  status.phase = Phase::steady;
  status.lag_bytes = lag_bytes;
  status.published_ms = started_ms;
  return status;
}

TEST(HttpRoutes, ServeThePageUnderAStrictPolicy) {
  const HttpReply reply = Site().get("/");

  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(reply.body.starts_with("<!doctype html>"));
  EXPECT_TRUE(reply.body.ends_with("</html>\n"));
  EXPECT_NE(reply.policy.find("default-src 'none'; script-src 'sha256-"), std::string::npos);
  EXPECT_EQ(reply.policy.find("unsafe"), std::string::npos);
}

// Whatever the page would load from elsewhere is missing where there is no network.
TEST(HttpRoutes, ServeAPageThatNeedsNothingElse) {
  const std::string page = Site().get("/").body;

  std::size_t addresses = 0;
  for (std::size_t at = 0; (at = page.find("://", at)) != page.npos; ++at)
    ++addresses;
  EXPECT_EQ(addresses, 2U) << "only the two names of the SVG namespace";
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("innerHTML"), std::string::npos);
}

TEST(HttpRoutes, MakeEventsOfTheStatus) {
  const HttpReply reply = Site().get("/events");

  EXPECT_EQ(reply.content_type, "text/event-stream");
  EXPECT_EQ(reply.events_of, "/status");
}

TEST(HttpRoutes, TakeVerbsFromPagesBehindAProxyWithTls) {
  Site site;

  const HttpReply reply =
      site.routes.answer({"POST", "/drain", "127.0.0.1", "https://127.0.0.1", ""}, started_ms);

  EXPECT_EQ(reply.status, 202U);
}

TEST(HttpRoutes, RefuseVerbsUnderANameThatSomebodyElseMayHaveMade) {
  for (const char* host : {"evil.example:8484", "1.2.3.4.evil.example", "localhost.evil.example"}) {
    Site site;

    const HttpReply reply =
        site.routes.answer({"POST", "/drain", host, std::string("http://") + host, ""}, started_ms);

    EXPECT_EQ(reply.status, 403U) << host;
    EXPECT_TRUE(site.verbs.empty()) << host;
  }
  for (const char* host : {"localhost:8484", "127.0.0.1:8484", "[::1]:8484", "10.0.0.7", ""}) {
    Site site;

    EXPECT_EQ(site.routes.answer({"POST", "/drain", host, "", ""}, started_ms).status, 202U)
        << host;
  }
}

TEST(HttpRoutes, AnswerStatusInJson) {
  Site site;
  const HttpReply reply = site.get("/status");

  EXPECT_EQ(reply.status, 200U);
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_TRUE(reply.body.starts_with("{\"version\":")) << reply.body;
}

TEST(HttpRoutes, AnswerMetricsInPrometheusText) {
  Site site;
  const HttpReply reply = site.get("/metrics?x=1");

  EXPECT_EQ(reply.status, 200U);
  EXPECT_TRUE(reply.content_type.starts_with("text/plain; version=0.0.4"));
  EXPECT_NE(reply.body.find("keyferry_build_info"), std::string::npos);
}

TEST(HttpRoutes, ChangeLimitsThatAreNamed) {
  Site site;
  RateChange change;
  site.routes.change_limits = [&](const RateChange& wanted) { change = wanted; };
  Status status = steady(0);
  status.limits.target_bytes_per_s = 7;
  site.publish(status);

  const HttpReply reply = site.post("/limits?target_ops_per_s=100&source_bytes_per_s=2KiB");

  EXPECT_EQ(reply.status, 202U);
  EXPECT_EQ(reply.body,
            "{\"target_ops_per_s\":100,\"target_bytes_per_s\":7,\"source_bytes_per_s\":2048}\n");
  EXPECT_EQ(change.target_ops_per_s, 100);
  EXPECT_EQ(change.target_bytes_per_s, std::nullopt);
  EXPECT_EQ(change.source_bytes_per_s, 2048);
}

TEST(HttpRoutes, RefuseLimitsThatAreNone) {
  Site site;
  int changes = 0;
  site.routes.change_limits = [&](const RateChange&) { ++changes; };
  site.publish(steady(0));

  for (const char* target : {"/limits", "/limits?target_ops_per_s", "/limits?target_ops_per_s=-1",
                             "/limits?target_ops_per_s=x", "/limits?ops=1"})
    EXPECT_EQ(site.post(target).status, 400U) << target;
  Status ended;
  ended.phase = Phase::stopped;
  site.publish(ended);
  EXPECT_EQ(site.post("/limits?target_ops_per_s=1").status, 409U);
  EXPECT_EQ(changes, 0);
}

TEST(HttpRoutes, HandACutoverToTheLink) {
  Site site;
  std::vector<CutoverRequest> asked;
  site.routes.cut_over = [&](const CutoverRequest& request) { asked.push_back(request); };
  site.publish(steady(0));

  EXPECT_EQ(site.post("/cutover").status, 202U);
  EXPECT_EQ(site.post("/cutover?pause_timeout_ms=2500&verify=sample").status, 202U);

  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].pause_timeout_ms, std::nullopt);
  EXPECT_FALSE(asked[0].verify_sample);
  EXPECT_EQ(asked[1].pause_timeout_ms, 2500);
  EXPECT_TRUE(asked[1].verify_sample);
}

TEST(HttpRoutes, RefuseACutoverThatIsNone) {
  Site site;
  int asked = 0;
  EXPECT_EQ(site.post("/cutover").status, 409U) << "nobody to hand it to";
  site.routes.cut_over = [&](const CutoverRequest&) { ++asked; };
  site.publish(steady(0));
  for (const char* target :
       {"/cutover?pause_timeout_ms=999", "/cutover?pause_timeout_ms=x", "/cutover?verify=all",
        "/cutover?verify", "/cutover?pause=1", "/cutover?verify=sample&x=1"})
    EXPECT_EQ(site.post(target).status, 400U) << target;
  Status running = steady(0);
  running.cutover.state = CutoverStatus::State::paused;
  site.publish(running);
  EXPECT_EQ(site.post("/cutover").status, 409U);
  Status scanned = steady(0);
  scanned.scan = ScanStatus();
  site.publish(scanned);
  EXPECT_EQ(site.post("/cutover").status, 409U);
  Status copying = steady(0);
  copying.phase = Phase::snapshot;
  site.publish(copying);
  EXPECT_EQ(site.post("/cutover").status, 409U);

  EXPECT_EQ(asked, 0);
}

TEST(HttpRoutes, StartAComparison) {
  Site site;
  std::optional<VerifyRequest> started;
  site.routes.start_verify = [&](const VerifyRequest& wanted) { started = wanted; };
  site.publish(steady(0));

  EXPECT_EQ(site.post("/verify?level=full&sample=1%25&repair").status, 202U);
  ASSERT_TRUE(started);
  EXPECT_EQ(started->level, VerifyLevel::full);
  EXPECT_EQ(started->part, 0.01);
  EXPECT_TRUE(started->repair);
  EXPECT_FALSE(started->repair_extra);
  EXPECT_EQ(site.post("/verify").status, 202U);
  EXPECT_EQ(started->level, std::nullopt);
}

TEST(HttpRoutes, RefuseComparisonsThatAreNoneOrComeTooMany) {
  Site site;
  int starts = 0;
  site.routes.start_verify = [&](const VerifyRequest&) { ++starts; };
  site.publish(steady(0));

  for (const char* target : {"/verify?level", "/verify?level=closely", "/verify?sample=0%25",
                             "/verify?sample=101%25", "/verify?repairs"})
    EXPECT_EQ(site.post(target).status, 400U) << target;
  Status status = steady(0);
  status.verify.running = true;
  site.publish(status);
  EXPECT_EQ(site.post("/verify").status, 409U);
  status.verify.running = false;
  status.scan.emplace();
  site.publish(status);
  EXPECT_EQ(site.post("/verify").status, 409U) << "a scanned source";
  status.scan.reset();
  status.phase = Phase::snapshot;
  site.publish(status);
  EXPECT_EQ(site.post("/verify").status, 409U);
  EXPECT_EQ(starts, 0);
}

TEST(HttpRoutes, RefuseUnknownPaths) {
  Site site;
  for (const char* path : {"/nothing", "", "//status", "/status/", "/Status", "*", "/events/"}) {
    EXPECT_EQ(site.get(path).status, 404U) << path;
  }
}

TEST(HttpRoutes, NameTheAllowedMethod) {
  Site site;
  const HttpReply posted = site.post("/status");
  const HttpReply got = site.get("/drain");

  EXPECT_EQ(posted.status, 405U);
  EXPECT_EQ(posted.allow, "GET");
  EXPECT_EQ(got.status, 405U);
  EXPECT_EQ(got.allow, "POST");
  EXPECT_TRUE(site.verbs.empty());
}

TEST(HttpRoutes, HandVerbsToTheLink) {
  Site site;
  const HttpReply drain = site.post("/drain");
  const HttpReply stop = site.post("/stop");

  EXPECT_EQ(drain.status, 202U);
  EXPECT_EQ(drain.body, "{\"phase\":\"draining\"}\n");
  EXPECT_EQ(stop.status, 202U);
  EXPECT_EQ(stop.body, "{\"phase\":\"stopped\"}\n");
  EXPECT_EQ(site.verbs, (std::vector{ControlVerb::drain, ControlVerb::stop}));
}

TEST(HttpRoutes, PauseAndResume) {
  Site site;
  EXPECT_EQ(site.post("/pause").body, "{\"phase\":\"paused\"}\n");
  Status paused;
  paused.phase = Phase::paused;
  site.publish(paused);
  EXPECT_EQ(site.post("/resume").body, "{\"phase\":\"catch_up\"}\n");
  EXPECT_EQ(site.verbs, (std::vector{ControlVerb::pause, ControlVerb::resume}));
}

TEST(HttpRoutes, AskForAFullSyncWhereTheLinkCanCopyAgain) {
  Site site;
  Status status = steady(0);
  status.can_resync = true;
  site.publish(status);

  const HttpReply reply = site.post("/resync");

  EXPECT_EQ(reply.status, 202U);
  EXPECT_EQ(reply.body, "{\"phase\":\"snapshot\"}\n");
  EXPECT_EQ(site.verbs, std::vector{ControlVerb::resync});
}

TEST(HttpRoutes, RefuseAFullSyncThatWouldLeaveOrEndTheLink) {
  Site site;
  site.publish(steady(0));
  EXPECT_EQ(site.post("/resync").status, 409U) << "the target held keys before";
  Status status = steady(0);
  status.can_resync = true;
  status.phase = Phase::snapshot;
  site.publish(status);
  EXPECT_EQ(site.post("/resync").status, 409U) << "one is under way";
  status.phase = Phase::steady;
  status.cutover.state = CutoverStatus::State::paused;
  site.publish(status);
  EXPECT_EQ(site.post("/resync").status, 409U) << "a cutover is under way";
  EXPECT_TRUE(site.verbs.empty());
}

TEST(HttpRoutes, ComparesTokensWhole) {
  Site site;
  const HttpRoutes routes(
      site.board, 1000, [](ControlVerb) { return true; }, started_ms, "sesame");
  for (const char* given : {"", "sesame", "Bearer ", "Bearer sesam", "Bearer sesamE",
                            "Basic sesame", "Bearer sesame1", "Bearer  sesame"}) {
    const HttpReply reply = routes.answer({"POST", "/stop", "", "", given}, started_ms);
    EXPECT_EQ(reply.status, 401U) << given;
    EXPECT_NE(reply.challenge, "");
  }
  EXPECT_EQ(routes.answer({"POST", "/stop", "", "", "Bearer sesame"}, started_ms).status, 202U);
  EXPECT_EQ(routes.answer({"GET", "/status", "", "", ""}, started_ms).status, 200U);
}

TEST(HttpRoutes, TellWhenTheLinkCannotTakeAVerb) {
  Site site;
  site.accepts = false;
  Status failed;
  failed.phase = Phase::failed;
  site.publish(failed);

  const HttpReply reply = site.post("/drain");

  EXPECT_EQ(reply.status, 409U);
  EXPECT_EQ(reply.body, "{\"phase\":\"failed\"}\n");
}

TEST(HttpRoutes, RefuseVerbsFromPagesOfOtherSites) {
  Site site;
  const HttpReply foreign = site.routes.answer(
      {"POST", "/stop", "127.0.0.1:8484", "http://evil.example", ""}, started_ms);
  const HttpReply own = site.routes.answer(
      {"POST", "/drain", "127.0.0.1:8484", "http://127.0.0.1:8484", ""}, started_ms);

  EXPECT_EQ(foreign.status, 403U);
  EXPECT_EQ(own.status, 202U);
  EXPECT_EQ(site.verbs, std::vector{ControlVerb::drain});
}

TEST(Livez, AllowsTenSecondsBeforeTheFirstStatus) {
  Site site;

  EXPECT_EQ(site.get("/livez", started_ms + 10'000).status, 200U);
  EXPECT_EQ(site.get("/livez", started_ms + 10'001).status, 503U);
}

TEST(Livez, FollowsThePublishedStatus) {
  Site site;
  Status status;
  status.published_ms = started_ms + 50'000;
  site.publish(status);

  EXPECT_EQ(site.get("/livez", started_ms + 60'000).status, 200U);
  EXPECT_EQ(site.get("/livez", started_ms + 60'001).status, 503U);
}

TEST(Livez, StaysWellWhenTheLinkHasStopped) {
  Site site;
  Status status;
  status.phase = Phase::stopped;
  status.published_ms = started_ms;
  site.publish(status);

  EXPECT_EQ(site.get("/livez", started_ms + 3'600'000).status, 200U);
}

TEST(Readyz, IsReadyUpToTheLagLimit) {
  Site site;
  site.publish(steady(1000));
  EXPECT_EQ(site.get("/readyz").status, 200U);

  site.publish(steady(1001));
  EXPECT_EQ(site.get("/readyz").status, 503U);
}

TEST(Readyz, IsNotReadyInOtherPhasesOrWithUnknownLag) {
  Site site;
  Status catching_up = steady(0);
  catching_up.phase = Phase::catch_up;
  site.publish(catching_up);
  EXPECT_EQ(site.get("/readyz").status, 503U);

  Status unknown = steady(0);
  unknown.lag_bytes.reset();
  site.publish(unknown);
  EXPECT_EQ(site.get("/readyz").status, 503U);
}

TEST(Readyz, DoesNotTrustAnOldStatus) {
  Site site;
  site.publish(steady(0));

  EXPECT_EQ(site.get("/readyz", started_ms + 10'001).status, 503U);
}

TEST(Readyz, SaysWhyNotWhenAsked) {
  Site site;
  Status status = steady(5000);
  status.phase = Phase::draining;
  site.publish(status);

  EXPECT_EQ(site.get("/readyz").body, "not ready\n");
  const std::string why =
      "not ready\nphase is draining, not steady\n"
      "lag is 5000 bytes, above http.ready_lag_bytes = 1000\n";
  EXPECT_EQ(site.get("/readyz?verbose").body, why);
  EXPECT_EQ(site.get("/readyz?a=b&verbose=1").body, why);
  EXPECT_EQ(site.get("/readyz?verboses").body, "not ready\n");
}

}  // namespace
}  // namespace keyferry
