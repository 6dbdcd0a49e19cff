# shardrift::options: what every target of ours is compiled with.
add_library(shardrift_options INTERFACE)
add_library(shardrift::options ALIAS shardrift_options)
set(cxx_flags -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers)
if(SHARDRIFT_WERROR)
  # Warnings that the optimizer guesses at differ between compiler versions (gcc 13 sees ghosts in std::vector): shown,
  # never fatal.
  list(APPEND cxx_flags -Werror -Wno-error=array-bounds -Wno-error=stringop-overflow -Wno-error=maybe-uninitialized
    -Wno-error=restrict)
endif()
target_compile_options(shardrift_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_flags}>")
# -ffp-contract=off: a*b+c is fused only where the source says std::fma, so bits do not depend on the optimizer.
target_compile_options(shardrift_options INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>")
target_include_directories(shardrift_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
if(SHARDRIFT_SANITIZE)
  target_compile_options(shardrift_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${SHARDRIFT_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>")
  target_link_options(shardrift_options INTERFACE -fsanitize=${SHARDRIFT_SANITIZE})
endif()
