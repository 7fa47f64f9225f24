# Runs every scenario of bench/e2e very small and looks at its JSON, so that the bench does not rot.
#   cmake -DE2E=<program> -P e2e_smoke.cmake
foreach(scenario IN ITEMS snapshot stream lag verify)
  execute_process(
    COMMAND ${E2E} --scenario ${scenario} --keys 20000 --ops 20000 --samples 100 --repeats 1 --json
    OUTPUT_VARIABLE json RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${scenario}: exit code ${code}")
  endif()
  set(cpu cpu_us_op)
  set(figures wall)
  if(scenario STREQUAL "snapshot" OR scenario STREQUAL "verify")
    set(cpu cpu_us_key)
  elseif(scenario STREQUAL "lag")
    set(figures p50_ms p99_ms)
  endif()
  foreach(competitor IN ITEMS keyferry native)
    foreach(field IN ITEMS wall ${cpu} rss_mb disk_mb p50_ms p99_ms)
      string(JSON value GET "${json}" ${competitor} ${field})  # fails when it is not there
    endforeach()
    foreach(field IN LISTS figures ITEMS rss_mb)
      string(JSON value GET "${json}" ${competitor} ${field})
      if(NOT value GREATER 0)
        message(FATAL_ERROR "${scenario}: ${competitor}.${field} is '${value}' in ${json}")
      endif()
    endforeach()
  endforeach()
endforeach()

execute_process(COMMAND ${E2E} --mode scan --keys 20000 --repeats 1 OUTPUT_VARIABLE table RESULT_VARIABLE code)
if(NOT code EQUAL 0 OR NOT table MATCHES "keys/s: keyferry [1-9]")
  message(FATAL_ERROR "scan: exit code ${code}: ${table}")
endif()
