# shardrift_embed(TARGET NAMESPACE ns HEADER header.hpp VARIABLES name file[|file…] …)
# Adds a generated source to TARGET that defines ns::name (std::string_view, declared in the header) with the
# bytes of the files, joined. Made anew when a file changes.
function(shardrift_embed target)
  cmake_parse_arguments(arg "" "NAMESPACE;HEADER" "VARIABLES" ${ARGN})
  set(variables ${arg_VARIABLES})
  while(variables)
    list(POP_FRONT variables name files)
    string(REPLACE "|" ";" file_list "${files}")
    set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_${name}.cpp)
    add_custom_command(OUTPUT ${output}
      COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DNAMESPACE=${arg_NAMESPACE} -DHEADER=${arg_HEADER} -DNAME=${name}
        "-DFILES=${files}" -P ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
      DEPENDS ${file_list} ${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake
      COMMENT "Embedding ${name}" VERBATIM)
    target_sources(${target} PRIVATE ${output})
  endwhile()
endfunction()
