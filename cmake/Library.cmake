# shardrift_add_library(NAME SOURCES a.cpp … [LIBRARIES x …] [PRIVATE y …])
# A static library shardrift_NAME, alias shardrift::NAME.
function(shardrift_add_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES;PRIVATE" ${ARGN})
  add_library(shardrift_${name} STATIC ${arg_SOURCES})
  add_library(shardrift::${name} ALIAS shardrift_${name})
  target_link_libraries(shardrift_${name} PUBLIC ${arg_LIBRARIES} PRIVATE shardrift::options ${arg_PRIVATE})
  target_include_directories(shardrift_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
endfunction()
