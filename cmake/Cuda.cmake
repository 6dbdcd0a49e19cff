# CUDA language, NCCL. Compiles where there is a toolkit but no GPU.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)  # A100; H100 and H200
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
# CMAKE_CUDA_STANDARD 20 silently compiles C++17 with CMake 3.25 and nvcc 13: the flag is passed by hand.
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20>")
find_path(NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} $ENV{NCCL_HOME}/include REQUIRED)
find_library(NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR} $ENV{NCCL_HOME}/lib REQUIRED)
add_library(shardrift_nccl INTERFACE)
target_link_libraries(shardrift_nccl INTERFACE ${NCCL_LIBRARY} CUDA::cudart)
target_include_directories(shardrift_nccl SYSTEM INTERFACE ${NCCL_INCLUDE} ${CUDAToolkit_INCLUDE_DIRS})
add_library(shardrift_dep::nccl ALIAS shardrift_nccl)
