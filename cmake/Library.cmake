# shardrift_add_library(NAME SOURCES a.cpp … [LIBRARIES x …] [PRIVATE y …])
# A static library shardrift_NAME, alias shardrift::NAME. It may link only libraries that were added before it: the order
# of add_subdirectory in CMakeLists.txt is the order of the layers, lowest first.
function(shardrift_add_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;PRIVATE" ${ARGN})
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
  if(SHARDRIFT_TESTS)
    shardrift_add_header_test(shardrift_${name})
  endif()
endfunction()
