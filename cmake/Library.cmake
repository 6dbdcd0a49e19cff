# Read by every library from one precompiled file: the standard library's large headers. Nothing of ours is in it, so that it
# never changes; preset asan compiles without it, so that a forgotten #include is found.
set(SHARDRIFT_PRECOMPILED <algorithm> <array> <cmath> <cstdint> <filesystem> <fstream> <functional> <map> <memory> <optional>
  <set> <span> <sstream> <string> <string_view> <utility> <vector> <fmt/format.h>)
# One for each optimization: gcc 13 refuses a file that was precompiled with another.
function(shardrift_optimize_lightly target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()
foreach(precompiled shardrift_precompiled shardrift_precompiled_lightly)
  add_library(${precompiled} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled.cpp)
  target_link_libraries(${precompiled} PRIVATE shardrift::options fmt::fmt)
  target_precompile_headers(${precompiled} PRIVATE ${SHARDRIFT_PRECOMPILED})
endforeach()
shardrift_optimize_lightly(shardrift_precompiled_lightly)

# shardrift_add_library(NAME SOURCES a.cpp … [LIBRARIES x …] [PRIVATE y …] [LIGHTLY_OPTIMIZED])
# A static library shardrift_NAME, alias shardrift::NAME. It may link only libraries that were added before it: the order
# of add_subdirectory in CMakeLists.txt is the order of the layers, lowest first. LIGHTLY_OPTIMIZED: it reads, writes and
# arranges, and has no loop that anybody waits for; -O1 then takes a fifth or more off its compile time. (Bits depend on
# neither: -ffp-contract=off.)
function(shardrift_add_library name)
  cmake_parse_arguments(arg "LIGHTLY_OPTIMIZED" "" "SOURCES;LIBRARIES;PRIVATE" ${ARGN})
  foreach(lower ${arg_LIBRARIES} ${arg_PRIVATE})
    if(lower MATCHES "^shardrift::" AND NOT TARGET ${lower})
      message(FATAL_ERROR "shardrift::${name} links ${lower}, which does not come before it in CMakeLists.txt: "
        "libraries link only what lies below them")
    endif()
  endforeach()
  add_library(shardrift_${name} STATIC ${arg_SOURCES})
  add_library(shardrift::${name} ALIAS shardrift_${name})
  target_link_libraries(shardrift_${name} PUBLIC ${arg_LIBRARIES} PRIVATE shardrift::options ${arg_PRIVATE})
  target_include_directories(shardrift_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  if(arg_LIGHTLY_OPTIMIZED)
    shardrift_optimize_lightly(shardrift_${name})
    target_precompile_headers(shardrift_${name} REUSE_FROM shardrift_precompiled_lightly)
  else()
    target_precompile_headers(shardrift_${name} REUSE_FROM shardrift_precompiled)
  endif()
  if(SHARDRIFT_TESTS)
    shardrift_add_header_test(shardrift_${name})
  endif()
endfunction()
