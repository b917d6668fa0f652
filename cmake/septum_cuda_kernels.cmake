# septum_add_cuda_kernels(TARGET [SOURCES own.cu...] [ARCHITECTURES 75...]) compiles septum's index
# kernels, and those of the sources, and puts them into a target that links septum::cuda. Nothing of
# CUDA is linked. Without nvcc the target builds as well, and says at run time that it has no
# kernels.
#
# septum_compile_kernels(OUTPUT file KIND fatbin|ptx ARCHITECTURES... SOURCES files...) only
# compiles.
set(SEPTUM_CUDA_ARCHITECTURES
    "75;80;90"
    CACHE STRING "Compute capabilities that kernels are compiled for; newer ones use the last")
find_program(SEPTUM_NVCC nvcc HINTS "$ENV{CUDA_PATH}/bin" /usr/local/cuda/bin)
mark_as_advanced(SEPTUM_NVCC)

# The functions below may be called from a project above this one, so these are not of its scope.
set(septum_cuda_kernels_dir
    "${CMAKE_CURRENT_LIST_DIR}"
    CACHE INTERNAL "")
set(septum_has_nvcc 0)
if(SEPTUM_NVCC)
  execute_process(COMMAND "${SEPTUM_NVCC}" --version OUTPUT_VARIABLE septum_nvcc_said ERROR_QUIET)
  if(septum_nvcc_said MATCHES "release ([0-9]+\\.[0-9]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL 13)
    set(septum_has_nvcc 1)
  else()
    message(STATUS "septum: nvcc 13 or newer is wanted for GPU kernels, ${SEPTUM_NVCC} is older")
  endif()
endif()
# Device code cannot throw, so a build with bounds checks has no kernels.
if(SEPTUM_CHECKED)
  set(septum_has_nvcc 0)
endif()
set(septum_has_nvcc
    ${septum_has_nvcc}
    CACHE INTERNAL "")

function(septum_compile_kernels)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "OUTPUT;KIND" "ARCHITECTURES;SOURCES")
  set(includes "")
  foreach(source IN LISTS arg_SOURCES)
    string(APPEND includes "#include \"${source}\"\n")
  endforeach()
  set(all "${arg_OUTPUT}.cu")
  file(GENERATE OUTPUT "${all}" CONTENT "${includes}")
  set(code "")
  if(arg_KIND STREQUAL "ptx")
    set(code "-arch=compute_${arg_ARCHITECTURES}")
  else()
    foreach(architecture IN LISTS arg_ARCHITECTURES)
      list(APPEND code "-gencode=arch=compute_${architecture},code=sm_${architecture}")
    endforeach()
    list(GET arg_ARCHITECTURES -1 newest)
    list(APPEND code "-gencode=arch=compute_${newest},code=compute_${newest}")
  endif()
  # Not those of the system, whose order is the compiler's own business.
  set(include_dirs "$<TARGET_PROPERTY:septum::septum,INTERFACE_INCLUDE_DIRECTORIES>")
  set(include_dirs "$<FILTER:${include_dirs},EXCLUDE,^/usr/include>")
  add_custom_command(
    OUTPUT "${arg_OUTPUT}"
    COMMAND "${SEPTUM_NVCC}" -std=c++20 --expt-relaxed-constexpr -${arg_KIND} ${code}
            "-I$<JOIN:${include_dirs},;-I>" -MD -MF "${arg_OUTPUT}.d" -MT "${arg_OUTPUT}" -o "${arg_OUTPUT}" "${all}"
    DEPENDS "${all}" ${arg_SOURCES}
    DEPFILE "${arg_OUTPUT}.d"
    COMMENT "Compiling GPU kernels (${arg_KIND} ${arg_ARCHITECTURES})"
    COMMAND_EXPAND_LISTS VERBATIM)
endfunction()

function(septum_add_cuda_kernels target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;ARCHITECTURES")
  set(own_kernels ${arg_SOURCES} ${arg_ARCHITECTURES})
  if(NOT arg_ARCHITECTURES)
    set(arg_ARCHITECTURES ${SEPTUM_CUDA_ARCHITECTURES})
  endif()
  if(own_kernels)
    set(septum_fatbin "${CMAKE_CURRENT_BINARY_DIR}/${target}_cuda_kernels.fatbin")
  else()
    set(septum_fatbin "${CMAKE_BINARY_DIR}/septum_cuda_kernels.fatbin")
  endif()
  set(embedding "${CMAKE_CURRENT_BINARY_DIR}/${target}_cuda_kernels.cpp")
  set(septum_has_kernels ${septum_has_nvcc})
  configure_file("${septum_cuda_kernels_dir}/septum_cuda_kernels.cpp.in" "${embedding}" @ONLY)
  target_sources(${target} PRIVATE "${embedding}")
  if(septum_has_kernels)
    # Targets without kernels of their own share one image, which is compiled once.
    if(own_kernels OR NOT TARGET septum_cuda_kernels)
      list(TRANSFORM arg_SOURCES PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
      septum_compile_kernels(
        OUTPUT "${septum_fatbin}" KIND fatbin ARCHITECTURES ${arg_ARCHITECTURES}
        SOURCES "${septum_cuda_kernels_dir}/septum_cuda_kernels.cu" ${arg_SOURCES})
    endif()
    if(NOT own_kernels)
      if(NOT TARGET septum_cuda_kernels)
        add_custom_target(septum_cuda_kernels DEPENDS "${septum_fatbin}")
      endif()
      add_dependencies(${target} septum_cuda_kernels)
    endif()
    set_source_files_properties("${embedding}" PROPERTIES OBJECT_DEPENDS "${septum_fatbin}")
  endif()
endfunction()
