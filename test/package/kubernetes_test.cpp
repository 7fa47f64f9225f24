// config/kubernetes: every document parses, carries the fields a cluster needs of it, and holds a
// configuration that the program takes. (That a cluster accepts them is not tested: there is none
// here.)
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "keyferry/config/options.hpp"

namespace keyferry {
namespace {

const std::string folder = KEYFERRY_SOURCE_DIR "/config/kubernetes/";

std::vector<YAML::Node> documents(const std::string& name) {
  return YAML::LoadAllFromFile(folder + name);
}

YAML::Node of_kind(const std::string& name, const std::string& kind) {
  for (const YAML::Node& one : documents(name)) {
    if (one["kind"].Scalar() == kind) return one;
  }
  ADD_FAILURE() << name << " holds no " << kind;
  return YAML::Node();
}

// The scalar at a dotted path; "" when something on the way is missing.
std::string at(const YAML::Node& node, const std::string& path) {
  YAML::Node here = node;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    if (!here.IsMap()) return "";
    const YAML::Node below = here[path.substr(begin, end - begin)];
    if (!below.IsDefined()) return "";
    here.reset(below);
    begin = end + 1;
  }
  return here.IsScalar() ? here.Scalar() : here.size() > 0 ? "(a list or map)" : "";
}

YAML::Node named(const YAML::Node& list, const std::string& name) {
  for (const YAML::Node& one : list) {
    if (at(one, "name") == name) return one;
  }
  ADD_FAILURE() << "no " << name;
  return YAML::Node();
}

bool has(const YAML::Node& list, const std::string& value) {
  return std::any_of(list.begin(), list.end(),
                     [&](const YAML::Node& one) { return one.Scalar() == value; });
}

// The configuration of the file's ConfigMap, with secrets that exist.
Options configuration(const std::string& name) {
  std::string text = of_kind(name, "ConfigMap")["data"]["keyferry.yaml"].Scalar();
  const std::string secret = testing::TempDir() + "keyferry_kubernetes_test_secret";
  const std::string file = testing::TempDir() + "keyferry_kubernetes_test.yaml";
  std::ofstream(secret) << "sesame\n";
  const std::string mounted = "/etc/keyferry/secrets/";
  for (std::size_t found = 0; (found = text.find(mounted)) != text.npos;)
    text.replace(found, text.find('\n', found) - found, secret);
  std::ofstream(file) << text;
  CommandLine line;
  line.config_file = file;
  const Result<Options> options = load_options(line, {});
  EXPECT_TRUE(options) << name << ": " << options.error().what;
  std::remove(secret.c_str());
  std::remove(file.c_str());
  return options ? *options : Options();
}

// What every pod of ours must carry, wherever it comes from.
void check_pod(const YAML::Node& pod, const YAML::Node& container) {
  EXPECT_EQ(at(pod, "securityContext.runAsNonRoot"), "true");
  EXPECT_EQ(at(pod, "securityContext.runAsUser"), "10001") << "the user of the Dockerfile";
  EXPECT_EQ(at(pod, "securityContext.fsGroup"), "10001") << "or the secrets cannot be read";
  EXPECT_EQ(at(pod, "securityContext.seccompProfile.type"), "RuntimeDefault");
  EXPECT_EQ(at(pod, "automountServiceAccountToken"), "false");
  EXPECT_GT(std::stoi("0" + at(pod, "terminationGracePeriodSeconds")), 30)
      << "stop.shutdown_grace_s";

  EXPECT_EQ(at(container, "securityContext.readOnlyRootFilesystem"), "true");
  EXPECT_EQ(at(container, "securityContext.allowPrivilegeEscalation"), "false");
  EXPECT_TRUE(has(container["securityContext"]["capabilities"]["drop"], "ALL"));
  EXPECT_EQ(at(container, "livenessProbe.httpGet.path"), "/livez");
  EXPECT_NE(at(container, "resources.requests.cpu"), "");
  EXPECT_NE(at(container, "resources.requests.memory"), "");
  EXPECT_NE(at(container, "resources.limits.memory"), "");
  EXPECT_EQ(at(named(container["ports"], "http"), "containerPort"), "8484");
  EXPECT_TRUE(has(container["args"], "run"));
  for (const char* volume : {"config", "secrets", "work"}) {
    EXPECT_NE(at(named(container["volumeMounts"], volume), "mountPath"), "");
  }
  EXPECT_EQ(at(named(container["volumeMounts"], "work"), "mountPath"), "/var/lib/keyferry");
}

void check_configuration(const Options& options, const YAML::Node& container) {
  EXPECT_EQ(options.http_listen, "0.0.0.0:8484") << "the probes come from outside of the pod";
  EXPECT_EQ(options.http_token, "sesame");
  EXPECT_TRUE(options.spool_dir.starts_with("/var/lib/keyferry/")) << "the root is read-only";
  EXPECT_TRUE(options.errors_dead_letter_file.starts_with("/var/lib/keyferry/"));
  EXPECT_EQ(options.log_format, "json");
  const std::string memory = at(container, "resources.limits.memory");
  const std::int64_t mebibyte = 1024 * 1024;
  ASSERT_TRUE(memory.ends_with("Mi")) << memory;
  EXPECT_GE(std::stoll(memory) * mebibyte, options.limits_memory_max_bytes + 64 * mebibyte);
}

TEST(MigrationJob, CarriesWhatAPodNeeds) {
  const YAML::Node job = of_kind("migration-job.yaml", "Job");
  const YAML::Node pod = job["spec"]["template"]["spec"];
  const YAML::Node container = named(pod["containers"], "keyferry");

  check_pod(pod, container);
  check_configuration(configuration("migration-job.yaml"), container);
  EXPECT_EQ(at(container, "readinessProbe.httpGet.path"), "/readyz");
  EXPECT_EQ(configuration("migration-job.yaml").stop_when, StopWhen::lag_zero)
      << "a Job has to end";
}

TEST(MigrationJob, FailsAtOnceWhereAPersonIsNeeded) {
  const YAML::Node spec = of_kind("migration-job.yaml", "Job")["spec"];
  const YAML::Node rule = spec["podFailurePolicy"]["rules"][0];

  EXPECT_EQ(at(spec, "template.spec.restartPolicy"), "Never") << "podFailurePolicy wants it";
  EXPECT_EQ(at(rule, "action"), "FailJob");
  for (const char* code : {"1", "2", "4"})
    EXPECT_TRUE(has(rule["onExitCodes"]["values"], code)) << code;
  EXPECT_FALSE(has(rule["onExitCodes"]["values"], "3")) << "an end that could not be reached";
}

TEST(ShardsJob, CarriesWhatAPodNeeds) {
  const YAML::Node job = of_kind("shards-job.yaml", "Job");
  const YAML::Node pod = job["spec"]["template"]["spec"];
  const YAML::Node container = named(pod["containers"], "keyferry");

  check_pod(pod, container);
  check_configuration(configuration("shards-job.yaml"), container);
  EXPECT_EQ(configuration("shards-job.yaml").stop_when, StopWhen::lag_zero) << "a Job has to end";
}

// Every slot belongs to a pod: as many of them as the number behind the slash.
TEST(ShardsJob, GivesEachPodItsShareOfTheSlots) {
  const YAML::Node job = of_kind("shards-job.yaml", "Job");
  const YAML::Node env = named(job["spec"]["template"]["spec"]["containers"], "keyferry")["env"];
  const std::string shards = at(named(env, "KEYFERRY_SOURCE_SHARDS"), "value");

  EXPECT_EQ(at(job, "spec.completionMode"), "Indexed");
  EXPECT_EQ(at(job, "spec.parallelism"), at(job, "spec.completions")) << "or a share waits";
  EXPECT_EQ(shards, "$(JOB_COMPLETION_INDEX)/" + at(job, "spec.completions"));
  EXPECT_EQ(at(env[0], "name"), "JOB_COMPLETION_INDEX") << "named before it is referred to";
  EXPECT_EQ(at(env[0], "valueFrom.fieldRef.fieldPath"),
            "metadata.annotations['batch.kubernetes.io/job-completion-index']");
  EXPECT_TRUE(parse_shard("2/" + at(job, "spec.completions")));
}

TEST(LinkStatefulSet, CarriesWhatAPodNeeds) {
  const YAML::Node pod =
      of_kind("link-statefulset.yaml", "StatefulSet")["spec"]["template"]["spec"];
  const YAML::Node container = named(pod["containers"], "keyferry");
  // The work folder is a claim.
  const YAML::Node claim =
      of_kind("link-statefulset.yaml", "StatefulSet")["spec"]["volumeClaimTemplates"][0];

  check_pod(pod, container);
  check_configuration(configuration("link-statefulset.yaml"), container);
  EXPECT_EQ(at(container, "readinessProbe.httpGet.path"), "/readyz");
  EXPECT_EQ(at(claim, "metadata.name"), "work");
  EXPECT_EQ(configuration("link-statefulset.yaml").stop_when, StopWhen::never);
}

TEST(LinkStatefulSet, HasAStandbyThatTheLeaseHoldsBack) {
  const YAML::Node spec = of_kind("link-statefulset.yaml", "StatefulSet")["spec"];
  const Options options = configuration("link-statefulset.yaml");

  EXPECT_EQ(at(spec, "replicas"), "2");
  EXPECT_EQ(at(spec, "podManagementPolicy"), "Parallel") << "the standby is never ready";
  EXPECT_TRUE(has(named(spec["template"]["spec"]["containers"], "keyferry")["args"], "--standby"));
  EXPECT_EQ(options.delivery_mode, Delivery::exactly_once) << "at_least_once has no lease";
  EXPECT_FALSE(options.delivery_link.empty());
}

TEST(LinkStatefulSet, IsFoundByItsServiceAndItsMonitor) {
  const std::string name = "link-statefulset.yaml";
  const YAML::Node set = of_kind(name, "StatefulSet");
  const YAML::Node labels = set["spec"]["template"]["metadata"]["labels"];
  const YAML::Node monitor = of_kind(name, "PodMonitor")["spec"];
  for (const YAML::Node& selector :
       {of_kind(name, "Service")["spec"]["selector"], set["spec"]["selector"]["matchLabels"],
        monitor["selector"]["matchLabels"],
        of_kind(name, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]}) {
    ASSERT_EQ(selector.size(), 2U);
    for (const auto& pair : selector)
      EXPECT_EQ(pair.second.Scalar(), labels[pair.first.Scalar()].Scalar());
  }
  EXPECT_EQ(at(set, "spec.serviceName"), at(of_kind(name, "Service"), "metadata.name"));
  EXPECT_EQ(at(monitor["podMetricsEndpoints"][0], "port"), "http");
  EXPECT_EQ(at(monitor["podMetricsEndpoints"][0], "path"), "/metrics");
}

TEST(Sidecar, IsANativeOneThatStaysWhenItIsDone) {
  const YAML::Node pod = of_kind("sidecar.yaml", "Pod")["spec"];
  const YAML::Node container = named(pod["initContainers"], "keyferry");
  const Options options = configuration("sidecar.yaml");

  check_pod(pod, container);
  check_configuration(options, container);
  EXPECT_EQ(at(container, "restartPolicy"), "Always");
  EXPECT_EQ(at(container, "startupProbe"), "") << "Redis starts only after it";
  EXPECT_EQ(options.stop_then, StopThen::idle);
  EXPECT_EQ(options.target.uri.hosts.at(0).host, "127.0.0.1");
}

}  // namespace
}  // namespace keyferry
