# shardrift_add_test(NAME SOURCES a.cpp … [LIBRARIES x …] [RANKS 1 2 4] [LABELS l …] [FIXTURES f …] [TORCH]
#                    [PROCESS Suite.Case …])
# One call declares a GoogleTest program, the MPI rank counts it runs with and its labels.
# Without RANKS it is a plain test. With RANKS its sources see MPI (tests/mpi_main.cpp is main) and it is
# started once for each count, labelled ranks-N. TORCH: it links torch (tests/torch_main.cpp is main).
# PROCESS: patterns of the cases that need a process at a certain point. They are the test NAME.process, labelled process,
# and NAME is the others: scripts/test -L process --repeat 40 --loaded.
find_package(GTest REQUIRED)
include(GoogleTest)

# mpirun as this project's tests start it: more ranks than cores is normal, and waiting ranks must yield.
set(SHARDRIFT_MPI_ENVIRONMENT
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
  OMPI_MCA_btl_vader_single_copy_mechanism=none)

# Sets `variable` to the environment of the test of that name: each has a session directory of its own, since two mpirun that
# make and remove /tmp/ompi.HOST.UID at once end with "mkdir: File exists" (OpenMPI 4.1.4).
function(shardrift_mpi_environment variable name)
  set(${variable} ${SHARDRIFT_MPI_ENVIRONMENT} OMPI_MCA_orte_tmpdir_base=${PROJECT_BINARY_DIR}/mpi/${name} PARENT_SCOPE)
endfunction()

# Seconds after which a test hangs: no machine is so slow.
set(SHARDRIFT_LAST_LIMIT 1800)

# What every test reads, precompiled as for libraries (cmake/Library.cmake); a program's own, since programs are compiled with
# other flags (-fPIE).
add_executable(shardrift_test_precompiled EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
target_link_libraries(shardrift_test_precompiled PRIVATE shardrift::options fmt::fmt GTest::gmock GTest::gtest)
target_precompile_headers(shardrift_test_precompiled PRIVATE ${SHARDRIFT_PRECOMPILED} <gmock/gmock.h> <gtest/gtest.h>)
shardrift_optimize_lightly(shardrift_test_precompiled)

function(shardrift_add_test name)
  cmake_parse_arguments(arg "TORCH" "" "SOURCES;LIBRARIES;RANKS;LABELS;FIXTURES;DEFINITIONS;PROCESS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  set_target_properties(test_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_definitions(test_${name} PRIVATE ${arg_DEFINITIONS}
    SHARDRIFT_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SHARDRIFT_BINARY_DIR="${PROJECT_BINARY_DIR}")
  target_link_libraries(test_${name} PRIVATE shardrift::options ${arg_LIBRARIES} GTest::gmock GTest::gtest)
  target_precompile_headers(test_${name} REUSE_FROM shardrift_test_precompiled)
  shardrift_optimize_lightly(test_${name})  # its own sources; what it tests is compiled as ever
  if(arg_RANKS)
    target_sources(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/mpi_main.cpp)
    target_link_libraries(test_${name} PRIVATE MPI::MPI_CXX)
    foreach(ranks ${arg_RANKS})
      add_test(NAME ${name}.np${ranks}
        COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} $<TARGET_FILE:test_${name}>)
      shardrift_mpi_environment(environment ${name}.np${ranks})
      set_tests_properties(${name}.np${ranks} PROPERTIES TIMEOUT ${SHARDRIFT_LAST_LIMIT} PROCESSORS 2
        LABELS "${arg_LABELS};ranks-${ranks}" ENVIRONMENT "${environment}")
      if(arg_FIXTURES)
        set_tests_properties(${name}.np${ranks} PROPERTIES FIXTURES_REQUIRED "${arg_FIXTURES}")
      endif()
    endforeach()
  else()
    if(arg_TORCH)
      target_sources(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/torch_main.cpp)
    else()
      target_link_libraries(test_${name} PRIVATE GTest::gtest_main)
    endif()
    set(tests ${name})
    if(arg_PROCESS)
      list(JOIN arg_PROCESS ":" cases)
      add_test(NAME ${name} COMMAND test_${name} --gtest_filter=-${cases})
      add_test(NAME ${name}.process COMMAND test_${name} --gtest_filter=${cases})
      list(APPEND tests ${name}.process)
    else()
      add_test(NAME ${name} COMMAND test_${name})
    endif()
    foreach(test ${tests})
      shardrift_mpi_environment(environment ${test})
      set_tests_properties(${test} PROPERTIES TIMEOUT ${SHARDRIFT_LAST_LIMIT} LABELS "${arg_LABELS}" ENVIRONMENT "${environment}")
    endforeach()
    if(arg_FIXTURES)
      set_tests_properties(${tests} PROPERTIES FIXTURES_REQUIRED "${arg_FIXTURES}")
    endif()
    if(arg_PROCESS)
      set_tests_properties(${name}.process PROPERTIES LABELS "${arg_LABELS};process")
    endif()
  endif()
endfunction()

# shardrift_add_schema_test(NAME SCHEMA docs/x.schema.json FOLDER tests/x-json FEWEST n WRITTEN_BY TEST)
# The documents that test WRITTEN_BY leaves in FOLDER of the build are what the published schema says, and broken ones are
# refused.
function(shardrift_add_schema_test name)
  cmake_parse_arguments(arg "" "SCHEMA;FOLDER;FEWEST;WRITTEN_BY" "" ${ARGN})
  set(python ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  if(NOT EXISTS ${python})
    set(python python3)
  endif()
  set_property(TEST ${arg_WRITTEN_BY} APPEND PROPERTY FIXTURES_SETUP ${name})
  add_test(NAME ${name}
    COMMAND ${python} ${PROJECT_SOURCE_DIR}/tests/support/json_schema.py ${PROJECT_SOURCE_DIR}/${arg_SCHEMA}
      ${PROJECT_BINARY_DIR}/${arg_FOLDER} ${arg_FEWEST})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${SHARDRIFT_LAST_LIMIT} LABELS unit SKIP_RETURN_CODE 77 FIXTURES_REQUIRED ${name})
endfunction()
