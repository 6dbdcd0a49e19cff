# Imported targets: shardrift_dep::{json,fmt,options,hdf5,crypto,toml,onig,sentencepiece,utf8proc,mpi,torch,nccl}. Reasons: docs/dependencies.md
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# HDF5: the serial C library. Asked for by name, because plain "hdf5" answers the MPI build where both are installed.
pkg_check_modules(HDF5_SERIAL IMPORTED_TARGET hdf5-serial)
if(HDF5_SERIAL_FOUND)
  add_library(shardrift_dep::hdf5 ALIAS PkgConfig::HDF5_SERIAL)
else()
  find_package(HDF5 1.10 REQUIRED COMPONENTS C)
  add_library(shardrift_hdf5 INTERFACE)
  target_link_libraries(shardrift_hdf5 INTERFACE ${HDF5_C_LIBRARIES})
  target_include_directories(shardrift_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
  target_compile_definitions(shardrift_hdf5 INTERFACE ${HDF5_C_DEFINITIONS})
  add_library(shardrift_dep::hdf5 ALIAS shardrift_hdf5)
endif()
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)

# toml++: header only, whatever the distribution's package would rather link.
find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
add_library(shardrift_toml INTERFACE)
target_include_directories(shardrift_toml SYSTEM INTERFACE ${TOMLPLUSPLUS_INCLUDE})
target_compile_definitions(shardrift_toml INTERFACE TOML_HEADER_ONLY=1)
add_library(shardrift_dep::toml ALIAS shardrift_toml)

# xxHash: header only, XXH_INLINE_ALL.
find_path(XXHASH_INCLUDE xxhash.h)
if(NOT XXHASH_INCLUDE)
  message(FATAL_ERROR "xxhash.h not found: run scripts/setup (apt: libxxhash-dev); on a machine without a package registry "
    "bring .carry/deps of a newer scripts/carry")
endif()
add_library(shardrift_xxhash INTERFACE)
target_include_directories(shardrift_xxhash SYSTEM INTERFACE ${XXHASH_INCLUDE})
add_library(shardrift_dep::xxhash ALIAS shardrift_xxhash)

# D3, which draws the report's plots: one file, embedded into the program.
find_file(SHARDRIFT_D3 d3.min.js NO_DEFAULT_PATH DOC "d3.min.js of D3 version 5"
  PATHS ${PROJECT_SOURCE_DIR}/.deps/share/nodejs/d3/dist /usr/share/nodejs/d3/dist)
if(NOT SHARDRIFT_D3)
  message(FATAL_ERROR "d3.min.js not found: run scripts/setup (apt: node-d3); on a machine without a package "
    "registry bring .carry/deps of a newer scripts/carry; or name the file with -DSHARDRIFT_D3=FILE")
endif()
file(STRINGS ${SHARDRIFT_D3} d3_version LIMIT_COUNT 1)
if(NOT d3_version MATCHES "d3js.org v5\\.")
  message(FATAL_ERROR "${SHARDRIFT_D3} is not D3 version 5: its first line is '${d3_version}'")
endif()

# A C library by its pkg-config module, or carried (.carry/deps).
function(shardrift_find_library name module library header)
  pkg_check_modules(${name} IMPORTED_TARGET ${module})
  if(${name}_FOUND)
    add_library(shardrift_dep::${name} ALIAS PkgConfig::${name})
    return()
  endif()
  find_library(${name}_LIBRARY ${library})
  find_path(${name}_INCLUDE ${header})
  if(NOT ${name}_LIBRARY OR NOT ${name}_INCLUDE)
    message(FATAL_ERROR "${name} not found: run scripts/setup (apt: lib${name}-dev); on a machine without a "
      "package registry bring .carry/deps of a newer scripts/carry")
  endif()
  add_library(shardrift_${name} INTERFACE)
  target_link_libraries(shardrift_${name} INTERFACE ${${name}_LIBRARY})
  target_include_directories(shardrift_${name} SYSTEM INTERFACE ${${name}_INCLUDE})
  add_library(shardrift_dep::${name} ALIAS shardrift_${name})
endfunction()

shardrift_find_library(onig oniguruma onig oniguruma.h)
shardrift_find_library(utf8proc libutf8proc utf8proc utf8proc.h)
shardrift_find_library(sentencepiece sentencepiece sentencepiece sentencepiece_processor.h)
if(SHARDRIFT_WORKER)
  find_package(MPI REQUIRED COMPONENTS CXX)
  if(SHARDRIFT_CUDA)
    include(Cuda)
  endif()
  include(Torch)
endif()
