# Proof that the tests of exactly-once can fail: keyferry with one protection taken out, and a test that must find it.
#   keyferry_mutant(<name> TEST <gtest filter> EDITS <source> <text> <instead> [...])
# A mutant is the program linked with its own copy of the edited sources. Configuring fails when a text is not there any more.
# No text may hold a semicolon.
function(keyferry_mutant name)
  cmake_parse_arguments(ARG "" "TEST" "EDITS" ${ARGN})
  set(sources ${PROJECT_SOURCE_DIR}/src/main.cpp)
  while(ARG_EDITS)
    list(POP_FRONT ARG_EDITS source text instead)
    set(original ${PROJECT_SOURCE_DIR}/src/${source})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${original})
    get_filename_component(file ${source} NAME)
    set(edited ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}/${file})
    if(edited IN_LIST sources)
      file(READ ${edited} content)
    else()
      file(READ ${original} content)
      list(APPEND sources ${edited})
    endif()
    string(FIND "${content}" "${text}" at)
    if(at EQUAL -1)
      message(FATAL_ERROR "mutant ${name}: '${text}' is not in ${original}")
    endif()
    string(REPLACE "${text}" "${instead}" content "${content}")
    file(CONFIGURE OUTPUT ${edited} CONTENT "${content}" @ONLY)
  endwhile()
  add_executable(keyferry_without_${name} ${sources})
  target_link_libraries(keyferry_without_${name} PRIVATE keyferry_cli)
  add_test(NAME mutant_without_${name} COMMAND test_e2e --gtest_filter=${ARG_TEST})
  set_tests_properties(mutant_without_${name} PROPERTIES
    LABELS e2e TIMEOUT 180
    ENVIRONMENT "KEYFERRY_TEST_BINARY=$<TARGET_FILE:keyferry_without_${name}>"
    PASS_REGULAR_EXPRESSION "1 FAILED TEST")
endfunction()

keyferry_mutant(skip
  TEST ExactlyOnce.LostRepliesRepeatNothing
  EDITS sink/serial_lane.cpp "if (unit.end > found->offset)" "if (unit.end > 0)")
keyferry_mutant(transaction  # the record of one transaction is written with the next
  TEST ExactlyOnce.KillNineLosesAndRepeatsNothing
  EDITS sink/serial_gather.cpp "record.offset = open_.end" "static_cast<void>(0)")
keyferry_mutant(fence
  TEST ExactlyOnce.BytesOfADeadInstanceThatArriveLateDoNothing
  EDITS sink/serial_gather.cpp "make_command({\"WATCH\", claim_.keys().fence})"
                               "make_command({\"WATCH\", claim_.keys().fence + \"x\"})"
        sink/claim.cpp "error = co_await kill_predecessors()" "static_cast<void>(0)")
keyferry_mutant(guards  # nothing stops a transaction behind one that was refused
  TEST ExactlyOnce.MemoryThatFlickersInACatchUpRepeatsNothing
  EDITS sink/guard_ring.cpp "{\"HSETNX\", fence, ran(at), \"1\"}" "{\"HGET\", fence, ran(at)}"
        sink/guard_ring.cpp "{\"HDEL\", fence, due(at)}" "{\"HGET\", fence, due(at)}")

# The same three protections on a cluster, where each slot has its own record and nothing is watched.
keyferry_mutant(cluster_skip
  TEST ExactlyOnceCluster.LostRepliesRepeatNothing
  EDITS sink/cluster_records.cpp "if (took_place) settle_doubt(slot, found)" "static_cast<void>(took_place)")
keyferry_mutant(cluster_transaction
  TEST ExactlyOnceCluster.KillNineLosesAndRepeatsNothing
  EDITS sink/node_gather.cpp "append_record_command(record_, slot, state.transaction_end)"
                             "append_record_command(record_, slot, state.recorded)")
keyferry_mutant(cluster_fence
  TEST ExactlyOnceCluster.BytesOfADeadInstanceThatArriveLateDoNothing
  EDITS sink/claim.cpp "error = co_await kill_others_at(nodes, masters[i])" "static_cast<void>(0)")
