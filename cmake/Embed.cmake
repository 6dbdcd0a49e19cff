# shardrift_embed(TARGET NAMESPACE ns HEADER header.hpp [VARIABLES name file[|file…] …] [TABLES name file[|file…] …])
# Adds generated sources to TARGET that define, as the header declares them, made anew when a file changes:
#   a variable: std::string_view ns::name, the bytes of the files, joined
#   a table:    std::span<const EmbeddedFile> ns::name, each file's stem and bytes (common/embedded_file.hpp)
function(shardrift_embed target)
  cmake_parse_arguments(arg "" "NAMESPACE;HEADER" "VARIABLES;TABLES" ${ARGN})
  foreach(kind VARIABLES TABLES)
    set(rest ${arg_${kind}})
    while(rest)
      list(POP_FRONT rest name files)
      string(REPLACE "|" ";" file_list "${files}")
      set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${name}.cpp)
      add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DNAMESPACE=${arg_NAMESPACE} -DHEADER=${arg_HEADER} -DNAME=${name}
          -DKIND=${kind} "-DFILES=${files}" -P ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
        DEPENDS ${file_list} ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
        COMMENT "Embedding ${name}" VERBATIM)
      target_sources(${target} PRIVATE ${output})
    endwhile()
  endforeach()
endfunction()
