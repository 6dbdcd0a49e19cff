# shardrift_dep::torch, from pip's torch package. Its own TorchConfig.cmake stops where there is no CUDA toolkit
# (the wheel is a CUDA build), so the libraries are imported here: CPU parts always, torch_cuda only in CUDA builds.
set(SHARDRIFT_TORCH_DIR "" CACHE PATH "the directory of a torch package (with include/ and lib/)")
if(NOT SHARDRIFT_TORCH_DIR)
  file(GLOB candidates ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
  if(NOT candidates)
    execute_process(COMMAND python3 -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
      OUTPUT_VARIABLE candidates OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(NOT candidates)
    message(FATAL_ERROR "libtorch not found: run scripts/setup (it puts torch in .venv), or set SHARDRIFT_TORCH_DIR")
  endif()
  list(GET candidates 0 SHARDRIFT_TORCH_DIR)
  set(SHARDRIFT_TORCH_DIR ${SHARDRIFT_TORCH_DIR} CACHE PATH "" FORCE)
endif()
message(STATUS "libtorch: ${SHARDRIFT_TORCH_DIR}")
set(torch_lib ${SHARDRIFT_TORCH_DIR}/lib)
add_library(shardrift_torch INTERFACE)
# Searched last (-idirafter): the wheel brings its own copies of fmt, nlohmann and others, which must not win over ours.
foreach(include ${SHARDRIFT_TORCH_DIR}/include ${SHARDRIFT_TORCH_DIR}/include/torch/csrc/api/include)
  target_compile_options(shardrift_torch INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-idirafter ${include}>" "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-isystem ${include}>")
endforeach()
target_link_libraries(shardrift_torch INTERFACE ${torch_lib}/libtorch_cpu.so ${torch_lib}/libc10.so)
# libtorch_cpu.so names CUDA's runtime and CUPTI, which lie in sibling packages it finds by its own rpath.
target_link_options(shardrift_torch INTERFACE -Wl,--allow-shlib-undefined -Wl,-rpath,${torch_lib}
  LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/local.map)
if(SHARDRIFT_CUDA)
  target_link_libraries(shardrift_torch INTERFACE CUDA::cudart)
  # --no-as-needed: torch_cuda registers the CUDA kernels of every operator in its static initialisers.
  target_link_options(shardrift_torch INTERFACE
    "LINKER:--no-as-needed,${torch_lib}/libtorch_cuda.so,${torch_lib}/libc10_cuda.so,--as-needed")
endif()
add_library(shardrift_dep::torch ALIAS shardrift_torch)
